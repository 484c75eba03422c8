//! Which codecs a peer may agree to: those that the graph can take and give.
//!
//! The plan has settled one encoding for each stream of sound or pictures ([`Plan::formats`]). Where the
//! source of a stream offers others that would have cost the graph no more, and no converter depends on the
//! one that was taken, they do as well: what the peer agrees to then passes as it is.
//!
//! A connection has one list of codecs for both directions of a kind, and the peer may send any of it. So what a graph
//! both takes and gives has to be one of both ([`Ways::agreed`]), and a direction that it does not link is not agreed to.

use levada_engine::graph::{Graph, Link, Plan};
use levada_webrtc::{Codec, MediaKind, PeerConfig};

/// The codecs of a kind that a graph takes from a peer, and those that it gives, the preferred one first; none where no
/// port for them is linked.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ways {
    pub takes: Vec<Codec>,
    pub gives: Vec<Codec>,
}

impl Ways {
    pub fn of(plan: &Plan, kind: MediaKind) -> Ways {
        let graph = plan.graph();
        let mut ways = Ways::default();
        for (index, node) in graph.nodes.iter().enumerate() {
            if node.type_name == SOURCE {
                for port in ["audio", "video", "out"] {
                    let settled = plan.formats(&node.name, port);
                    let open = open(graph, &format!("{}.{port}", node.name));
                    add(&mut ways.takes, kind, settled.iter().chain(&open));
                }
            } else if node.type_name == SINK {
                for (at, link) in graph.links.iter().enumerate() {
                    if link.to.node == index {
                        let settled: Vec<_> =
                            link.formats.iter().map(ToString::to_string).collect();
                        let instead = instead(plan, at);
                        add(&mut ways.gives, kind, settled.iter().chain(&instead));
                    }
                }
            }
        }
        ways
    }

    pub fn is_linked(&self) -> bool {
        !self.takes.is_empty() || !self.gives.is_empty()
    }

    /// What may be agreed on.
    pub fn agreed(&self) -> Vec<Codec> {
        match (&self.takes[..], &self.gives[..]) {
            ([], only) | (only, []) => only.to_vec(),
            (takes, gives) => {
                let both = takes.iter().filter(|codec| gives.contains(codec));
                both.copied().collect()
            }
        }
    }
}

fn add<'a>(codecs: &mut Vec<Codec>, kind: MediaKind, formats: impl Iterator<Item = &'a String>) {
    for codec in formats.filter_map(|format| codec(format)) {
        if codec.kind() == kind && !codecs.contains(&codec) {
            codecs.push(codec);
        }
    }
}

/// `config` with the codecs and the directions of each kind that the graph links to a peer, the preferred codec first. A
/// kind that it does not link keeps its codecs, for nothing.
pub(crate) fn narrowed(config: &PeerConfig, plan: &Plan) -> PeerConfig {
    let mut narrowed = config.clone();
    narrowed.codecs.clear();
    for kind in MediaKind::ALL {
        let ways = Ways::of(plan, kind);
        if ways.is_linked() {
            let allowed = |codec: &Codec| config.codecs.contains(codec);
            narrowed
                .codecs
                .extend(ways.agreed().into_iter().filter(allowed));
        } else {
            narrowed.codecs.extend(config.codecs(kind));
        }
        restrict(
            &mut narrowed,
            kind,
            !ways.gives.is_empty(),
            !ways.takes.is_empty(),
        );
    }
    narrowed
}

/// Takes directions of a kind away.
pub(crate) fn restrict(config: &mut PeerConfig, kind: MediaKind, sends: bool, receives: bool) {
    let (may_send, may_receive) = match kind {
        MediaKind::Audio => (&mut config.send_audio, &mut config.receive_audio),
        MediaKind::Video => (&mut config.send_video, &mut config.receive_video),
    };
    *may_send &= sends;
    *may_receive &= receives;
}

/// The node types that belong to a peer.
const SOURCE: &str = "webrtc-source";
const SINK: &str = "webrtc-sink";

/// Whether nodes of this type take from a peer or give to one.
pub(crate) fn is_peer_node(type_name: &str) -> bool {
    [SOURCE, SINK].contains(&type_name)
}

/// What an output may send instead of what was chosen.
fn open(graph: &Graph, port: &str) -> Vec<String> {
    let is_converted = |format: &str| {
        let mut inserted = graph.nodes.iter().filter_map(|node| node.inserted.as_ref());
        inserted.any(|inserted| encoding(&inserted.takes.to_string()) == encoding(format))
    };
    let choices = graph.choices.iter().filter(|choice| choice.port == port);
    choices
        .filter(|choice| !is_converted(&choice.format))
        .flat_map(|choice| {
            let alike = choice.others.iter().filter(|o| o.cost == Some(choice.cost));
            alike.map(|other| other.format.clone())
        })
        .collect()
}

/// What a link may carry instead of what was settled, as the peer agrees: encodings such as `video/h264`. Empty for
/// a link that carries what it says.
pub(crate) fn instead(plan: &Plan, link: usize) -> Vec<String> {
    let graph = plan.graph();
    let mut found = Vec::new();
    for choice in &graph.choices {
        let carries = |link: &Link| {
            let mut formats = link.formats.iter().map(ToString::to_string);
            formats.any(|format| encoding(&format) == encoding(&choice.format))
        };
        // Where the choice's stream comes, as it is.
        let mut reached = vec![false; graph.links.len()];
        loop {
            let next = graph.links.iter().enumerate().position(|(at, candidate)| {
                let from_source = plan.port_name(candidate.from) == choice.port;
                let mut before = graph.links.iter().zip(&reached);
                let from_reached = before.any(|(l, is)| *is && l.to.node == candidate.from.node);
                !reached[at] && carries(candidate) && (from_source || from_reached)
            });
            match next {
                Some(at) => reached[at] = true,
                None => break,
            }
        }
        if reached[link] {
            for other in open(graph, &choice.port) {
                // What carries packets carries packets.
                let other = encoding(&other).to_owned();
                if kind_of(&other) == kind_of(&choice.format) && !found.contains(&other) {
                    found.push(other);
                }
            }
        }
    }
    found
}

/// `audio` or `video`.
fn kind_of(format: &str) -> &str {
    format.split('/').next().unwrap_or_default()
}

/// A format's media and encoding, without its keys.
fn encoding(format: &str) -> &str {
    format.split(';').next().unwrap_or_default()
}

/// The codec of a format such as `video/h264` or `audio/rtp-opus;rate=48000`.
pub(crate) fn codec(format: &str) -> Option<Codec> {
    Codec::from_mime_type(&encoding(format).replacen("/rtp-", "/", 1))
}

#[cfg(test)]
mod tests {
    use levada_engine::graph::GraphBuilder;

    use super::*;
    use crate::graph_file::builtin_types;

    fn codecs_of(nodes: &[(&str, &str)], links: &[&str], config: &PeerConfig) -> Vec<Codec> {
        let registry = builtin_types();
        let mut graph = GraphBuilder::new("test");
        for (name, type_name) in nodes {
            graph.node(name, type_name);
        }
        for link in links {
            graph.link(link);
        }
        let graph = graph.build(&registry).unwrap_or_else(|p| panic!("{p}"));
        let plan = Plan::new(graph, &registry).unwrap_or_else(|p| panic!("{p}"));
        narrowed(config, &plan).codecs
    }

    const PEER: [(&str, &str); 2] = [("browser", "webrtc-source"), ("screen", "webrtc-sink")];

    #[test]
    fn what_passes_as_it_is_may_be_any_codec() {
        let all = PeerConfig::default();
        for links in [
            &["browser.out -> screen.in"][..],
            &[
                "browser.video -> screen.video",
                "browser.audio -> screen.audio",
            ],
            &["browser.data -> screen.data"],
        ] {
            assert_eq!(codecs_of(&PEER, links, &all), Codec::ALL, "{links:?}");
        }
    }

    #[test]
    fn what_is_decoded_or_encoded_is_the_codec_of_the_converter() {
        let nodes = [PEER[0], PEER[1], ("meter", "level"), ("tone", "test-audio")];
        let links = [
            "browser.audio -> meter",
            "tone -> screen.audio",
            "browser.video -> screen.video",
        ];
        let h264 = PeerConfig {
            codecs: vec![Codec::Opus, Codec::H264],
            ..PeerConfig::default()
        };
        assert_eq!(codecs_of(&nodes, &links, &h264), h264.codecs);
        assert_eq!(
            codecs_of(&nodes, &links, &PeerConfig::default()),
            [Codec::Opus, Codec::Vp8, Codec::H264]
        );
    }

    /// What the links of a graph carry, with those to nodes that were inserted; the number is a rate.
    fn carried(nodes: &[(&str, &str, i64)], links: &[&str]) -> Vec<String> {
        let registry = builtin_types();
        let mut graph = GraphBuilder::new("test");
        for (name, type_name, rate) in nodes {
            let node = graph.node(name, type_name);
            if *rate > 0 {
                node.param("rate", *rate);
            }
        }
        for link in links {
            graph.link(link);
        }
        let graph = graph.build(&registry).unwrap_or_else(|p| panic!("{p}"));
        let formats = graph.links.iter().flat_map(|link| &link.formats);
        formats.map(ToString::to_string).collect()
    }

    #[test]
    fn opus_is_said_to_have_the_rate_that_its_frames_have_whatever_is_encoded() {
        let nodes = [("tone", "test-audio", 16_000), ("screen", "webrtc-sink", 0)];
        assert_eq!(
            carried(&nodes, &["tone -> screen.audio"]),
            [
                "audio/f32;rate=16000;channels=1",
                "audio/opus;rate=48000;channels=1"
            ]
        );
    }

    #[test]
    fn a_browser_is_asked_for_opus_where_its_sound_is_worked_on() {
        let nodes = [
            ("browser", "webrtc-source", 0),
            ("low", "mix", 16_000),
            ("high", "mix", 48_000),
            ("low-meter", "level", 0),
            ("high-meter", "level", 0),
        ];
        let links = [
            "browser.audio -> low.in1",
            "low -> low-meter",
            "browser.audio -> high.in1",
            "high -> high-meter",
        ];
        let carried = carried(&nodes, &links);
        assert!(carried[0].starts_with("audio/opus"), "{carried:?}");
    }

    #[test]
    fn names_of_formats_are_those_of_codecs() {
        assert_eq!(codec("video/h264"), Some(Codec::H264));
        assert_eq!(codec("audio/rtp-opus;rate=48000"), Some(Codec::Opus));
        assert_eq!(codec("video/i420"), None);
        assert_eq!(codec("data/text/plain"), None);
    }
}
