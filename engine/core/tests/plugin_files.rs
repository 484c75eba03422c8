//! Plugin files, good, bad and damaged: every one is loaded, or refused in one sentence, and the
//! process that asked lives on.

mod plugin_support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use levada_abi::{self as abi, NodeConfig, NodeHandle, Status, Text};
use levada_engine::graph::GraphBuilder;
use levada_engine::plugin::{LoadError, Loaded, Registry, inspect, load, trial};
use levada_plugin::Builtin;
use object::{Object, ObjectSection};
use plugin_support::{
    Bell, HOST, OFFERS, Random, compile, documented_c_source, edit, folder, gain, offering,
};

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
    // The type says what its ports offer, by this table and this body of its function.
    let offers = |table: &str, body: &str| offering(&good, table, body);
    for (name, source, words) in [
        (
            "offers_crashes",
            offers(OFFERS, "*(volatile int *)8 = 1;"),
            "crashed with SIG",
        ),
        (
            "offers_hangs",
            offers(OFFERS, "for (volatile int i = 0;; i = i + 1) { }"),
            "did not finish",
        ),
        (
            "offers_short",
            offers("{ 8, formats }", ""),
            "node type \"invert\": its extension levada.offers/1 says a size of 8 bytes where this version of the \
             contract has 16",
        ),
        (
            "offers_nothing",
            offers("{ sizeof(LevadaOffersVTable), NULL }", ""),
            "node type \"invert\": its extension levada.offers/1 has no function formats",
        ),
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
            "dead_end",
            edit(&good, "LEVADA_NOWHERE, 1 }", "LEVADA_NOWHERE, 0 }"),
            "node type \"invert\", port 0: forwards to port 1, whose max_out of 0 lets nothing out",
        ),
        (
            "bad_pattern",
            edit(
                &good,
                "LEVADA_PORT_REQUIRED, LEVADA_TEXT(\"data/*\"), 1,",
                "0, LEVADA_TEXT(\"audio/f32;rat=1\"), 1,",
            ),
            "node type \"invert\", port 0: has formats that cannot be read: the format \"audio/f32;rat=1\" has \
             the key \"rat\"; those of audio are rate and channels",
        ),
        (
            "bad_converter",
            edit(
                &edit(
                    &good,
                    ".cost = LEVADA_COST_LIGHT,",
                    ".cost = LEVADA_COST_LIGHT, .flags = LEVADA_TYPE_CONVERTER,",
                ),
                "{ LEVADA_TEXT(\"out\"), LEVADA_OUTPUT,",
                "{ LEVADA_TEXT(\"out\"), LEVADA_INPUT,",
            )
            .replace(
                "LEVADA_TEXT(\"data/*\"), 1, 0 }",
                "LEVADA_TEXT(\"data/*\"), LEVADA_NOWHERE, 0 }",
            ),
            "node type \"invert\": is marked as a converter, which has one input and one output, and has 2 and 0",
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
fn a_plugin_in_c_may_say_what_its_ports_offer() {
    let folder = folder();
    let source = offering(&documented_c_source(), OFFERS, "");
    let Some(path) = compile(folder.path(), "offers", &source) else {
        return;
    };
    let mut registry = Registry::default();
    registry.add(&try_load(&path).expect("it loads").plugin);
    registry.add(&Builtin::new("bells", "1.0.0").with::<Bell>().into_plugin());
    let mut graph = GraphBuilder::new("church");
    graph.node("bell", "bell");
    graph.node("invert", "invert");
    graph.link("bell -> invert");
    let built = graph.build(&registry).expect("a graph");
    // Its type states data/*, and so does the other end.
    assert_eq!(built.links[0].formats[0].to_string(), "data/bytes");
}

#[test]
fn a_library_that_looks_for_others_beside_itself_finds_them() {
    let folder = folder();
    let helper = "int help(void);\nint help(void) { return 0; }\n";
    if compile(folder.path(), "helper", helper).is_none() {
        return;
    }
    let create = "static LevadaStatus create_at(void *memory, const LevadaNodeConfig *config)\n{\n";
    let source = edit(
        &documented_c_source(),
        create,
        &format!("int help(void);\n{create}    if (help()) return LEVADA_FAILED;\n"),
    );
    let arguments = ["-lhelper", "-Wl,-rpath,$ORIGIN"];
    let path = plugin_support::compile_with(folder.path(), "helped", &source, &arguments)
        .expect("the compiler was there before");
    let loaded = try_load(&path).expect("it finds its helper");
    assert_eq!(run_invert(&loaded, &[1], true), [254]);
    let leftover = fs::read_dir(folder.path())
        .expect("it is there")
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with('.'));
    assert!(leftover.is_none(), "the copy's name is gone: {leftover:?}");
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
    unsafe extern "C" fn signal(_: *mut std::ffi::c_void, _: u32, _: *const abi::Event) -> Status {
        Status::INVALID
    }
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
        formats: std::ptr::null(),
        formats_len: 0,
    };
    let ctx = abi::Context {
        call: std::ptr::null_mut(),
        emit,
        signal,
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

/// A number from the environment, for longer runs by hand: `LEVADA_SEED` and `LEVADA_FLIPS`, the bits
/// flipped in each table.
fn number(variable: &str, default: u64) -> u64 {
    let value = std::env::var(variable).ok();
    value.map_or(default, |v| v.parse().expect("a number"))
}

/// Some bits of a range of bytes; all of them where there are no more than asked for.
fn some_bits(bytes: std::ops::Range<usize>, random: &mut Random, count: usize) -> Vec<usize> {
    let all = bytes.len() * 8;
    if all <= count {
        return (bytes.start * 8..bytes.end * 8).collect();
    }
    (0..count)
        .map(|_| bytes.start * 8 + random.below(all))
        .collect()
}

/// Flips one bit after the other in gain's library and loads each outcome. That this process is there
/// to count them is what the test is about.
fn flip_bits(name: &str, bits: impl FnOnce(&[u8], &mut Random, usize) -> Vec<usize>) {
    let folder = folder();
    let original = fs::read(gain(folder.path())).expect("it was built");
    let path = folder.path().join(name);
    let mut random = Random(number("LEVADA_SEED", 0x1e7a_da00_0000_0001));
    let count = number("LEVADA_FLIPS", 25) as usize;
    let (mut loaded, mut refused, mut by_trial) = (0, 0, 0);
    for bit in bits(&original, &mut random, count) {
        let mut bytes = original.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).expect("the folder can be written");
        match try_load(&path) {
            Ok(_) => loaded += 1,
            Err(error) => {
                refused += 1;
                by_trial += usize::from(inspect::inspect(&path, &bytes).is_ok());
                if number("LEVADA_SAY", 0) > 0 {
                    eprintln!("byte {:#x} bit {}: {error}", bit / 8, bit % 8);
                }
            }
        }
    }
    eprintln!("{name}: {loaded} loaded, {refused} refused, {by_trial} of them by a trial");
    assert!(refused > 0, "some bits matter");
}

#[test]
fn no_flipped_bit_of_the_elf_header_harms_the_host() {
    flip_bits("header.so", |_, random, count| {
        some_bits(0..64, random, count * 21)
    });
}

#[test]
fn no_flipped_bit_of_the_program_headers_harms_the_host() {
    flip_bits("program.so", |bytes, random, count| {
        some_bits(program_headers(bytes), random, count * 16)
    });
}

#[test]
fn no_flipped_bit_of_the_tables_that_the_loader_reads_harms_the_host() {
    flip_bits("tables.so", |bytes, random, count| {
        let file = object::File::parse(bytes).expect("the original is valid");
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let section_headers = word(40) as usize..bytes.len();
        let names = [
            ".dynsym",
            ".dynstr",
            ".gnu.hash",
            ".gnu.version",
            ".gnu.version_r",
            ".dynamic",
            ".rela.dyn",
            ".rela.plt",
            ".symtab",
            ".strtab",
            ".shstrtab",
            ".levada",
        ];
        let tables = names.iter().filter_map(|name| {
            let (begin, size) = file.section_by_name(name)?.file_range()?;
            Some(begin as usize..(begin + size) as usize)
        });
        tables
            .chain([section_headers])
            .filter(|table| !table.is_empty())
            .flat_map(|table| some_bits(table, random, count))
            .collect()
    });
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
