#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    levada_fuzz::h264::run(bytes);
});
