//! Payload bytes seen as PCM samples, in place.

macro_rules! views {
    ($shared:ident, $mutable:ident, $sample:ty, $what:literal) => {
        #[doc = concat!("Views bytes as interleaved ", $what, " samples in native byte order; `None` when the memory is not aligned for them or its length is no whole number of samples.")]
        #[must_use]
        pub fn $shared(bytes: &[u8]) -> Option<&[$sample]> {
            // SAFETY: every bit pattern is a valid sample.
            let (before, samples, after) = unsafe { bytes.align_to::<$sample>() };
            (before.is_empty() && after.is_empty()).then_some(samples)
        }

        #[doc = concat!("Views bytes as interleaved ", $what, " samples for writing; as [`", stringify!($shared), "`].")]
        pub fn $mutable(bytes: &mut [u8]) -> Option<&mut [$sample]> {
            // SAFETY: every bit pattern is a valid sample, and every sample valid bytes.
            let (before, samples, after) = unsafe { bytes.align_to_mut::<$sample>() };
            (before.is_empty() && after.is_empty()).then_some(samples)
        }
    };
}

views!(as_f32, as_f32_mut, f32, "32-bit float");
views!(as_i16, as_i16_mut, i16, "16-bit signed");
