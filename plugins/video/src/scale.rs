//! Scales one plane of a picture; the one place that calls the library for it.
//!
//! The type of a sample is stated here. The library's other entry finds it at run time, and has the code of
//! every type that it knows compiled into its caller: two minutes of a build.

use fast_image_resize::{
    FilterType, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8,
};
use levada_plugin::Result;

/// How new pixels are made of old ones.
#[derive(Clone, Copy)]
pub(crate) enum Filter {
    Nearest,
    Bilinear,
    Lanczos,
}

/// Scales planes; keeps its memory from one to the next.
pub(crate) struct Scaler {
    resizer: Resizer,
    options: ResizeOptions,
}

impl Scaler {
    pub(crate) fn new(filter: Filter) -> Scaler {
        let algorithm = match filter {
            Filter::Nearest => ResizeAlg::Nearest,
            Filter::Bilinear => ResizeAlg::Convolution(FilterType::Bilinear),
            Filter::Lanczos => ResizeAlg::Convolution(FilterType::Lanczos3),
        };
        Scaler {
            resizer: Resizer::new(),
            options: ResizeOptions::new().resize_alg(algorithm).use_alpha(false),
        }
    }

    /// Fills `to` with what `from` shows. Both are packed planes of the width and height stated.
    pub(crate) fn scale(
        &mut self,
        from: &[u8],
        from_size: (usize, usize),
        to: &mut [u8],
        to_size: (usize, usize),
    ) -> Result {
        // Sides of pictures fit 32 bits.
        let (width, height) = (from_size.0 as u32, from_size.1 as u32);
        let from = TypedImageRef::<U8>::from_buffer(width, height, from)?;
        let (width, height) = (to_size.0 as u32, to_size.1 as u32);
        let mut to = TypedImage::<U8>::from_buffer(width, height, to)?;
        self.resizer.resize_typed(&from, &mut to, &self.options)?;
        Ok(())
    }
}
