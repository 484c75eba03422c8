//! Node types for raw pictures that come with Levada and are linked into its host: `test-video`, `flip`,
//! `overlay-text`, `grayscale`, `crop`, `resize`,
//! `convert`, `compose`, `snapshot`, `overlay-image`.
//!
//! All but `convert` work on `video/i420` in memory of the pool, in place where the picture keeps its size; a frame that
//! another consumer holds as well is copied once before it is edited, which is declared. The size of pictures
//! may change at any frame. What their format states of colours stays as it is, also where their size does not; only
//! `compose` makes pictures of several inputs alike.
#![deny(unsafe_code)]
#![warn(missing_docs)]

mod compose;
mod convert;
mod crop;
mod flip;
mod grayscale;
pub mod marks;
mod overlay_image;
mod overlay_text;
pub mod pixels;
mod place;
mod resize;
mod resized;
mod scale;
mod snapshot;
mod template;
mod test_video;
#[cfg(test)]
mod testing;
mod text;

use levada_plugin::{Builtin, Plugin};

/// Describes the plugin.
#[must_use]
pub fn plugin() -> Plugin {
    Builtin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
        .with::<test_video::TestVideo>()
        .with::<flip::Flip>()
        .with::<overlay_text::OverlayText>()
        .with::<overlay_image::OverlayImage>()
        .with::<grayscale::Grayscale>()
        .with::<crop::Crop>()
        .with::<resize::Resize>()
        .with::<convert::Convert>()
        .with::<compose::Compose>()
        .with::<snapshot::Snapshot>()
        .into_plugin()
}
