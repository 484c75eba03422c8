//! What `file-source` makes of any bytes: units within bounds, or an error, and no panic.

use std::{cell::OnceCell, fs};

use levada_files::FileSource;
use levada_plugin::harness::{Harness, Value};

/// Units that are played of a file at most.
const MOST: usize = 500;
/// The largest unit: what a file may have, its parameter sets, and samples that grow.
const LARGEST: usize = 96 << 20;

/// Plays a file of these bytes: how many units it gave.
///
/// # Panics
/// When a promise is broken.
pub fn run(bytes: &[u8]) -> usize {
    thread_local! {
        // A param's text is static, so a thread has one path for all of its files.
        static PATH: OnceCell<&'static str> = const { OnceCell::new() };
    }
    let path = PATH.with(|path| {
        *path.get_or_init(|| {
            let thread = format!("{:?}", std::thread::current().id()).replace(['(', ')'], "");
            let name = format!("levada-fuzz-{}-{thread}", std::process::id());
            std::env::temp_dir()
                .join(name)
                .to_string_lossy()
                .into_owned()
                .leak()
        })
    });
    fs::write(path, seal(bytes)).expect("the folder for what is passing can be written to");
    let begin = [0b11, 0b01, 0b10].map(|linked| play(path, linked, &[], MOST));
    // From within, around the end, and at a rate that is told.
    let within = [
        ("start", Value::Float(0.15)),
        ("fps", Value::Float(25.0)),
        ("loop", Value::Bool(true)),
    ];
    for linked in [0b11, 0b01, 0b10] {
        play(path, linked, &within, MOST / 10);
    }
    let _ = fs::remove_file(path);
    begin.into_iter().max().unwrap_or(0)
}

/// Pages of Ogg with checksums that fit: with those that do not, which other tests have, nothing behind them is read.
fn seal(bytes: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at) = (bytes.to_vec(), 0);
    while let Some([b'O', b'g', b'g', b'S', ..]) = bytes.get(at..)
        && let Some(count) = bytes.get(at + 26)
        && let Some(lengths) = bytes.get(at + 27..at + 27 + usize::from(*count))
    {
        let body: usize = lengths.iter().map(|n| usize::from(*n)).sum();
        let end = at + 27 + lengths.len() + body;
        let Some(page) = bytes.get_mut(at..end) else {
            break;
        };
        page[22..26].fill(0);
        let crc = page.iter().fold(0_u32, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| {
                sum << 1 ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 }
            })
        });
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
    bytes
}

fn play(path: &'static str, linked: u64, more: &[(&str, Value)], most: usize) -> usize {
    let mut params = vec![("path", Value::Text(path)), ("pace", Value::Text("fast"))];
    params.extend(more);
    let mut count = 0;
    let told = match Harness::<FileSource>::with_linked_ports(&params, linked) {
        Err(told) => told,
        Ok(mut node) => loop {
            match node.tick(0) {
                Ok(out) if out.is_empty() || count >= most => return count,
                Ok(out) => {
                    count += out.len();
                    assert!(
                        out.iter()
                            .all(|(_, frame)| frame.payload().len() <= LARGEST)
                    );
                }
                Err(told) => break told,
            }
        },
    };
    // The harness tells of a panic as a host does.
    assert!(!told.to_string().contains("panicked"), "{told}");
    count
}
