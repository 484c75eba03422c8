//! [`Encoder`]: `vpx.c` in safe clothes, the one file of this crate with unsafe code.
//!
//! An encoder belongs to one value, which calls it by `&mut`; a frame that it made lies in the library's memory until the
//! next call, and borrows the encoder for so long.

use std::{
    ffi::{CStr, c_char, c_int, c_longlong, c_uint, c_ulong},
    marker::{PhantomData, PhantomPinned},
    ptr::NonNull,
};

use levada_plugin::{Error, Result, picture::I420};

/// Only ever behind a pointer.
#[repr(C)]
struct Raw {
    _nothing: [u8; 0],
    _neither_moved_nor_shared: PhantomData<(*mut u8, PhantomPinned)>,
}

unsafe extern "C" {
    fn levada_vpx_open(
        width: c_uint,
        height: c_uint,
        kbits: c_uint,
        speed: c_int,
        skip: c_int,
        error: *mut c_int,
    ) -> *mut Raw;
    fn levada_vpx_encode(
        encoder: *mut Raw,
        yuv: *const *const u8,
        at: c_longlong,
        duration: c_ulong,
        keyframe: c_int,
        data: *mut *const u8,
        length: *mut usize,
        is_keyframe: *mut c_int,
    ) -> c_int;
    fn levada_vpx_set_bitrate(encoder: *mut Raw, kbits: c_uint) -> c_int;
    fn levada_vpx_reason(code: c_int) -> *const c_char;
    fn levada_vpx_close(encoder: *mut Raw);
}

fn refused(code: c_int) -> Error {
    // SAFETY: the function answers a text in static memory for any code.
    let reason = unsafe { CStr::from_ptr(levada_vpx_reason(code)) };
    Error::new(format_args!("libvpx refused: {}", reason.to_string_lossy()))
}

fn checked(code: c_int) -> Result {
    if code == 0 {
        Ok(())
    } else {
        Err(refused(code))
    }
}

/// How an encoder begins.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Of all pictures, in pixels, 1 to 16,383.
    pub size: (u32, u32),
    /// Bits a second.
    pub bitrate: u32,
    /// libvpx's cpu-used: the lower below 0, the quicker.
    pub speed: i32,
    /// Whether pictures may be left out where they would take too many bits.
    pub skip: bool,
}

/// An encoder for pictures of one size.
pub struct Encoder {
    raw: NonNull<Raw>,
    size: (u32, u32),
}

// SAFETY: the library keeps nothing that belongs to a thread, and `&mut self` lets one call it at a time.
unsafe impl Send for Encoder {}

/// A frame of the codec in the library's memory.
pub struct Encoded<'a> {
    /// Empty when the picture was left out.
    pub bytes: &'a [u8],
    pub is_keyframe: bool,
}

fn kbits(bits: u32) -> c_uint {
    (bits / 1000).max(1)
}

impl Encoder {
    pub fn new(setup: Setup) -> Result<Encoder> {
        let mut error = 0;
        // SAFETY: plain numbers, and `error` is writable for the call.
        let raw = unsafe {
            levada_vpx_open(
                setup.size.0,
                setup.size.1,
                kbits(setup.bitrate),
                setup.speed,
                setup.skip.into(),
                &raw mut error,
            )
        };
        let raw = NonNull::new(raw).ok_or_else(|| refused(error))?;
        Ok(Encoder {
            raw,
            size: setup.size,
        })
    }

    /// Encodes a picture of the encoder's size at `at_us`, which is more than at the call before.
    ///
    /// # Errors
    /// What the library says, or a picture of another size.
    pub fn encode(
        &mut self,
        picture: I420<'_>,
        at_us: i64,
        duration_us: u32,
        keyframe: bool,
    ) -> Result<Encoded<'_>> {
        if (picture.width(), picture.height()) != (self.size.0 as usize, self.size.1 as usize) {
            return Err(Error::new("the picture has not the encoder's size"));
        }
        let yuv = picture.planes().map(|plane| plane.data.as_ptr());
        let (mut data, mut length, mut is_keyframe) = (std::ptr::null(), 0, 0);
        // SAFETY: `raw` is a live encoder of its own. The planes are those of a picture of its size (checked above), rows
        // without gaps, and are only read, during the call; the answers are writable for the call.
        let code = unsafe {
            levada_vpx_encode(
                self.raw.as_ptr(),
                yuv.as_ptr(),
                at_us,
                c_ulong::from(duration_us.max(1)),
                keyframe.into(),
                &raw mut data,
                &raw mut length,
                &raw mut is_keyframe,
            )
        };
        checked(code)?;
        let bytes = if data.is_null() {
            &[][..]
        } else {
            // SAFETY: the library answered so many bytes, which stay as they are until its next call; that needs
            // `&mut self`, which the answer borrows.
            unsafe { std::slice::from_raw_parts(data, length) }
        };
        Ok(Encoded {
            bytes,
            is_keyframe: is_keyframe != 0,
        })
    }

    /// Aims at this many bits a second from the next picture on.
    ///
    /// # Errors
    /// What the library says.
    pub fn set_bitrate(&mut self, bits_per_second: u32) -> Result {
        // SAFETY: a live encoder, and a plain number.
        checked(unsafe { levada_vpx_set_bitrate(self.raw.as_ptr(), kbits(bits_per_second)) })
    }
}

impl Drop for Encoder {
    fn drop(&mut self) {
        // SAFETY: a live encoder, which nobody uses afterwards.
        unsafe { levada_vpx_close(self.raw.as_ptr()) };
    }
}
