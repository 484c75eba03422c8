//! What the tables of a fragment say of its samples (ISO/IEC 14496-12, 8.8).
//!
//! They are read here and not by the crate, which makes samples of whatever number a run claims where nothing is said of each, and
//! refuses data that lies at an absolute offset, as ffmpeg writes it unless it is told otherwise.

use shiguredo_mp4::boxes::TrexBox;

/// The largest table of a fragment, in bytes.
pub(super) const MAX_TABLE: u64 = 4 << 20;
/// Samples that one lists, at most: more than an hour of sound.
const MAX_SAMPLES: usize = 1 << 18;

/// The flag of a sample with which decoding cannot begin.
const IS_NO_SYNC: u32 = 1 << 16;

/// What is known of a track before a fragment, whether it is played or not: others' data may lie behind its own.
pub(super) struct Known {
    pub id: u32,
    /// How long a sample lasts, how many bytes it has, its flags, and the number of its description, unless it is said.
    lasts: u32,
    len: u32,
    flags: u32,
    entry: u32,
    /// Where the track's samples end so far, in units of its time.
    pub ends: u64,
}

impl Known {
    /// A track, and what its movie box says of its samples in all fragments.
    pub fn new(id: u32, said: Option<&TrexBox>) -> Known {
        Known {
            id,
            lasts: said.map_or(0, |it| it.default_sample_duration),
            len: said.map_or(0, |it| it.default_sample_size),
            flags: said.map_or(0, |it| it.default_sample_flags.get()),
            entry: said.map_or(1, |it| it.default_sample_description_index),
            ends: 0,
        }
    }
}

/// What the tables say of a sample.
pub(super) struct Listed {
    /// The number of its track among those that are known.
    pub track: usize,
    pub at: u64,
    pub len: u64,
    /// When it is decoded, and how much later it is shown, in units.
    pub time: u64,
    pub shift: i64,
    pub lasts: u32,
    pub key: bool,
    /// The number of its description, from 0 on.
    pub entry: usize,
}

/// Lists the samples of a fragment whose box begins at `at` and has this content, by track and in the order of decoding; `None`
/// when its tables are damaged, or list too many.
pub(super) fn list(content: &[u8], at: u64, tracks: &mut [Known]) -> Option<Vec<Listed>> {
    // Where data begins unless it is said: behind that of the track before.
    let (mut listed, mut data) = (vec![], at);
    for child in children(content) {
        let (kind, content) = child?;
        if kind == *b"traf" {
            data = list_track(content, (at, data), tracks, &mut listed)?;
        }
    }
    Some(listed)
}

/// Lists those of one track: where their data ends. `places` are where the fragment begins and where data before ends.
fn list_track(
    content: &[u8],
    places: (u64, u64),
    tracks: &mut [Known],
    listed: &mut Vec<Listed>,
) -> Option<u64> {
    let (mut head, mut time, mut runs) = (None, None, vec![]);
    for child in children(content) {
        let (kind, content) = child?;
        match &kind {
            b"tfhd" => head = Some(content),
            b"tfdt" => time = Some(content),
            b"trun" => runs.push(content),
            _ => {}
        }
    }
    let (flags, mut head) = Fields::of(head?)?;
    let id = head.u32()?;
    let Some(track) = tracks.iter().position(|known| known.id == id) else {
        return Some(places.1);
    };
    let known = &mut tracks[track];
    let base = match head.u64_if(flags & 1 != 0)? {
        Some(base) => base,
        None if flags & 0x2_0000 != 0 => places.0,
        None => places.1,
    };
    let entry = head.u32_if(flags & 2 != 0)?.unwrap_or(known.entry);
    let lasts = head.u32_if(flags & 8 != 0)?.unwrap_or(known.lasts);
    let len = head.u32_if(flags & 0x10 != 0)?.unwrap_or(known.len);
    let usual = head.u32_if(flags & 0x20 != 0)?.unwrap_or(known.flags);
    if let Some(content) = time {
        let (_, mut time) = Fields::of(content)?;
        let is_long = content[0] == 1;
        known.ends = match time.u64_if(is_long)? {
            Some(time) => time,
            None => time.u32()?.into(),
        };
    }
    let mut at = base;
    for content in runs {
        let (flags, mut run) = Fields::of(content)?;
        let count = run.u32()?;
        if let Some(offset) = run.u32_if(flags & 1 != 0)? {
            at = base.checked_add_signed((offset as i32).into())?;
        }
        let mut first = run.u32_if(flags & 4 != 0)?;
        for _ in 0..count {
            let lasts = run.u32_if(flags & 0x100 != 0)?.unwrap_or(lasts);
            let len = run.u32_if(flags & 0x200 != 0)?.unwrap_or(len);
            let said = run.u32_if(flags & 0x400 != 0)?.unwrap_or(usual);
            let shift = run.u32_if(flags & 0x800 != 0)?.unwrap_or(0);
            // In the first version it has no sign.
            let shift = if content[0] == 0 {
                shift.into()
            } else {
                (shift as i32).into()
            };
            if listed.len() == MAX_SAMPLES {
                return None;
            }
            listed.push(Listed {
                track,
                at,
                len: len.into(),
                time: known.ends,
                shift,
                lasts,
                key: first.take().unwrap_or(said) & IS_NO_SYNC == 0,
                entry: entry.checked_sub(1)? as usize,
            });
            at = at.checked_add(len.into())?;
            known.ends = known.ends.checked_add(lasts.into())?;
        }
    }
    Some(at)
}

/// The boxes in a box's content; the last one is `None` when they do not add up to it.
fn children(content: &[u8]) -> impl Iterator<Item = Option<([u8; 4], &[u8])>> {
    let mut rest = content;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let child = child(rest);
        rest = child.map_or(&[], |(_, _, behind)| behind);
        Some(child.map(|(kind, content, _)| (kind, content)))
    })
}

/// The kind and the content of a box, and what lies behind it.
fn child(bytes: &[u8]) -> Option<([u8; 4], &[u8], &[u8])> {
    let mut fields = Fields(bytes);
    let size = fields.u32()?;
    let kind = fields.u32()?.to_be_bytes();
    let size = fields.u64_if(size == 1)?.unwrap_or(size.into());
    let head = bytes.len() - fields.0.len();
    let content = usize::try_from(size).ok()?.checked_sub(head)?;
    let (content, behind) = fields.0.split_at_checked(content)?;
    Some((kind, content, behind))
}

/// Numbers one after the other, the great end first.
struct Fields<'b>(&'b [u8]);

impl<'b> Fields<'b> {
    /// The flags that a box's content begins with, behind its version, and what follows.
    fn of(content: &'b [u8]) -> Option<(u32, Fields<'b>)> {
        let mut fields = Fields(content);
        Some((fields.u32()? & 0xff_ffff, fields))
    }

    fn u32(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// A number that is there when it is said so; `None` where there is no room for it.
    fn u32_if(&mut self, is_there: bool) -> Option<Option<u32>> {
        Some(if is_there { Some(self.u32()?) } else { None })
    }

    fn u64_if(&mut self, is_there: bool) -> Option<Option<u64>> {
        if !is_there {
            return Some(None);
        }
        Some(Some(u64::from(self.u32()?) << 32 | u64::from(self.u32()?)))
    }
}
