//! Makes plugin files for tests: the crate `plugins/gain`, and C sources.
#![allow(dead_code, reason = "each test program uses its part")]

use std::{
    ffi::c_void,
    path::{Path, PathBuf},
    process::Command,
};

use levada_abi::{
    self as abi, Buffer, BufferVTable, Event, Format, HostVTable, LogSite, NodeHandle, Status,
    StreamInfo, Text,
};
use levada_plugin::{Config, Node, Port};

pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder for this test's files, gone when the value is.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder can be written")
}

/// Builds `plugins/gain` as its author would, and answers its library without debug information.
pub fn gain(folder: &Path) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "-p", "levada-gain", "--message-format=json"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let library = String::from_utf8(output.stdout)
        .expect("cargo writes UTF-8")
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|m| m["reason"] == "compiler-artifact" && m["target"]["name"] == "levada_gain")
        .find_map(|m| Some(PathBuf::from(m["filenames"][0].as_str()?)))
        .expect("the build names its library");
    let path = folder.join("libgain.so");
    // Without debug information a copy takes a tenth of the time. Where there is no `strip`, the
    // library serves as it is.
    let stripped = Command::new("strip")
        .args(["-g", "-o"])
        .args([&path, &library])
        .status();
    if !stripped.is_ok_and(|status| status.success()) {
        std::fs::copy(&library, &path).expect("the library can be copied");
    }
    path
}

/// The C plugin that `docs/write-a-plugin.md` shows, so that what it says is what is tested.
pub fn documented_c_source() -> String {
    let page = workspace().join("docs/write-a-plugin.md");
    let page = std::fs::read_to_string(page).expect("the page is there");
    let (_, rest) = page.split_once("```c\n").expect("the page has a C listing");
    let (source, _) = rest.split_once("```").expect("the listing ends");
    source.to_owned()
}

/// Replaces a part of a source that must be there.
pub fn edit(source: &str, from: &str, to: &str) -> String {
    assert!(
        source.contains(from),
        "{from:?} is not in the listing any more"
    );
    source.replace(from, to)
}

/// A table in C for [`offering`], as it should be.
pub const OFFERS: &str = "{ sizeof(LevadaOffersVTable), formats }";

/// The C plugin with the extension for what its ports offer.
pub fn offering(good: &str, table: &str, body: &str) -> String {
    edit(
        good,
        "    (void)name;\n    return NULL;\n",
        "    if (name.len == sizeof(LEVADA_OFFERS) - 1 && memcmp(name.ptr, LEVADA_OFFERS, name.len) == 0) {\n        \
         return &offers;\n    }\n    return NULL;\n",
    )
    .replace(
        "static const void *get_ext(",
        &format!(
            "__attribute__((unused)) static LevadaStatus formats(const LevadaNodeConfig *config, uint32_t port, \
             void *call, LevadaAnswer answer)\n{{\n    static const LevadaText bytes = LEVADA_TEXT(\"data/bytes\");\n    \
             {body}\n    if (config->linked_ports != 1u << port) return LEVADA_UNSUPPORTED;\n    \
             answer(call, bytes);\n    return LEVADA_OK;\n}}\n\
             static const LevadaOffersVTable offers = {table};\n\nstatic const void *get_ext("
        ),
    )
}

/// A source of messages.
pub struct Bell;

impl Node for Bell {
    const NAME: &'static str = "bell";
    const SUMMARY: &'static str = "Brings messages";
    const PORTS: &'static [Port] = &[Port::output("out").formats("data/*")];
    fn create(_: &Config) -> levada_plugin::Result<Self> {
        Ok(Bell)
    }
}

/// Compiles C to `lib<name>.so`. `None` when this machine has no C compiler, which in CI is a
/// failure.
pub fn compile(folder: &Path, name: &str, source: &str) -> Option<PathBuf> {
    compile_with(folder, name, source, &[])
}

/// [`compile`] with further arguments for the compiler.
pub fn compile_with(
    folder: &Path,
    name: &str,
    source: &str,
    arguments: &[&str],
) -> Option<PathBuf> {
    let file = folder.join(name).with_extension("c");
    std::fs::write(&file, source).expect("the folder can be written");
    let library = folder.join(format!("lib{name}.so"));
    let run = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args([
            "-std=c99",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Wno-unused-function",
            "-O1",
            "-shared",
            "-fPIC",
            "-I",
        ])
        .arg(workspace().join("abi/include"))
        .arg("-o")
        .args([&library, &file])
        .arg("-L")
        .arg(folder)
        .args(arguments)
        .output();
    match run {
        Ok(output) => {
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            Some(library)
        }
        Err(error) => {
            assert!(
                std::env::var_os("CI").is_none(),
                "CI needs a C compiler, and `cc` cannot be started: {error}"
            );
            eprintln!("skipped: no C compiler (`cc`: {error}); install gcc or clang, or set CC");
            None
        }
    }
}

/// A small generator of pseudo-random numbers (xorshift64*, Vigna 2016), so that a seed repeats a
/// run.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit
    }
}

/// A host for nodes that run without an engine: loans memory, knows no formats.
pub static HOST: HostVTable = HostVTable {
    size: size_of::<HostVTable>(),
    abi_version: abi::ABI_VERSION,
    host: std::ptr::null_mut(),
    log_enabled,
    log,
    error,
    loan,
    format_intern,
    format_get,
    stream_declare,
    stream_get,
    ingest,
    finish: gone,
    wake: gone,
    timer,
    now,
    raise,
    copied: count,
    dropped: count,
    signal: raise,
    progress,
};

/// Payload memory of these tests: heap bytes with a mark that says whether they may be written.
pub fn buffer(bytes: &[u8], is_writable: bool) -> Buffer {
    let memory = Box::new((bytes.to_vec(), is_writable));
    let (ptr, len) = (memory.0.as_ptr().cast_mut(), memory.0.len());
    let owner = Box::into_raw(memory).cast();
    let vtable = &raw const MEMORY;
    // SAFETY: the memory lives as long as the buffer, and `MEMORY` keeps the contract.
    unsafe {
        Buffer::from_raw(abi::RawBuffer {
            ptr,
            len,
            owner,
            vtable,
        })
    }
}

static MEMORY: BufferVTable = BufferVTable {
    size: size_of::<BufferVTable>(),
    retain: never,
    release,
    is_unique_and_writable,
    query,
};

unsafe extern "C" fn never(_: *mut c_void) {
    // These tests' nodes keep no second reference; one that does fails loudly.
    std::process::abort();
}

unsafe extern "C" fn release(owner: *mut c_void) {
    // SAFETY: made by `buffer`, and the only reference.
    drop(unsafe { Box::from_raw(owner.cast::<(Vec<u8>, bool)>()) });
}

unsafe extern "C" fn is_unique_and_writable(owner: *mut c_void) -> u8 {
    // SAFETY: made by `buffer`, and alive.
    u8::from(unsafe { &*owner.cast::<(Vec<u8>, bool)>() }.1)
}

unsafe extern "C" fn query(_: *mut c_void, _: Text) -> *const c_void {
    std::ptr::null()
}

unsafe extern "C" fn log_enabled(_: *mut c_void, _: *const LogSite) -> u8 {
    1
}
unsafe extern "C" fn log(_: *mut c_void, _: *const LogSite, message: Text) {
    // SAFETY: the text is valid for the call.
    eprintln!("{}", unsafe { message.as_str() });
}
unsafe extern "C" fn error(_: *mut c_void, _: NodeHandle, message: Text) {
    // SAFETY: the text is valid for the call.
    eprintln!("{}", unsafe { message.as_str() });
}
unsafe extern "C" fn loan(_: *mut c_void, _: NodeHandle, len: usize, out: *mut Buffer) -> Status {
    // SAFETY: `out` is writable (contract), and what it held before is not dropped.
    unsafe { out.write(buffer(&vec![0; len], true)) };
    Status::OK
}
unsafe extern "C" fn format_intern(_: *mut c_void, _: NodeHandle, _: *const Format) -> u32 {
    0
}
unsafe extern "C" fn format_get(_: *mut c_void, _: NodeHandle, _: u32) -> *const Format {
    std::ptr::null()
}
unsafe extern "C" fn stream_declare(_: *mut c_void, _: NodeHandle, _: *const StreamInfo) -> i32 {
    -1
}
unsafe extern "C" fn stream_get(_: *mut c_void, _: NodeHandle, _: u32) -> *const StreamInfo {
    std::ptr::null()
}
unsafe extern "C" fn ingest(
    _: *mut c_void,
    _: NodeHandle,
    _: u32,
    _: *mut abi::Frame,
    _: u32,
) -> i32 {
    Status::GONE.0
}
unsafe extern "C" fn gone(_: *mut c_void, _: NodeHandle) -> Status {
    Status::GONE
}
unsafe extern "C" fn timer(_: *mut c_void, _: NodeHandle, _: i64) -> Status {
    Status::GONE
}
unsafe extern "C" fn now(_: *mut c_void) -> i64 {
    0
}
unsafe extern "C" fn raise(_: *mut c_void, _: NodeHandle, _: u32, _: *const Event) -> Status {
    Status::GONE
}
unsafe extern "C" fn progress(_: *mut c_void, _: NodeHandle, _: i64, _: i64) {}

unsafe extern "C" fn count(_: *mut c_void, _: NodeHandle, _: u64) {}
