//! Node types that come with Levada and are linked into its host: `test-audio`, `level`,
//! `resample`, `null`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod level;
mod null;
mod resample;
mod test_audio;

use levada_plugin::{Builtin, Plugin};

/// Describes the plugin.
#[must_use]
pub fn plugin() -> Plugin {
    Builtin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .with::<test_audio::TestAudio>()
        .with::<level::Level>()
        .with::<resample::Resample>()
        .with::<null::Null>()
        .into_plugin()
}
