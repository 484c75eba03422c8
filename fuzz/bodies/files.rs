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
    fs::write(path, bytes).expect("the folder for what is passing can be written to");
    let played = [0b11, 0b01, 0b10].map(|linked| play(path, linked));
    let _ = fs::remove_file(path);
    played.into_iter().max().unwrap_or(0)
}

fn play(path: &'static str, linked: u64) -> usize {
    let params = [("path", Value::Text(path)), ("pace", Value::Text("fast"))];
    let mut count = 0;
    let told = match Harness::<FileSource>::with_linked_ports(&params, linked) {
        Err(told) => told,
        Ok(mut node) => loop {
            match node.tick(0) {
                Ok(out) if out.is_empty() || count >= MOST => return count,
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
