//! [`Pcm`]: samples as files have them, which become `f32`.

use levada_plugin::{Loan, as_f32_mut, prelude::*};

/// How a sample is written.
#[derive(Clone, Copy)]
pub(super) struct Pcm {
    read: fn(&[u8]) -> f32,
    /// Bytes of a sample.
    pub bytes: usize,
}

impl Pcm {
    /// Whole numbers of so many bits, little end first; those of 8 bits have no sign.
    pub fn whole(bits: u16) -> Option<Pcm> {
        let read: fn(&[u8]) -> f32 = match bits {
            8 => |b| f32::from(i16::from(b[0]) - 128) / 128.0,
            16 => |b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0,
            24 => |b| (i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8) as f32 / 8_388_608.0,
            32 => |b| i32::from_le_bytes([b[0], b[1], b[2], b[3]]) as f32 / 2_147_483_648.0,
            _ => return None,
        };
        Some(Pcm::new(read, bits))
    }

    /// Floats of so many bits, little end first.
    pub fn float(bits: u16) -> Option<Pcm> {
        let read: fn(&[u8]) -> f32 = match bits {
            32 => |b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
            64 => |b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32,
            _ => return None,
        };
        Some(Pcm::new(read, bits))
    }

    fn new(read: fn(&[u8]) -> f32, bits: u16) -> Pcm {
        Pcm {
            read,
            bytes: usize::from(bits / 8),
        }
    }

    /// Makes a payload of whole samples.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn convert(self, from: &[u8], host: &Host) -> Result<Loan> {
        let mut payload = host.loan(from.len() / self.bytes * size_of::<f32>())?;
        let room = as_f32_mut(payload.as_mut_slice())
            .ok_or_else(|| Error::new("the host loaned memory that is not aligned for samples"))?;
        for (sample, bytes) in room.iter_mut().zip(from.chunks_exact(self.bytes)) {
            *sample = (self.read)(bytes);
        }
        host.copied(payload.len());
        Ok(payload)
    }
}
