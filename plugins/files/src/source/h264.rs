//! [`Avc`]: H.264 as MP4 holds it becomes Annex B.
//!
//! In MP4 each NAL unit has its length in front, and parameter sets stand in the track's description (ISO/IEC 14496-15,
//! 5.3). Annex B has start codes in front and parameter sets in the stream. Where lengths have 4 bytes, as nearly always, a
//! start code takes their place and nothing moves.

mod syntax;

use levada_plugin::{Format, Host, Loan, Result};
use shiguredo_mp4::boxes::AvccBox;

pub(super) use syntax::{Parameters, PictureOrder};

const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// NAL units in front of a picture's first slice, at most.
const MAX_HEADS: usize = 64;

/// How a track's NAL units are framed.
pub(super) struct Avc {
    /// Bytes of a length, 1 to 4.
    length_bytes: usize,
    /// Parameter sets, each behind a start code.
    parameters: Vec<u8>,
}

/// Where in a unit its NAL units do not add up.
pub(super) struct Misfit(pub usize);

impl Avc {
    pub fn new(length_bytes: usize, sets: impl Iterator<Item = impl AsRef<[u8]>>) -> Avc {
        let mut parameters = vec![];
        for set in sets {
            parameters.extend_from_slice(&START_CODE);
            parameters.extend_from_slice(set.as_ref());
        }
        Avc {
            length_bytes,
            parameters,
        }
    }

    /// The format of a track with this description, and how its units are framed.
    pub fn described(avcc: &AvccBox, width: u32, height: u32) -> (Format, Avc) {
        let (profile, constraints, level) = (
            avcc.avc_profile_indication,
            avcc.profile_compatibility,
            avcc.avc_level_indication,
        );
        let sets = avcc.sps_list.iter().chain(&avcc.pps_list);
        let avc = Avc::new(usize::from(avcc.length_size_minus_one.get()) + 1, sets);
        (h264(profile, constraints, level, width, height), avc)
    }

    /// Whether a unit of `len` bytes is an IDR picture, the only one that every decoder can begin with: some cannot at a recovery
    /// point, which containers mark as well. `read` reads what lies at a place in it.
    ///
    /// # Errors
    /// As `read`.
    pub fn is_idr(&self, len: u64, mut read: impl FnMut(u64, &mut [u8]) -> Result) -> Result<bool> {
        let (mut at, mut head) = (0_u64, [0; 5]);
        let head = &mut head[..=self.length_bytes];
        for _ in 0..MAX_HEADS {
            if at.saturating_add(head.len() as u64) > len {
                break;
            }
            read(at, head)?;
            let (length, nal) = head.split_at(self.length_bytes);
            // The first slice tells; what is said of the picture comes before.
            if let kind @ 1..=5 = nal[0] & 0x1f {
                return Ok(kind == 5);
            }
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            at += self.length_bytes as u64 + length;
        }
        Ok(false)
    }

    /// Reads a unit of `len` bytes and makes it Annex B, behind the parameter sets when it is a keyframe.
    ///
    /// # Errors
    /// When there is no memory, or as `read`. The inner one: its NAL units do not add up to it.
    pub fn unit(
        &self,
        len: usize,
        key: bool,
        host: &Host,
        read: impl FnOnce(&mut [u8]) -> Result,
    ) -> Result<Result<Loan, Misfit>> {
        let head = if key { self.parameters.as_slice() } else { &[] };
        if self.length_bytes == START_CODE.len() {
            let mut loan = host.loan(head.len() + len)?;
            let (front, body) = loan.as_mut_slice().split_at_mut(head.len());
            front.copy_from_slice(head);
            read(body)?;
            return Ok(in_place(body).map(|()| loan));
        }
        let mut coded = vec![0; len];
        read(&mut coded)?;
        let nals = match split(&coded, self.length_bytes) {
            Ok(nals) => nals,
            Err(misfit) => return Ok(Err(misfit)),
        };
        let size = nals
            .iter()
            .map(|nal| START_CODE.len() + nal.len())
            .sum::<usize>();
        let mut loan = host.loan(head.len() + size)?;
        let (front, mut body) = loan.as_mut_slice().split_at_mut(head.len());
        front.copy_from_slice(head);
        for nal in nals {
            let (code, rest) = body.split_at_mut(START_CODE.len());
            code.copy_from_slice(&START_CODE);
            let (place, rest) = rest.split_at_mut(nal.len());
            place.copy_from_slice(nal);
            body = rest;
        }
        host.copied(size);
        Ok(Ok(loan))
    }
}

/// The format of H.264, with its profile and level as SDP has them (RFC 6184, 8.1).
pub(super) fn h264(profile: u8, constraints: u8, level: u8, width: u32, height: u32) -> Format {
    let config =
        format!("packetization-mode=1;profile-level-id={profile:02x}{constraints:02x}{level:02x}");
    Format::video("h264", width, height).with_config(config)
}

/// By how many pictures those of a track with this description are out of the order in which they are shown, at most, where
/// its parameter sets say so.
pub(super) fn reordering(avcc: &AvccBox) -> Option<u32> {
    let stated = |set: &Vec<u8>| Parameters::read(set)?.1.reordering;
    avcc.sps_list.iter().filter_map(stated).max()
}

/// Puts start codes where lengths of 4 bytes are.
fn in_place(unit: &mut [u8]) -> Result<(), Misfit> {
    let mut at = 0;
    while at < unit.len() {
        let Some(length) = unit.get_mut(at..at + 4) else {
            return Err(Misfit(at));
        };
        let nal = u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize;
        length.copy_from_slice(&START_CODE);
        let end = (at + 4).checked_add(nal).filter(|end| *end <= unit.len());
        at = end.ok_or(Misfit(at))?;
    }
    Ok(())
}

/// The NAL units behind lengths of `bytes` bytes.
fn split(unit: &[u8], bytes: usize) -> Result<Vec<&[u8]>, Misfit> {
    let (mut nals, mut at) = (vec![], 0);
    while at < unit.len() {
        let body = at + bytes;
        let length = unit.get(at..body).ok_or(Misfit(at))?;
        let nal = length
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        nals.push(unit.get(body..body + nal).ok_or(Misfit(at))?);
        at = body + nal;
    }
    Ok(nals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_start_codes() {
        let mut unit = [0, 0, 0, 2, 0x65, 1, 0, 0, 0, 1, 0x41];
        assert!(in_place(&mut unit).is_ok());
        assert_eq!(unit, [0, 0, 0, 1, 0x65, 1, 0, 0, 0, 1, 0x41]);
        let short = [2, 0x65, 1, 1, 0x41];
        let nals = split(&short, 1).unwrap_or_default();
        assert_eq!(nals, [&[0x65, 1][..], &[0x41]]);
    }

    #[test]
    fn lengths_that_do_not_add_up_say_where() {
        for (mut unit, at) in [
            (vec![0, 0, 0, 1, 0x65, 0, 0, 0, 9, 0], 5),
            (vec![0, 0, 0], 0),
            (vec![0xff, 0xff, 0xff, 0xff, 0], 0),
        ] {
            assert!(split(&unit, 4).is_err_and(|misfit| misfit.0 == at));
            assert!(in_place(&mut unit).is_err_and(|misfit| misfit.0 == at));
        }
    }
}
