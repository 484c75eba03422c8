//! Node types for tests, shaped like those that the engine is used with.

use std::collections::BTreeMap;

use levada_engine::graph::{Cost, Direction, ParamInfo, ParamKind, ParamValue, PortInfo, TypeInfo};

/// What WebRTC carries.
const AUDIO: &str = "audio/opus audio/rtp-opus";
const VIDEO: &str = "video/vp8 video/h264 video/rtp-vp8 video/rtp-h264";

pub fn catalog() -> BTreeMap<String, TypeInfo> {
    [
        node("test-audio")
            .output("out", "audio/f32")
            .number("frequency", Some(440.0), 20.0, 20_000.0, "Hz")
            .number("db", Some(-20.0), -120.0, 0.0, "dB")
            .param(
                "rate",
                ParamKind::Integer,
                Some(ParamValue::Integer(48_000)),
            )
            .range(8_000.0, 192_000.0)
            .param("channels", ParamKind::Integer, Some(ParamValue::Integer(1)))
            .range(1.0, 8.0),
        node("gain")
            .input("in", "audio/f32 audio/s16", true)
            .output("out", "audio/f32 audio/s16")
            .number("db", Some(0.0), -60.0, 60.0, "dB")
            // No node type has a switch yet; the one here stands for those to come.
            .param("mute", ParamKind::Bool, Some(ParamValue::Bool(false))),
        node("mix")
            .input("left", "audio/f32", true)
            .input("right", "audio/f32", false)
            .output("out", "audio/f32"),
        node("level")
            .input("in", "audio/f32 audio/s16", true)
            .number("every", Some(1.0), 0.02, 3600.0, "s"),
        node("null").input("in", "*", true),
        node("probe")
            .input("in", "*", true)
            .output("out", "*")
            .number("every", Some(0.0), 0.0, 3600.0, "s"),
        node("file-source")
            .output("video", "video/vp8")
            .param("path", ParamKind::Text, None)
            .help("the file to read"),
        node("vp8-decode")
            .input("in", "video/vp8", true)
            .output("out", "video/i420"),
        node("window").input("in", "video/i420", true),
        node("wave-source").output("out", "audio/aac"),
        node("wave-decoder")
            .converter()
            .input("in", "audio/aac", true)
            .output("out", "audio/f32"),
        node("wave-packer")
            .converter()
            .input("in", "audio/f32", true)
            .output("out", "audio/s24"),
        node("wave-sink").input("in", "audio/s24", true),
        node("webrtc-source")
            .live()
            .output("audio", AUDIO)
            .output("video", VIDEO)
            .output("data", "data/*")
            .output("out", &format!("{AUDIO} {VIDEO} data/*"))
            .param(
                "mode",
                ParamKind::Choice(vec!["encoded".into(), "packets".into()]),
                Some("encoded".into()),
            ),
        node("webrtc-sink")
            .input("audio", AUDIO, false)
            .input("video", VIDEO, false)
            .input("data", "data/*", false)
            .input("in", &format!("{AUDIO} {VIDEO} data/*"), false),
    ]
    .into_iter()
    .map(|node| (node.0.name.clone(), node.0))
    .collect()
}

struct TypeBuilder(TypeInfo);

fn node(name: &str) -> TypeBuilder {
    TypeBuilder(TypeInfo {
        name: name.into(),
        summary: String::new(),
        plugin: "test".into(),
        plugin_version: "1.0.0".into(),
        ports: Vec::new(),
        params: Vec::new(),
        cost: Cost::Light,
        converter: false,
        live: false,
        latency_ns: 0,
    })
}

impl TypeBuilder {
    fn live(mut self) -> Self {
        self.0.live = true;
        self
    }

    fn converter(mut self) -> Self {
        self.0.converter = true;
        self
    }

    fn input(self, name: &str, formats: &str, required: bool) -> Self {
        self.port(name, formats, Direction::Input, required)
    }

    fn output(self, name: &str, formats: &str) -> Self {
        self.port(name, formats, Direction::Output, false)
    }

    fn port(mut self, name: &str, formats: &str, direction: Direction, required: bool) -> Self {
        self.0.ports.push(PortInfo {
            name: name.into(),
            direction,
            formats: formats.split(' ').map(String::from).collect(),
            forwards_to: None,
            required,
            read_only: false,
        });
        self
    }

    fn number(self, name: &str, default: Option<f64>, min: f64, max: f64, unit: &str) -> Self {
        let mut node = self
            .param(name, ParamKind::Float, default.map(ParamValue::Float))
            .range(min, max);
        if let Some(param) = node.0.params.last_mut() {
            param.unit = unit.into();
        }
        node
    }

    fn param(mut self, name: &str, kind: ParamKind, default: Option<ParamValue>) -> Self {
        self.0.params.push(ParamInfo {
            name: name.into(),
            kind,
            default,
            min: None,
            max: None,
            unit: String::new(),
            help: String::new(),
        });
        self
    }

    fn range(mut self, min: f64, max: f64) -> Self {
        if let Some(param) = self.0.params.last_mut() {
            (param.min, param.max) = (Some(min), Some(max));
        }
        self
    }

    fn help(mut self, help: &str) -> Self {
        if let Some(param) = self.0.params.last_mut() {
            param.help = help.into();
        }
        self
    }
}
