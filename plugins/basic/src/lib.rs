//! Node types that come with Levada and are linked into its host: `test-audio`, `level`,
//! `mix`, `resample`, `vad`, `g711-decoder`, `g711-encoder`, and, for frames of any kind, `log`, `null`, `queue`,
//! `select`, `tee`, `throttle`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod g711;
mod level;
mod log;
mod mix;
mod null;
mod queue;
mod resample;
mod select;
mod tee;
mod test_audio;
mod throttle;
mod vad;

use levada_plugin::{Builtin, Plugin};

/// Describes the plugin.
#[must_use]
pub fn plugin() -> Plugin {
    Builtin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .with::<test_audio::TestAudio>()
        .with::<level::Level>()
        .with::<resample::Resample>()
        .with::<g711::G711Decoder>()
        .with::<g711::G711Encoder>()
        .with::<log::Log>()
        .with::<mix::Mix>()
        .with::<null::Null>()
        .with::<queue::Queue>()
        .with::<select::Select>()
        .with::<tee::Tee>()
        .with::<throttle::Throttle>()
        .with::<vad::Vad>()
        .into_plugin()
}
