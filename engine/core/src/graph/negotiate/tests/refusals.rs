//! What is refused, with what is said of it; and the bounds of the search.

use super::*;
use crate::graph::Refusal;

#[test]
fn several_kinds_on_one_link_are_not_converted() {
    assert_eq!(
        refused(&["camera", "flip", "null"], &["camera.out -> flip -> null"]),
        "pipeline: link \"camera.out -> flip.in\": flip.in accepts video/i420, camera.out brings \
         audio/opus, video/vp8 and data/*, and what carries several kinds of media cannot be converted; \
         use a link for each kind of media: link \"camera.video -> flip.in\"\n\n1 problem"
    );
}

#[test]
fn several_encodings_on_one_link_are_not_converted() {
    assert_eq!(
        refused(
            &["camera", "tone", "select", "level"],
            &[
                "camera.audio -> select.a",
                "tone -> select.b",
                "select -> level"
            ]
        ),
        "pipeline: link \"select.out -> level.in\": level.in accepts audio/f32, select.out brings \
         audio/opus and audio/f32;rate=48000;channels=1, and streams of several encodings cannot be \
         converted on one link; convert them before they come to \"select\"\n\n1 problem"
    );
}

#[test]
fn a_graph_that_wants_no_conversions_names_the_nodes_to_insert() {
    let catalog = catalog(TYPES);
    let mut never = graph(
        &["camera", "flip", "screen"],
        &["camera.video -> flip -> screen.video"],
    );
    never.convert(Convert::Never);
    let told = never
        .build(&catalog)
        .expect_err("two conversions are missing")
        .to_string();
    assert_eq!(
        told,
        "pipeline: link \"camera.video -> flip.in\": flip.in accepts video/i420, camera.video offers \
         video/vp8, video/h264 or video/rtp-vp8; put a \"h264-decoder\" or \"vp8-decoder\" node between \
         them or leave out Convert::Never\n\n\
         pipeline: link \"flip.out -> screen.video\": screen.video accepts video/vp8, video/h264 or \
         video/rtp-vp8, flip.out offers video/i420; put a \"h264-encoder\" node between them or leave out \
         Convert::Never\n\n2 problems"
    );
    // Where several are needed they are named in their order, and what passes through shows late.
    let mut never = graph(
        &["probe", "screen"],
        &["tone -> probe.in", "probe -> screen.audio"],
    );
    never.node("tone", "tone").param("rate", 8000);
    never.convert(Convert::Never);
    let told = never
        .build(&catalog)
        .expect_err("a conversion is missing")
        .to_string();
    assert!(
        told.contains(
            "screen.audio accepts audio/opus or audio/rtp-opus, probe.out brings \
             audio/f32;rate=8000;channels=1; put nodes between them: \"resample\" and \"opus-encoder\" or \
             leave out Convert::Never"
        ),
        "{told}"
    );
}

#[test]
fn what_may_fit_is_accepted_where_nothing_is_to_be_converted() {
    let catalog = catalog(&format!("{TYPES}\nmic >out: audio/f32"));
    let mut never = graph(&["mic", "speaker"], &["mic -> speaker"]);
    never.convert(Convert::Never);
    let built = never.build(&catalog).expect("a graph");
    assert_eq!(
        told(&built, &catalog),
        ["mic.out -> speaker.in: audio/f32;rate=48000;channels=2"]
    );
}

/// A catalog that knows more than its types state, and how to get others.
struct Host(BTreeMap<String, TypeInfo>);

impl Catalog for Host {
    fn get(&self, name: &str) -> Option<&TypeInfo> {
        self.0.get(name)
    }
    fn names(&self) -> Vec<&str> {
        // In an order of its own, which counts for nothing.
        self.0.keys().rev().map(String::as_str).collect()
    }
    fn port_formats(
        &self,
        node: &crate::graph::Node,
        port: usize,
    ) -> Result<Option<Vec<String>>, Refusal> {
        match (node.type_name.as_str(), port) {
            ("file", 0) => Ok(Some(vec!["video/h264;width=640;height=360".into()])),
            ("cut", 1) => Ok(Some(vec!["video/i420;width=1..16284;height=1..360".into()])),
            ("file", _) => Err(Refusal {
                cause: "the file has no sound".into(),
                remedy: "remove the link".into(),
            }),
            _ => Ok(None),
        }
    }
    fn hint(&self, encoding: &str) -> Option<&str> {
        (encoding == "video/av1")
            .then_some("name its plugin: [plugins] av1 = { path = \"../av1\" }")
    }
}

#[test]
fn a_converter_that_is_not_there_is_told_with_how_to_get_it() {
    let host = Host(catalog(&format!(
        "{TYPES}\ntape >out: video/av1\nbox <in: video/av1"
    )));
    let told = |nodes: &[&str], link: &str| {
        let built = graph(nodes, &[link]).build(&host);
        built.expect_err("no converter").to_string()
    };
    assert_eq!(
        told(&["tape", "flip"], "tape -> flip"),
        "pipeline: link \"tape.out -> flip.in\": flip.in accepts video/i420, tape.out offers video/av1; \
         no node type here decodes video/av1: name its plugin: [plugins] av1 = { path = \"../av1\" }\n\n1 problem"
    );
    // Where nobody knows how to get it, what is missing is told all the same.
    let alone = Host(catalog("tape >out: video/h265\nflip <in: video/i420"));
    let problems = graph(&["tape", "flip"], &["tape -> flip"]).build(&alone);
    assert!(
        problems
            .expect_err("no converter")
            .to_string()
            .contains("offers video/h265; add a plugin whose node type decodes video/h265\n")
    );
    assert!(told(&["pattern", "box"], "pattern -> box").contains(
        "box.in accepts video/av1, pattern.out offers video/i420; no node type here encodes video/av1: name"
    ));
}

#[test]
fn where_packets_come_because_a_source_was_told_so_the_remedy_is_its_mode() {
    let told = |nodes: &[&str], links: &[&str]| refused(nodes, links);
    assert_eq!(
        told(
            &["camera mode=packets", "flip", "null"],
            &["camera.video -> flip -> null"]
        ),
        "pipeline: link \"camera.video -> flip.in\": flip.in accepts video/i420, camera.video brings \
         video/rtp-vp8; write mode = \"encoded\" in the params of \"camera\"\n\n1 problem"
    );
    // Also where something stands between that lets everything through.
    let through = told(
        &["camera mode=packets", "probe", "flip", "null"],
        &["camera.video -> probe.in", "probe -> flip -> null"],
    );
    assert!(
        through.contains("; write mode = \"encoded\" in the params of \"camera\"\n"),
        "{through}"
    );
    // Pictures that are no packets would be of no use here either.
    let sound = told(
        &["camera mode=packets", "level"],
        &["camera.video -> level"],
    );
    assert!(!sound.contains("mode ="), "{sound}");
}

#[test]
fn a_catalog_may_know_what_is_in_a_file() {
    let host = Host(catalog(&format!(
        "{TYPES}\nfile >video: video/vp8 video/h264"
    )));
    let built = graph(&["file", "screen"], &["file -> screen.video"]).build(&host);
    let built = built.expect("a graph");
    assert_eq!(
        built.links[0].formats[0].to_string(),
        "video/h264;width=640;height=360"
    );
}

#[test]
fn what_a_catalog_knows_of_a_port_counts_and_not_what_params_or_inputs_say() {
    let host = Host(catalog(&format!(
        "{TYPES}
        eye >out: video/i420;width=640;height=180
        cut <in+1: video/i420 >out: video/i420;width=1..16384;height=1..16384 ?left=100 ?width=0 ?height=360"
    )));
    let built = graph(&["eye", "cut", "null"], &["eye -> cut -> null"]).build(&host);
    let built = built.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        built.links[1].formats[0].to_string(),
        "video/i420;width=1..16284;height=1..360"
    );
}

#[test]
fn a_catalog_may_refuse_a_port_and_is_asked_about_linked_ones_only() {
    let host = Host(catalog(&format!(
        "{TYPES}\nfile >video: video/vp8 video/h264 >audio: audio/opus"
    )));
    // The port for sound is not linked, so that there is none is no matter.
    let built = graph(&["file", "screen"], &["file.video -> screen.video"]).build(&host);
    assert!(built.is_ok(), "{built:?}");
    let built = graph(&["file", "null"], &["file.audio -> null"]).build(&host);
    assert_eq!(
        built.expect_err("no sound").to_string(),
        "pipeline: \"file\" (file): the file has no sound; remove the link\n\n1 problem"
    );
}

#[test]
fn what_a_type_states_has_to_be_patterns() {
    let types = "bad >out: audio/f32;rat=1";
    let told = with(types, &["bad", "null"], &["bad -> null"])
        .expect_err("it cannot be read")
        .to_string();
    assert_eq!(
        told,
        "pipeline: port \"out\" of node type \"bad\": the format \"audio/f32;rat=1\" has the key \"rat\"; \
         those of audio are rate and channels; correct what the plugin states, or use another node \
         type\n\n1 problem"
    );
}

// The search.

#[test]
fn more_combinations_than_are_tried_still_end_well() {
    // 2^12 combinations, the second encoding better for each: the search goes on from the best it has.
    let types = "
        two >out: video/vp9 video/h264
        want <in: video/h264
        vp9-decoder [converter] [heavy] <in: video/vp9 >out: video/i420";
    let names: Vec<String> = (0..12)
        .flat_map(|n| [format!("two{n}"), format!("want{n}")])
        .collect();
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    let links: Vec<String> = (0..12).map(|n| format!("two{n} -> want{n}")).collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    let carried = with(types, &nodes, &links).expect("a graph");
    assert!(
        carried.iter().all(|link| link.ends_with("video/h264")),
        "{carried:?}"
    );
    assert_eq!(carried.len(), 12);
}

#[test]
fn converters_count_for_the_size_of_a_graph() {
    let names: Vec<String> = (0..400)
        .flat_map(|n| [format!("pattern{n}"), format!("small{n}")])
        .collect();
    let nodes: Vec<&str> = names.iter().map(String::as_str).collect();
    let links: Vec<String> = (0..400)
        .map(|n| format!("pattern{n} -> small{n}"))
        .collect();
    let links: Vec<&str> = links.iter().map(String::as_str).collect();
    assert_eq!(
        refused(&nodes, &links),
        "pipeline: with the 400 converters that it needs, the graph has 1200 nodes and 800 links; keep to \
         1024 nodes and 4096 links a graph, or split it\n\n1 problem"
    );
}
