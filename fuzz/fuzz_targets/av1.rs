//! The parsers of the plugin `av1`, which is no library for others, are compiled in here.
#![no_main]
#![allow(dead_code, reason = "a part of the plugin's files is used")]

#[path = "../../plugins/av1/src/bits.rs"]
mod bits;
#[path = "../bodies/av1.rs"]
mod body;
#[path = "../../plugins/av1/src/obu.rs"]
mod obu;
#[path = "../../plugins/av1/src/sequence.rs"]
mod sequence;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    body::run(bytes);
});
