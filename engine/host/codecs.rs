//! Which codecs a peer may agree to: those that the graph can take and give.
//!
//! The plan has settled one encoding for each stream of sound or pictures ([`Plan::formats`]). Where the
//! source of a stream offers others that would have cost the graph no more, and no converter depends on the
//! one that was taken, they do as well: what the peer agrees to then passes as it is.

use levada_engine::graph::{Graph, Link, Plan};
use levada_webrtc::{Codec, MediaKind, PeerConfig};

/// `config` with the codecs of each kind that the graph links to a peer, the preferred one first. A kind
/// that it does not link keeps those that it has, and so does one of which the configuration leaves none:
/// the peer then says so.
pub(crate) fn narrowed(config: &PeerConfig, plan: &Plan) -> PeerConfig {
    let usable = usable(plan);
    let mut codecs = Vec::with_capacity(config.codecs.len());
    for kind in MediaKind::ALL {
        let of_kind: Vec<Codec> = usable
            .iter()
            .copied()
            .filter(|c| c.kind() == kind)
            .collect();
        if of_kind.is_empty() {
            codecs.extend(config.codecs(kind));
            continue;
        }
        let allowed = |codec: &Codec| config.codecs.contains(codec);
        codecs.extend(of_kind.into_iter().filter(allowed));
    }
    PeerConfig {
        codecs,
        ..config.clone()
    }
}

/// The node types that belong to a peer, and their ports for media.
const PEER_NODES: [(&str, [&str; 3]); 2] = [
    ("webrtc-source", ["audio", "video", "out"]),
    ("webrtc-sink", ["audio", "video", "in"]),
];

/// Whether nodes of this type take from a peer or give to one.
pub(crate) fn is_peer_node(type_name: &str) -> bool {
    PEER_NODES.iter().any(|(name, _)| *name == type_name)
}

/// The codecs that the graph can take from a peer or give to one; those that are taken come first.
pub(crate) fn usable(plan: &Plan) -> Vec<Codec> {
    let graph = plan.graph();
    let mut formats = Vec::new();
    for (type_name, ports) in PEER_NODES {
        for node in graph.nodes.iter().filter(|n| n.type_name == type_name) {
            for port in ports {
                formats.extend(plan.formats(&node.name, port));
                formats.extend(open(graph, &format!("{}.{port}", node.name)));
            }
        }
    }
    let mut codecs = Vec::new();
    for codec in formats.iter().filter_map(|format| codec(format)) {
        if !codecs.contains(&codec) {
            codecs.push(codec);
        }
    }
    codecs
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

    #[test]
    fn names_of_formats_are_those_of_codecs() {
        assert_eq!(codec("video/h264"), Some(Codec::H264));
        assert_eq!(codec("audio/rtp-opus;rate=48000"), Some(Codec::Opus));
        assert_eq!(codec("video/i420"), None);
        assert_eq!(codec("data/text/plain"), None);
    }
}
