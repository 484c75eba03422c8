//! `include/levada.h` says the same as the Rust types: every size, offset and constant, asserted by
//! a C compiler.

use std::{fmt::Write, path::Path, process::Command};

use levada_abi as abi;

/// Asserts about one struct. The pattern fails to compile when a field of the Rust type is missing.
macro_rules! layout {
    ($out:ident: $c:literal = $rust:ty as $pattern:ident { $($field:ident = $c_field:literal),+ $(,)? }) => {{
        #[allow(dead_code)]
        fn names_every_field(value: &$rust) {
            let abi::$pattern { $($field: _),+ } = value;
        }
        fn size_of_field<T, F>(_: fn(&T) -> &F) -> usize {
            size_of::<F>()
        }
        assert_that(&mut $out, concat!("sizeof(", $c, ")"), size_of::<$rust>() as u64);
        assert_that(&mut $out, concat!("_Alignof(", $c, ")"), align_of::<$rust>() as u64);
        $(
            assert_that(
                &mut $out,
                concat!("offsetof(", $c, ", ", $c_field, ")"),
                std::mem::offset_of!($rust, $field) as u64,
            );
            assert_that(
                &mut $out,
                concat!("sizeof(((", $c, " *)0)->", $c_field, ")"),
                size_of_field(|value: &$rust| &value.$field) as u64,
            );
        )+
    }};
}

fn assert_that(out: &mut String, expression: &str, value: u64) {
    let text = format!("{expression} is {value} in Rust").replace('"', "'");
    writeln!(out, "_Static_assert({expression} == {value}, \"{text}\");").expect("a String grows");
}

fn structs() -> String {
    let mut out = String::new();
    layout!(out: "LevadaText" = abi::Text as Text { ptr = "ptr", len = "len" });
    layout!(out: "LevadaPortList" = abi::List<abi::PortDesc> as List { ptr = "ptr", len = "len" });
    layout!(out: "LevadaParamList" = abi::List<abi::ParamDesc> as List { ptr = "ptr", len = "len" });
    layout!(out: "LevadaNodeTypeList" = abi::List<abi::NodeTypeDesc> as List { ptr = "ptr", len = "len" });
    layout!(out: "LevadaBufferVTable" = abi::BufferVTable as BufferVTable {
        size = "size", retain = "retain", release = "release",
        is_unique_and_writable = "is_unique_and_writable", query = "query",
    });
    layout!(out: "LevadaBuffer" = abi::RawBuffer as RawBuffer {
        ptr = "ptr", len = "len", owner = "owner", vtable = "vtable",
    });
    layout!(out: "LevadaSideData" = abi::SideData as SideData {
        id = "id", data = "data", size = "size", next = "next", retain = "retain",
        release = "release",
    });
    layout!(out: "LevadaFrame" = abi::Frame as Frame {
        buffer = "buffer", pts = "pts", duration = "duration", dts_delta = "dts_delta",
        format = "format", stream = "stream", flags = "flags", side = "side",
    });
    layout!(out: "LevadaFormat" = abi::Format as Format {
        size = "size", media = "media", rate = "rate", channels = "channels", width = "width",
        height = "height", frame_rate_milli = "frame_rate_milli", encoding = "encoding",
        config = "config",
    });
    layout!(out: "LevadaStreamInfo" = abi::StreamInfo as StreamInfo {
        size = "size", media = "media", label = "label",
    });
    layout!(out: "LevadaEvent" = abi::Event as Event {
        kind = "kind", stream = "stream", value = "value",
    });
    layout!(out: "LevadaNodeHandle" = abi::NodeHandle as NodeHandle {
        slot = "slot", generation = "generation",
    });
    layout!(out: "LevadaLogSite" = abi::LogSite as LogSite {
        level = "level", line = "line", target = "target", file = "file",
    });
    layout!(out: "LevadaHostVTable" = abi::HostVTable as HostVTable {
        size = "size", abi_version = "abi_version", host = "host", log_enabled = "log_enabled",
        log = "log", error = "error", loan = "loan", format_intern = "format_intern",
        format_get = "format_get", stream_declare = "stream_declare", stream_get = "stream_get",
        ingest = "ingest", finish = "finish", wake = "wake", timer = "timer", now = "now",
        raise = "raise", copied = "copied", dropped = "dropped", signal = "signal",
        progress = "progress",
    });
    layout!(out: "LevadaPortDesc" = abi::PortDesc as PortDesc {
        name = "name", direction = "direction", flags = "flags", formats = "formats",
        forwards_to = "forwards_to", max_out = "max_out",
    });
    layout!(out: "LevadaParamValue" = abi::ParamValue as ParamValue {
        float = "float_", integer = "integer", text = "text",
    });
    layout!(out: "LevadaParamDesc" = abi::ParamDesc as ParamDesc {
        name = "name", kind = "kind", required = "required", default = "default_", min = "min",
        max = "max", choices = "choices", unit = "unit", help = "help",
    });
    layout!(out: "LevadaNodeConfig" = abi::NodeConfig as NodeConfig {
        size = "size", node = "node", session = "session", name = "name", params = "params",
        params_len = "params_len", linked_ports = "linked_ports", host = "host", data = "data",
        formats = "formats", formats_len = "formats_len",
    });
    layout!(out: "LevadaContext" = abi::Context as Context {
        call = "call", emit = "emit", signal = "signal",
    });
    layout!(out: "LevadaNodeVTable" = abi::NodeVTable as NodeVTable {
        size = "size", create_at = "create_at", start = "start", process = "process",
        observe = "observe", tick = "tick", event = "event", drain = "drain", stop = "stop",
        destroy = "destroy", get_ext = "get_ext",
    });
    layout!(out: "LevadaOffersVTable" = abi::OffersVTable as OffersVTable {
        size = "size", formats = "formats",
    });
    layout!(out: "LevadaNodeTypeDesc" = abi::NodeTypeDesc as NodeTypeDesc {
        size = "size", name = "name", summary = "summary", ports = "ports", params = "params",
        cost = "cost", flags = "flags", latency_ns = "latency_ns", state_size = "state_size",
        state_align = "state_align", vtable = "vtable", data = "data",
    });
    layout!(out: "LevadaPluginDesc" = abi::PluginDesc as PluginDesc {
        size = "size", abi_version = "abi_version", name = "name", version = "version",
        types = "types", init = "init",
    });
    layout!(out: "LevadaNote" = abi::Note as Note {
        magic = "magic", abi_version = "abi_version", panic_unwinds = "panic_unwinds",
        sdk_version = "sdk_version",
    });
    out
}

fn constants() -> String {
    use abi::{
        Status, cost, direction, event, flags, level, media, param_kind, port_flags, type_flags,
    };
    let mut out = String::new();
    for (name, value) in [
        ("LEVADA_OK", Status::OK),
        ("LEVADA_FAILED", Status::FAILED),
        ("LEVADA_INVALID", Status::INVALID),
        ("LEVADA_GONE", Status::GONE),
        ("LEVADA_FULL", Status::FULL),
        ("LEVADA_UNSUPPORTED", Status::UNSUPPORTED),
        ("LEVADA_PANICKED", Status::PANICKED),
        ("LEVADA_KEPT", Status::KEPT),
        ("LEVADA_AGAIN", Status::AGAIN),
    ] {
        assert_that(
            &mut out,
            &format!("(uint32_t){name}"),
            u64::from(value.0 as u32),
        );
    }
    for (name, value) in [
        ("LEVADA_ABI_VERSION", abi::ABI_VERSION),
        ("LEVADA_FRAME_KEYFRAME", flags::KEYFRAME.into()),
        ("LEVADA_FRAME_DISCONTINUITY", flags::DISCONTINUITY.into()),
        ("LEVADA_FRAME_MARKER", flags::MARKER.into()),
        ("LEVADA_FRAME_DROPPABLE", flags::DROPPABLE.into()),
        ("LEVADA_FRAME_INTER", flags::INTER.into()),
        ("LEVADA_FRAME_MEDIA_SHIFT", flags::MEDIA_SHIFT),
        ("LEVADA_FRAME_MEDIA_MASK", flags::MEDIA_MASK.into()),
        ("LEVADA_MEDIA_AUDIO", media::AUDIO),
        ("LEVADA_MEDIA_VIDEO", media::VIDEO),
        ("LEVADA_MEDIA_DATA", media::DATA),
        (
            "LEVADA_EVENT_KEYFRAME_REQUEST",
            event::kind::KEYFRAME_REQUEST,
        ),
        ("LEVADA_EVENT_BITRATE", event::kind::BITRATE),
        ("LEVADA_EVENT_END_OF_STREAM", event::kind::END_OF_STREAM),
        ("LEVADA_EVENT_FLUSH", event::kind::FLUSH),
        ("LEVADA_EVENT_GAP", event::kind::GAP),
        ("LEVADA_ALL_STREAMS", event::ALL_STREAMS),
        ("LEVADA_LEVEL_ERROR", level::ERROR),
        ("LEVADA_LEVEL_WARN", level::WARN),
        ("LEVADA_LEVEL_INFO", level::INFO),
        ("LEVADA_LEVEL_DEBUG", level::DEBUG),
        ("LEVADA_LEVEL_TRACE", level::TRACE),
        ("LEVADA_INPUT", direction::INPUT),
        ("LEVADA_OUTPUT", direction::OUTPUT),
        ("LEVADA_PORT_REQUIRED", port_flags::REQUIRED),
        ("LEVADA_PORT_READ_ONLY", port_flags::READ_ONLY),
        ("LEVADA_NOWHERE", abi::NOWHERE),
        ("LEVADA_PARAM_FLOAT", param_kind::FLOAT),
        ("LEVADA_PARAM_INTEGER", param_kind::INTEGER),
        ("LEVADA_PARAM_BOOL", param_kind::BOOL),
        ("LEVADA_PARAM_TEXT", param_kind::TEXT),
        ("LEVADA_PARAM_CHOICE", param_kind::CHOICE),
        ("LEVADA_PARAM_PATH", param_kind::PATH),
        ("LEVADA_COST_LIGHT", cost::LIGHT),
        ("LEVADA_COST_HEAVY", cost::HEAVY),
        ("LEVADA_COST_BLOCKING", cost::BLOCKING),
        ("LEVADA_TYPE_LIVE", type_flags::LIVE),
        ("LEVADA_TYPE_PEER", type_flags::PEER),
        ("LEVADA_TYPE_CONVERTER", type_flags::CONVERTER),
    ] {
        assert_that(&mut out, name, value.into());
    }
    out
}

/// Compiles `source` against the header without output; answers the compiler's words, or `None`
/// when this machine has no C compiler (which in CI is a failure).
fn compile(name: &str, source: &str, language: &[&str]) -> Option<Result<(), String>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, source).expect("the target folder can be written");
    let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
    let run = Command::new(compiler)
        .args(language)
        .args([
            "-fsyntax-only",
            "-Wall",
            "-Wextra",
            "-pedantic",
            "-Werror",
            "-I",
        ])
        .arg(root.join("include"))
        .arg(&file)
        .output();
    match run {
        Ok(output) if output.status.success() => Some(Ok(())),
        Ok(output) => Some(Err(String::from_utf8_lossy(&output.stderr).into_owned())),
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

#[test]
fn the_header_has_the_layout_and_constants_of_the_rust_types() {
    let asserts = structs() + &constants();
    let source = format!("#include \"levada.h\"\nLEVADA_NOTE(\"test 1\");\n{asserts}");
    if let Some(outcome) = compile("layout.c", &source, &["-std=c11"]) {
        assert_eq!(outcome, Ok(()));
        // The same check must be able to fail.
        let wrong = source + "_Static_assert(sizeof(LevadaFrame) == 65, \"wrong on purpose\");\n";
        let outcome = compile("wrong.c", &wrong, &["-std=c11"]);
        assert!(matches!(outcome, Some(Err(said)) if said.contains("wrong on purpose")));
    }
}

#[test]
fn the_header_is_c99_and_cpp() {
    let source = "#include \"levada.h\"\nLEVADA_NOTE(\"test 1\");\n";
    for (name, language) in [
        ("header99.c", &["-std=c99"][..]),
        ("header.cpp", &["-x", "c++", "-std=c++11"]),
    ] {
        match compile(name, source, language) {
            None => return,
            // A C compiler may come without its C++ half; in CI both are there.
            Some(Err(said)) if said.contains("cc1plus") && std::env::var_os("CI").is_none() => {
                eprintln!("skipped: no C++ compiler");
            }
            Some(outcome) => assert_eq!(outcome, Ok(()), "{name}"),
        }
    }
}
