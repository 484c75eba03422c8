//! Plugin files, good, bad and damaged: every one is loaded, or refused in one sentence, and the
//! process that asked lives on.

mod plugin_support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use levada_abi::{self as abi, NodeConfig, NodeHandle, Status, Text};
use levada_engine::plugin::{LoadError, Loaded, inspect, load, trial};
use plugin_support::{HOST, Random, compile, documented_c_source, edit, folder, gain};

/// What trial children of this program run: see [`serve_in_trials`].
#[test]
fn trial_child() {
    trial::serve_if_asked();
}

/// Has this program, whose `main` is the test runner's, serve its own trials by the test above.
fn serve_in_trials() {
    trial::serve_by_arguments(["trial_child", "--exact", "--nocapture", "--test-threads=1"]);
    trial::remember_in(None);
}

fn try_load(path: &Path) -> Result<Loaded, LoadError> {
    serve_in_trials();
    let outcome = load(path, &HOST);
    if let Err(error) = &outcome {
        let text = error.to_string();
        let rest = text
            .strip_prefix(&*path.to_string_lossy())
            .and_then(|rest| rest.strip_prefix(": "))
            .unwrap_or_else(|| panic!("names its place: {text}"));
        assert!(
            !rest.contains('\n') && rest.len() < 1000,
            "one line: {text}"
        );
        assert!(rest.contains("; "), "has a remedy: {text}");
    }
    outcome
}

fn refused(path: &Path) -> LoadError {
    try_load(path).expect_err("the file is refused")
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    fs::write(&path, bytes).expect("the folder can be written");
    path
}

#[test]
fn a_plugin_is_loaded_once_however_often_it_is_asked_for() {
    let folder = folder();
    let path = gain(folder.path());
    let first = try_load(&path).expect("gain loads");
    assert_eq!(first.plugin.name(), "levada-gain");
    assert_eq!(first.plugin.types().len(), 1);
    assert!(first.panic_unwinds);
    assert_eq!(first.sdk_version, "1.0.0");
    let again = try_load(&path).expect("gain loads again");
    let vtable = |loaded: &Loaded| loaded.plugin.types()[0].vtable;
    assert_eq!(vtable(&first), vtable(&again), "the same library");

    let other = folder.path().join("libother.so");
    fs::copy(&path, &other).expect("the folder can be written");
    let other = try_load(&other).expect("the copy loads");
    assert_ne!(vtable(&first), vtable(&other), "a library of its own");
}

#[test]
fn a_file_that_is_overwritten_in_place_is_a_new_plugin_and_the_old_one_goes_on() {
    let folder = folder();
    let source = documented_c_source();
    let Some(path) = compile(folder.path(), "rebuilt", &source) else {
        return;
    };
    let old = try_load(&path).expect("it loads");
    let source = edit(
        &source,
        ".name = LEVADA_TEXT(\"invert\")",
        ".name = LEVADA_TEXT(\"rebuilt\")",
    );
    let Some(built) = compile(folder.path(), "new", &source) else {
        return;
    };
    // Not a rename: the very file that was loaded is truncated and written.
    fs::write(&path, fs::read(built).expect("it was built")).expect("it can be written");
    let new = try_load(&path).expect("the new content loads");
    let name = |loaded: &Loaded| {
        // SAFETY: names of a loaded plugin are static.
        unsafe { loaded.plugin.types()[0].name.as_str() }
    };
    assert_eq!((name(&old), name(&new)), ("invert", "rebuilt"));
    assert_eq!(run_invert(&old, &[1], true), [254]);
}

#[test]
fn what_is_no_library_is_refused_with_what_it_is() {
    let folder = folder();
    let folder = folder.path();
    for (path, words) in [
        (folder.join("libmissing.so"), "there is no such file"),
        (folder.to_owned(), "this is a directory, not a file"),
        (PathBuf::from("/dev/null"), "a device, pipe or socket"),
        (write(folder, "empty.so", b""), "this is an empty file"),
        (
            write(folder, "text.so", "links = [\"caf\u{e9}\"]\n".as_bytes()),
            "this is text",
        ),
        (
            write(folder, "four.so", b"\x7fELF"),
            "the file is truncated",
        ),
        (
            write(folder, "three.so", b"\x7fEL"),
            "this is a truncated file",
        ),
        (
            write(folder, "noise.so", &[0xaa; 300]),
            "a file of unknown content",
        ),
        (
            write(folder, "lib.a", b"!<arch>\n"),
            "this is a static library",
        ),
        (
            write(folder, "lib.dll", b"MZ\x90\0"),
            "a Windows program or library",
        ),
        (
            std::env::current_exe().expect("has a path"),
            "this is a program",
        ),
    ] {
        let error = refused(&path).to_string();
        assert!(error.contains(words), "{words:?} is not in: {error}");
    }
}

#[test]
fn a_library_of_another_machine_is_refused_with_both_names() {
    let folder = folder();
    let mut bytes = fs::read(gain(folder.path())).expect("it was built");
    // EM_S390, or where that is this machine, EM_AARCH64.
    let number: u16 = if cfg!(target_arch = "s390x") { 183 } else { 22 };
    bytes[18..20].copy_from_slice(&number.to_ne_bytes());
    let error = refused(&write(folder.path(), "other.so", &bytes));
    assert!(matches!(error, LoadError::OtherMachine { .. }), "{error}");
    bytes[4] = 1;
    let error = refused(&write(folder.path(), "narrow.so", &bytes));
    assert!(matches!(error, LoadError::OtherMachine { .. }), "{error}");
}

#[test]
fn a_library_without_entry_or_note_is_refused() {
    let folder = folder();
    let folder = folder.path();
    let Some(path) = compile(
        folder,
        "foo",
        "int foo(void);\nint foo(void) { return 1; }\n",
    ) else {
        return;
    };
    let error = refused(&path);
    assert!(matches!(error, LoadError::NoEntry { .. }), "{error}");
    let source = edit(
        &documented_c_source(),
        "LEVADA_NOTE(\"invert 1.0.0\");\n",
        "",
    );
    let path = compile(folder, "unmarked", &source).expect("the compiler was there before");
    let error = refused(&path);
    assert!(matches!(error, LoadError::NoNote { .. }), "{error}");
}

#[test]
fn another_version_of_the_contract_is_refused_with_both_versions() {
    let folder = folder();
    let original = fs::read(gain(folder.path())).expect("it was built");
    let note = original
        .windows(8)
        .position(|w| w == abi::NOTE_MAGIC)
        .expect("the library has a note");
    for (version, words) in [
        (
            2 << 16,
            "needs plugin ABI 2.0, this host offers 1.0; update the host",
        ),
        (
            1 << 16 | 1,
            "needs plugin ABI 1.1, this host offers 1.0; update the host",
        ),
        (
            7,
            "needs plugin ABI 0.7, this host offers 1.0; build the plugin",
        ),
    ] {
        let mut bytes = original.clone();
        bytes[note + 8..note + 12].copy_from_slice(&u32::to_ne_bytes(version));
        let error = refused(&write(folder.path(), "version.so", &bytes)).to_string();
        assert!(error.contains(words), "{error}");
    }
    // A description that disagrees with the note.
    let source = edit(
        &documented_c_source(),
        "    LEVADA_ABI_VERSION,",
        "    2u << 16,",
    );
    if let Some(path) = compile(folder.path(), "disagrees", &source) {
        let error = refused(&path).to_string();
        assert!(error.contains("needs plugin ABI 2.0"), "{error}");
    }
}

#[test]
fn a_plugin_that_misbehaves_is_refused_before_the_host_opens_it() {
    let folder = folder();
    let good = documented_c_source();
    let begin = "__attribute__((constructor)) static void begin(void)";
    let create = "static LevadaStatus create_at(void *memory, const LevadaNodeConfig *config)\n{\n";
    for (name, source, words) in [
        (
            "aborts",
            format!("{good}\n#include <stdlib.h>\n{begin} {{ abort(); }}\n"),
            "crashed with SIGABRT",
        ),
        (
            "writes_null",
            format!("{good}\n{begin} {{ *(volatile int *)8 = 1; }}\n"),
            "crashed with SIG",
        ),
        (
            "exits",
            format!(
                "{good}\n#include <stdlib.h>\n#include <stdio.h>\n\
                 {begin} {{ fputs(\"no licence\\n\", stderr); exit(0); }}\n"
            ),
            "ended the process (exit code 0) while a child process tried it (it wrote: no licence)",
        ),
        (
            "floods",
            format!(
                "{good}\n#include <stdlib.h>\n#include <stdio.h>\n\
                 {begin} {{ for (int i = 0; i < 200000; i++) fputs(\"flood \", stderr); abort(); }}\n"
            ),
            "crashed with SIGABRT",
        ),
        (
            "loops",
            edit(
                &good,
                create,
                &format!("{create}    for (volatile int i = 0;; i = i + 1) {{ }}\n"),
            ),
            "did not finish loading, creating and destroying its nodes within 10 s",
        ),
        (
            "no_process",
            edit(&good, "    process,\n", "    NULL,\n"),
            "node type \"invert\": has no function process",
        ),
        (
            "undefined",
            edit(
                &good,
                create,
                &format!("void nobody(void);\n{create}    nobody();\n"),
            ),
            "undefined symbol: nobody",
        ),
        (
            "bad_name",
            edit(
                &good,
                ".name = LEVADA_TEXT(\"invert\")",
                ".name = LEVADA_TEXT(\"In vert\")",
            ),
            "not made of a-z, 0-9, _ and -",
        ),
        (
            "bad_forward",
            edit(
                &good,
                "LEVADA_PORT_REQUIRED, LEVADA_TEXT(\"data/*\"), 1,",
                "0, LEVADA_TEXT(\"data/*\"), 7,",
            ),
            "node type \"invert\", port 0: forwards to port 7, which is no output",
        ),
        (
            "bad_align",
            edit(&good, "sizeof(void *)", "3"),
            "has a state_align of 3",
        ),
        (
            "no_plugin",
            edit(&good, "return &plugin;", "(void)plugin; return NULL;"),
            "the plugin's description: is null",
        ),
    ] {
        let Some(path) = compile(folder.path(), name, &source) else {
            return;
        };
        let error = refused(&path).to_string();
        assert!(
            error.contains(words),
            "{name}: {words:?} is not in: {error}"
        );
    }
}

#[test]
fn a_create_that_answers_an_error_is_no_reason_to_refuse() {
    let folder = folder();
    let good = documented_c_source();
    let create = "static LevadaStatus create_at(void *memory, const LevadaNodeConfig *config)\n{\n";
    let source = edit(
        &good,
        create,
        &format!("{create}    if (config) return LEVADA_FAILED;\n"),
    );
    if let Some(path) = compile(folder.path(), "choosy", &source) {
        try_load(&path).expect("an error is a clean outcome");
    }
}

#[test]
fn a_passed_trial_is_remembered_for_the_content() {
    let folder = folder();
    let memory = folder.path().join("trials");
    let path = gain(folder.path());
    serve_in_trials();
    trial::remember_in(Some(memory.clone()));
    load(&path, &HOST).expect("gain loads");
    let entries = fs::read_dir(&memory).expect("the folder was made").count();
    assert_eq!(entries, 1);
    // A copy of the same content needs no trial: one that hangs up at once would fail it.
    trial::serve_by_arguments(["--no-such-argument"]);
    let copy = folder.path().join("copy.so");
    fs::copy(&path, &copy).expect("the folder can be written");
    load(&copy, &HOST).expect("the content has passed before");
    // Other content does.
    let mut bytes = fs::read(&path).expect("it was built");
    bytes.push(0);
    let other = write(folder.path(), "longer.so", &bytes);
    let error = load(&other, &HOST).expect_err("the trial fails");
    assert!(matches!(error, LoadError::Exited { .. }), "{error}");
}

#[test]
fn a_plugin_written_in_c_runs() {
    let folder = folder();
    let Some(path) = compile(folder.path(), "invert", &documented_c_source()) else {
        return;
    };
    let loaded = try_load(&path).expect("it loads");
    assert_eq!(
        (loaded.plugin.name(), loaded.sdk_version.as_str()),
        ("invert", "invert 1.0.0")
    );
    assert!(!loaded.panic_unwinds, "C does not say");
    assert_eq!(
        run_invert(&loaded, &[0, 1, 0xf0], true),
        [0xff, 0xfe, 0x0f],
        "in place"
    );
    assert_eq!(
        run_invert(&loaded, &[0, 1, 0xf0], false),
        [0xff, 0xfe, 0x0f],
        "by a copy"
    );
}

/// Runs one node of the documented C plugin on one frame, by its functions alone.
fn run_invert(loaded: &Loaded, payload: &[u8], is_writable: bool) -> Vec<u8> {
    unsafe extern "C" fn emit(_: *mut std::ffi::c_void, _: u32, _: *mut abi::Frame) -> Status {
        Status::INVALID
    }
    let desc = loaded.plugin.types()[0];
    assert!(desc.state_size <= 64 && desc.state_align <= 8);
    let mut memory = [0u64; 8];
    let config = NodeConfig {
        size: size_of::<NodeConfig>(),
        node: NodeHandle {
            slot: 1,
            generation: 1,
        },
        session: 1,
        name: Text::new("under test"),
        params: std::ptr::null(),
        params_len: 0,
        linked_ports: 3,
        host: &raw const HOST,
        data: desc.data,
    };
    let ctx = abi::Context {
        call: std::ptr::null_mut(),
        now: 0,
        emit,
    };
    let mut frame = abi::Frame {
        buffer: plugin_support::buffer(payload, is_writable),
        ..abi::Frame::default()
    };
    let node = memory.as_mut_ptr().cast();
    // SAFETY: the descriptors were checked, the memory is as they ask, and the calls keep the
    // order of the contract.
    unsafe {
        let vtable = &*desc.vtable;
        assert_eq!((vtable.create_at)(node, &raw const config), Status::OK);
        assert_eq!((vtable.start)(node, &raw const ctx), Status::OK);
        assert_eq!(
            (vtable.process)(node, 0, &raw mut frame, 1, &raw const ctx),
            Status::OK
        );
        assert_eq!((vtable.drain)(node, &raw const ctx), Status::OK);
        assert_eq!((vtable.stop)(node), Status::OK);
        (vtable.destroy)(node);
    }
    frame.buffer.as_slice().to_vec()
}

#[test]
fn a_truncated_file_is_refused_at_every_length() {
    let folder = folder();
    let bytes = fs::read(gain(folder.path())).expect("it was built");
    let path = folder.path().join("truncated.so");
    let step = (bytes.len() / 200).max(1);
    for len in (0..4096)
        .chain((4096..bytes.len()).step_by(step))
        .chain([bytes.len() - 1])
    {
        fs::write(&path, &bytes[..len]).expect("the folder can be written");
        let error = refused(&path);
        assert!(
            matches!(
                error,
                LoadError::Truncated { .. } | LoadError::NotALibrary { .. }
            ),
            "{len} bytes: {error}"
        );
    }
}

/// Begin and size of the program headers.
fn program_headers(bytes: &[u8]) -> std::ops::Range<usize> {
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
    let half = |at: usize| u16::from_ne_bytes(bytes[at..at + 2].try_into().expect("2 bytes"));
    let begin = word(32) as usize;
    begin..begin + usize::from(half(54)) * usize::from(half(56))
}

#[test]
fn inspecting_any_bytes_gives_an_answer() {
    let folder = folder();
    let original = fs::read(gain(folder.path())).expect("it was built");
    let mut random = Random(0x1e7a_da00_0000_0002);
    let place = Path::new("any.so");
    for _ in 0..300 {
        let mut bytes = original.clone();
        // Damage where the structure is described, and one place anywhere.
        for _ in 0..1 + random.below(4) {
            let at = random.below(program_headers(&original).end);
            bytes[at] = random.below(256) as u8;
        }
        let at = random.below(bytes.len());
        bytes[at] = random.below(256) as u8;
        bytes.truncate(bytes.len() - random.below(3) * random.below(original.len() / 4));
        if let Err(error) = inspect::inspect(place, &bytes) {
            assert!(error.to_string().starts_with("any.so: "), "{error}");
        }
    }
}
