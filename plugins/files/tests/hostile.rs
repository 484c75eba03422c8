//! Files of every kind, damaged and made up: playing them ends, in what is left or in an error that names the place,
//! and takes no more memory than the bounds of `docs/architecture.md` allow.
//!
//! Memory is limited for the whole process, so a parser that believes a size ends it, and a loop that grows as well.

mod support;

use std::{cell::OnceCell, fs, path::Path};

use levada_plugin::harness::Value;
use support::{boundaries, files, play};

/// Units of a file that are played at most.
const MOST: usize = 2_000;
/// What the process may take beyond what it has.
const MEMORY: u64 = 768 << 20;

/// Limits the memory of this process, once.
fn limit_memory() {
    #[cfg(target_os = "linux")]
    {
        use std::sync::Once;

        use rustix::process::{Resource, Rlimit, setrlimit};

        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
            let size = status.lines().find_map(|line| line.strip_prefix("VmSize:"));
            let kib = size.and_then(|size| size.trim().trim_end_matches(" kB").parse::<u64>().ok());
            let most = kib.expect("a number") * 1024 + MEMORY;
            let limit = Rlimit {
                current: Some(most),
                maximum: Some(most),
            };
            setrlimit(Resource::As, limit).expect("a lower limit is always granted");
        });
    }
}

/// Plays a file of these bytes, to its end or to where it is damaged: how many units, or what is told. Panics where the
/// node does.
fn survive(bytes: &[u8], start: f64) -> Result<usize, String> {
    thread_local! {
        static PATH: OnceCell<&'static str> = const { OnceCell::new() };
    }
    limit_memory();
    let path = PATH.with(|path| {
        *path.get_or_init(|| {
            let (_, path) = tempfile::NamedTempFile::new()
                .and_then(|file| Ok(file.keep()?))
                .expect("a file");
            path.to_string_lossy().into_owned().leak()
        })
    });
    fs::write(path, bytes).expect("it is written");
    let played = play(Value::Text(path), &[("start", Value::Float(start))], MOST);
    let _ = fs::remove_file(path);
    match played {
        Ok(tracks) => Ok(tracks.iter().map(|track| track.units.len()).sum()),
        Err(error) => {
            let text = error.to_string();
            assert!(!text.contains("panicked"), "{text}");
            Err(text)
        }
    }
}

/// What is wrong with what a file says, other than at a place in it.
fn names_its_place(told: &str) -> bool {
    told.contains("at byte")
        || told.contains("is empty")
        || told.contains("no file that file-source knows")
        || told.contains("that can be played")
}

/// Numbers from a seed (xorshift64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize
    }
}

#[test]
fn whole_files_of_every_kind_are_played() {
    for (name, bytes) in files() {
        let played = survive(&bytes, 0.0).unwrap_or_else(|told| panic!("{name}: {told}"));
        assert!(played >= 10, "{name}: {played} units");
        let later = survive(&bytes, 0.2).unwrap_or_else(|told| panic!("{name}: {told}"));
        assert!((1..=played).contains(&later), "{name}: {later} units");
    }
}

#[test]
fn a_file_that_is_cut_off_at_any_boundary_is_played_up_to_there_or_says_where() {
    for (name, bytes) in files() {
        let whole = survive(&bytes, 0.0).expect("it is whole");
        let places = boundaries(name, &bytes);
        // Of the many alike in the media, some.
        let step = (places.len() / 150).max(1);
        let some = places
            .iter()
            .take(60)
            .chain(places.iter().skip(60).step_by(step));
        for at in some
            .flat_map(|at| [*at, at + 1, at + 5, at + 9])
            .filter(|at| *at < bytes.len())
        {
            match survive(&bytes[..at], 0.0) {
                Ok(played) => assert!(played <= whole, "{name} cut to {at}: {played} units"),
                Err(told) => assert!(names_its_place(&told), "{name} cut to {at}: {told}"),
            }
        }
    }
}

#[test]
fn flipped_bytes_end_in_an_error_or_in_what_is_left() {
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for (name, bytes) in files() {
        let places = boundaries(name, &bytes);
        for case in 0..400 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + numbers.next() % 5 {
                // Half of them where the structure is.
                let at = match numbers.next() % 4 {
                    0 => numbers.next() % bytes.len(),
                    1 => numbers.next() % bytes.len().min(1_000),
                    _ => places[numbers.next() % places.len()] + numbers.next() % 16,
                };
                if let Some(byte) = damaged.get_mut(at) {
                    *byte ^= 1 << (numbers.next() % 8);
                }
            }
            let start = if case % 4 == 0 { 0.2 } else { 0.0 };
            if let Err(told) = survive(&damaged, start) {
                refused += 1;
                assert!(
                    names_its_place(&told) || told.contains("track"),
                    "{name} case {case}: {told}"
                );
            }
        }
    }
    assert!(refused > 500, "only {refused} were found out");
}

#[test]
fn parts_that_lie_about_their_size_are_found_out() {
    for (name, bytes) in files() {
        let places = boundaries(name, &bytes);
        for at in places.iter().take(120) {
            // The length, as each kind has it.
            let lies: Vec<(usize, Vec<u8>)> = match name.rsplit('.').next() {
                Some("mp4") => [0, 1, 7, 8, i32::MAX as u32, u32::MAX]
                    .map(|size| (*at, size.to_be_bytes().to_vec()))
                    .to_vec(),
                Some("wav") => [0, 1, 7, i32::MAX as u32, u32::MAX]
                    .map(|size| (at + 4, size.to_le_bytes().to_vec()))
                    .to_vec(),
                Some("ivf") => [0, 1, i32::MAX as u32, u32::MAX]
                    .map(|size| (*at, size.to_le_bytes().to_vec()))
                    .to_vec(),
                Some("ogg") => [0, 1, 255].map(|count| (at + 26, vec![count])).to_vec(),
                Some("mkv" | "webm") => {
                    let size_at = at + bytes[*at].leading_zeros() as usize + 1;
                    let len = bytes[size_at].leading_zeros() as usize + 1;
                    // Nothing, all that it can say, one less, and eight bytes over what follows.
                    let mut most = vec![0xff; len];
                    most[0] >>= len - 1;
                    let mut nothing = vec![0; len];
                    nothing[0] = 0x80 >> (len - 1);
                    let mut less = most.clone();
                    less[len - 1] -= 1;
                    let large = vec![0x01, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe];
                    [nothing, most, less, large]
                        .map(|size| (size_at, size))
                        .to_vec()
                }
                _ => vec![],
            };
            for (at, lie) in lies {
                let mut damaged = bytes.clone();
                let end = (at + lie.len()).min(damaged.len());
                damaged[at..end].copy_from_slice(&lie[..end - at]);
                if let Err(told) = survive(&damaged, 0.0) {
                    assert!(
                        names_its_place(&told) || told.contains("track"),
                        "{name} at {at}: {told}"
                    );
                }
            }
        }
    }
}

#[test]
fn huge_pictures_in_small_files_cost_nothing() {
    let raw = b"YUV4MPEG2 W16384 H16384 F25:1 C420\nFRAME\nxyz".to_vec();
    assert!(
        survive(&raw, 0.0).is_err_and(|told| told.contains("402653184 bytes, but the file ends"))
    );
    let beyond = b"YUV4MPEG2 W4000000000 H4000000000 F25:1 C420\nFRAME\n".to_vec();
    assert!(survive(&beyond, 0.0).is_err_and(|told| told.contains("16384 pixels")));
    let mut ivf =
        b"DKIF\0\0\x20\0VP80\0\x40\0\x40\x19\0\0\0\x01\0\0\0\xff\xff\xff\xff\0\0\0\0".to_vec();
    ivf.extend(b"\xff\xff\xff\x7f\0\0\0\0\0\0\0\0tiny");
    assert!(
        survive(&ivf, 0.0)
            .is_err_and(|told| told.contains("at byte 44") && told.contains("at most"))
    );
    // A Matroska file whose one block claims 4 GB, in a cluster that does not end.
    let mut webm = vec![0x1a, 0x45, 0xdf, 0xa3, 0x80];
    webm.extend([
        0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ]);
    let video = [0xe0, 0x88, 0xb0, 0x82, 0x40, 0, 0xba, 0x82, 0x40, 0];
    let mut entry = vec![0xd7, 0x81, 1, 0x83, 0x81, 1, 0x86, 0x85];
    entry.extend(b"V_VP8");
    entry.extend(video);
    webm.extend([
        0x16,
        0x54,
        0xae,
        0x6b,
        0x80 | (entry.len() as u8 + 2),
        0xae,
        0x80 | entry.len() as u8,
    ]);
    webm.extend(entry);
    webm.extend([
        0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ]);
    webm.extend([
        0xa3, 0x08, 0xff, 0xff, 0xff, 0xff, 0x81, 0, 0, 0x80, 1, 2, 3,
    ]);
    assert!(webm.len() < 200);
    // A segment without an end is one that is being written, so it ends where the file does.
    assert_eq!(survive(&webm, 0.0), Ok(0));
    let known = (webm.len() - 17) as u8;
    webm[9..17].copy_from_slice(&[0x01, 0, 0, 0, 0, 0, 0, known]);
    assert!(survive(&webm, 0.0).is_err_and(|told| told.contains("at byte")));
}

#[test]
fn a_track_that_nobody_plays_is_named_with_what_is_played() {
    // The pictures of a Matroska file become what they are not.
    let (_, mut bytes) = files()
        .into_iter()
        .find(|(name, _)| *name == "recorded.mkv")
        .expect("it is there");
    let at = bytes
        .windows(15)
        .position(|w| w == b"V_MPEG4/ISO/AVC")
        .expect("it is H.264");
    bytes[at..at + 15].copy_from_slice(b"V_MPEGH/ISO/XYZ");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("other.mkv");
    fs::write(&path, &bytes).expect("it is written");
    let params = [("path", support::text(Path::new(&path)))];
    let refused =
        levada_plugin::harness::Harness::<levada_files::FileSource>::with_linked_ports(&params, 2);
    let told = refused.err().map(|e| e.to_string()).unwrap_or_default();
    assert!(
        told.contains(
            "track 2 holds V_MPEGH/ISO/XYZ, which is not played, and H.264, VP8, VP9, AV1"
        ),
        "{told}"
    );
}
