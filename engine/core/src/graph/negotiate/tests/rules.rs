//! One claim for each rule.

use super::*;
use crate::graph::Policy;

// What travels.

#[test]
fn what_fits_is_left_alone() {
    assert_eq!(
        carried(&["tone", "gain", "level"], &["tone -> gain -> level"]),
        [
            "tone.out -> gain.in: audio/f32;rate=48000;channels=1",
            "gain.out -> level.in: audio/f32;rate=48000;channels=1",
        ]
    );
}

#[test]
fn what_lets_everything_through_carries_what_comes_in() {
    assert_eq!(
        carried(
            &["tone", "probe1", "probe2", "null"],
            &["tone -> probe1.in", "probe1 -> probe2.in", "probe2 -> null"]
        )[2],
        "probe2.out -> null.in: audio/f32;rate=48000;channels=1"
    );
    assert_eq!(
        carried(&["any", "null"], &["any -> null"]),
        ["any.out -> null.in: *"]
    );
}

#[test]
fn an_input_keeps_out_the_kinds_that_it_does_not_accept() {
    let types = "
        sound <in+1: audio/* >out: audio/*
        decode <in: video/vp8 >out: video/i420
        caption <in: audio/* >out: data/* video/*";
    assert_eq!(
        with(
            types,
            &["camera", "probe", "sound", "decode", "caption", "null"],
            &[
                "camera.out -> probe.in",
                "probe -> sound -> caption -> null",
                "probe -> decode"
            ]
        )
        .expect("a graph"),
        [
            "camera.out -> probe.in: audio/opus video/vp8 data/*",
            "probe.out -> sound.in: audio/opus",
            "sound.out -> caption.in: audio/opus",
            "caption.out -> null.in: data/* video/*",
            "probe.out -> decode.in: video/vp8",
        ]
    );
}

#[test]
fn a_mode_leaves_out_the_encodings_of_the_other() {
    let of = |mode: &str| {
        carried(
            &[&format!("camera mode={mode}"), "null"],
            &["camera.out -> null"],
        )
    };
    assert_eq!(
        of("packets"),
        ["camera.out -> null.in: audio/rtp-opus video/rtp-vp8 data/*"]
    );
    assert_eq!(
        of("encoded"),
        ["camera.out -> null.in: audio/opus video/vp8 data/*"]
    );
}

#[test]
fn frames_that_go_on_where_they_are_left_keep_their_encoding() {
    let types = "short >out: audio/s16";
    assert_eq!(
        with(
            types,
            &["short", "gain", "null"],
            &["short -> gain -> null"]
        )
        .expect("a graph")[1],
        "gain.out -> null.in: audio/s16"
    );
}

#[test]
fn a_converter_of_the_graph_makes_what_is_wanted_behind_it() {
    let types = "painter <in: video/rgba";
    let links = ["pattern -> convert -> painter"];
    assert_eq!(
        with(types, &["pattern", "convert", "painter"], &links).expect("a graph"),
        [
            "pattern.out -> convert.in: video/i420",
            "convert.out -> painter.in: video/rgba"
        ]
    );
    // One that is told what to make makes that.
    let told = with(
        types,
        &["pattern", "convert encoding=nv12", "painter"],
        &links,
    );
    assert_eq!(
        told.expect("a graph")[1..],
        [
            "convert.out -> painter~convert.in: video/nv12",
            "painter~convert.out -> painter.in: video/rgba"
        ]
    );
}

#[test]
fn a_param_named_like_a_key_says_what_an_output_has() {
    let carried = carried(&["tone rate=44100 channels=2", "null"], &["tone -> null"]);
    assert_eq!(
        carried,
        ["tone.out -> null.in: audio/f32;rate=44100;channels=2"]
    );
    // Out of what the type states, it means something else.
    let types = "odd >out: audio/f32;rate=8000..9000 ?rate=48000";
    assert_eq!(
        with(types, &["odd", "null"], &["odd -> null"]).expect("a graph"),
        ["odd.out -> null.in: audio/f32;rate=8000..9000"]
    );
}

#[test]
fn feedback_brings_its_formats_too() {
    assert_eq!(
        carried(
            &["tone", "probe1", "probe2", "pattern", "null"],
            &[
                "tone -> probe1.in",
                "probe1 -> probe2.in",
                "back: probe2 -> probe1.back",
                "probe2 -> null",
                "pattern -> probe2.back",
            ]
        )[1..4],
        [
            "probe1.out -> probe2.in: audio/f32;rate=48000;channels=1 video/i420",
            "probe2.out -> probe1.back: audio/f32;rate=48000;channels=1 video/i420",
            "probe2.out -> null.in: audio/f32;rate=48000;channels=1 video/i420",
        ]
    );
    assert_eq!(
        carried(
            &["probe1", "null"],
            &["back: probe1 -> probe1.in", "probe1 -> null"]
        )[1],
        "probe1.out -> null.in: *"
    );
}

// Conversions.

#[test]
fn a_picture_from_a_peer_is_decoded_worked_on_and_encoded_again() {
    assert_eq!(
        carried(
            &["camera", "flip", "screen"],
            &["camera.video -> flip -> screen.video"]
        ),
        [
            "camera.video -> flip~h264-decoder.in: video/h264",
            "flip~h264-decoder.out -> flip.in: video/i420",
            "flip.out -> screen~h264-encoder.in: video/i420;width=2..4096;height=2..4096",
            "screen~h264-encoder.out -> screen.video: video/h264;width=2..4096;height=2..4096",
        ]
    );
}

#[test]
fn fewest_codecs_come_before_the_declared_order_and_cost_before_both() {
    // VP8 is declared first; H.264 is what has to go back, so it is what is asked for.
    let catalog = catalog(TYPES);
    let links = ["camera.video -> flip -> screen.video"];
    let built = graph(&["camera", "flip", "screen"], &links)
        .build(&catalog)
        .expect("a graph");
    let [choice] = &built.choices[..] else {
        panic!("{:?}", built.choices)
    };
    assert_eq!(
        (choice.port.as_str(), choice.format.as_str()),
        ("camera.video", "video/h264")
    );
    assert_eq!(choice.cost, 40);
    let others: Vec<_> = choice
        .others
        .iter()
        .map(|o| (o.format.as_str(), o.cost))
        .collect();
    assert_eq!(others, [("video/vp8", Some(40))]);

    // Alone, the first that can be decoded is taken.
    let alone = carried(
        &["camera", "flip", "null"],
        &["camera.video -> flip -> null"],
    );
    assert_eq!(alone[0], "camera.video -> flip~vp8-decoder.in: video/vp8");
    // Passed on as it is, nothing costs anything.
    let echo = carried(&["camera", "screen"], &["camera.video -> screen.video"]);
    assert_eq!(echo, ["camera.video -> screen.video: video/vp8"]);
    // A sink that takes H.264 alone decides.
    let types = "file <in: video/h264";
    let links = ["camera.video -> file", "camera.video -> screen.video"];
    assert_eq!(
        with(types, &["camera", "file", "screen"], &links).expect("a graph"),
        [
            "camera.video -> file.in: video/h264",
            "camera.video -> screen.video: video/h264"
        ]
    );
}

#[test]
fn ports_of_a_node_with_the_same_encodings_send_the_same() {
    let types = "file <in: video/h264";
    let links = ["camera.video -> file", "camera.out -> screen.in"];
    assert_eq!(
        with(types, &["camera", "file", "screen"], &links).expect("a graph"),
        [
            "camera.video -> file.in: video/h264",
            "camera.out -> screen.in: audio/opus video/h264 data/*",
        ]
    );
}

#[test]
fn a_rate_that_is_not_known_passes_a_converter_that_looks_at_it() {
    let catalog = catalog(&format!("{TYPES}\nmic >out: audio/f32"));
    let built = graph(&["mic", "speaker"], &["mic -> speaker"]).build(&catalog);
    let built = built.expect("a graph");
    assert_eq!(
        told(&built, &catalog),
        [
            "mic.out -> speaker~resample.in: audio/f32",
            "speaker~resample.out -> speaker.in: audio/f32;rate=48000;channels=2",
        ]
    );
    assert_eq!(
        set(&built, &catalog, "speaker~resample"),
        ["rate=48000", "channels=2"]
    );
    let inserted = built.nodes[2].inserted.as_ref().expect("it was inserted");
    assert_eq!(
        inserted.why,
        "speaker.in accepts audio/f32;rate=48000;channels=2, mic.out brings audio/f32"
    );
    assert_eq!(inserted.links, ["mic.out -> speaker.in"]);
}

#[test]
fn a_converter_is_told_to_keep_what_does_already() {
    let catalog = catalog(TYPES);
    let nodes = ["tone rate=48000 channels=1", "speaker"];
    let built = graph(&nodes, &["tone -> speaker"])
        .build(&catalog)
        .expect("a graph");
    assert_eq!(
        set(&built, &catalog, "speaker~resample"),
        ["rate=0", "channels=2"]
    );
    let nodes = ["tone rate=44100 channels=6", "screen"];
    let built = graph(&nodes, &["tone -> screen.audio"])
        .build(&catalog)
        .expect("a graph");
    assert_eq!(
        told(&built, &catalog)[1],
        "screen~resample.out -> screen~opus-encoder.in: audio/f32;rate=48000;channels=2"
    );
}

#[test]
fn what_a_converter_keeps_is_within_what_it_states() {
    let decoder = "
        radio >out: audio/mp3
        mp3-decoder [converter] <in: audio/mp3 >out: audio/f32;rate=8000..48000;channels=1..2 ?rate=48000:8000..48000 ?channels=0:0..2";
    let types = catalog(&format!("{TYPES}{decoder}"));
    let built =
        |nodes: &[&str], links: &[&str]| graph(nodes, links).build(&types).expect("a graph");
    // Nothing is asked for: the default, and what comes.
    let heard = built(&["radio", "level"], &["radio -> level"]);
    assert_eq!(
        told(&heard, &types)[1],
        "level~mp3-decoder.out -> level.in: audio/f32;rate=48000;channels=1..2"
    );
    assert_eq!(
        set(&heard, &types, "level~mp3-decoder"),
        ["rate=48000", "channels=0"]
    );
    // One or two channels are what the encoder takes, so nothing stands between the two.
    let nodes = ["radio", "screen"];
    let sent = built(&nodes, &["radio -> screen.audio"]);
    assert_eq!(
        told(&sent, &types)[1],
        "screen~mp3-decoder.out -> screen~opus-encoder.in: audio/f32;rate=48000;channels=1..2"
    );
    // So it is where the graph has the decoder itself.
    let nodes = ["radio", "mp3-decoder", "screen"];
    let sent = built(&nodes, &["radio -> mp3-decoder -> screen.audio"]);
    assert_eq!(
        told(&sent, &types)[1],
        "mp3-decoder.out -> screen~opus-encoder.in: audio/f32;rate=48000;channels=1..2"
    );
    // One that can make what is wanted is told, and no other is needed.
    let low = catalog(&format!(
        "{TYPES}{decoder}\n phone <in: audio/f32;rate=8000;channels=1"
    ));
    let built = graph(&["radio", "phone"], &["radio -> phone"])
        .build(&low)
        .expect("a graph");
    assert_eq!(built.nodes.len(), 3);
    assert_eq!(
        set(&built, &low, "phone~mp3-decoder"),
        ["rate=8000", "channels=1"]
    );
}

#[test]
fn without_a_converter_what_may_fit_is_accepted() {
    let types = "mic >out: audio/s16
        phone <in: audio/s16;rate=8000";
    assert_eq!(
        with(types, &["mic", "phone"], &["mic -> phone"]).expect("a graph"),
        ["mic.out -> phone.in: audio/s16;rate=8000"]
    );
}

#[test]
fn a_codec_is_never_inserted_because_something_might_not_fit() {
    let types = "eye >out: video/h264
        slow <in: video/h264;width=640;height=360";
    assert_eq!(
        with(types, &["eye", "slow"], &["eye -> slow"]).expect("a graph"),
        ["eye.out -> slow.in: video/h264;width=640;height=360"]
    );
}

#[test]
fn a_size_is_scaled_where_one_is_asked_for_and_not_because_of_a_limit() {
    let types = "any-size >out: video/i420
        limited <in: video/i420;width=2..100;height=2..100";
    let of = |to: &str| with(types, &["any-size", to], &[&format!("any-size -> {to}")]);
    assert_eq!(of("limited").expect("a graph").len(), 1);
    assert_eq!(
        of("small").expect("a graph"),
        [
            "any-size.out -> small~resize.in: video/i420",
            "small~resize.out -> small.in: video/i420;width=320;height=180",
        ]
    );
}

#[test]
fn a_chain_is_as_long_as_needed_and_tells_each_converter_what_the_next_takes() {
    let catalog = catalog(&format!(
        "{TYPES}
        painter <in: video/rgba;width=64;height=64
        file >out: video/vp8"
    ));
    let built = graph(&["file", "painter"], &["file -> painter"]).build(&catalog);
    let built = built.expect("a graph");
    assert_eq!(
        told(&built, &catalog),
        [
            "file.out -> painter~vp8-decoder.in: video/vp8",
            "painter~vp8-decoder.out -> painter~resize.in: video/i420",
            "painter~resize.out -> painter~convert.in: video/i420;width=64;height=64",
            "painter~convert.out -> painter.in: video/rgba;width=64;height=64",
        ]
    );
    assert_eq!(
        set(&built, &catalog, "painter~resize"),
        ["width=64", "height=64"]
    );
    assert_eq!(
        set(&built, &catalog, "painter~convert"),
        ["encoding=\"rgba\""]
    );
}

#[test]
fn the_cheapest_way_counts_and_not_the_shortest() {
    // One node that decodes and encodes costs more than none of it: a light repacker and a decoder.
    let types = "
        tape >out: video/av1
        jump [converter] [heavy] <in: video/av1 >out: video/h264
        unpack [converter] <in: video/av1 >out: video/vp8";
    assert_eq!(
        with(types, &["tape", "flip", "null"], &["tape -> flip -> null"]).expect("a graph")[..2],
        [
            "tape.out -> flip~unpack.in: video/av1",
            "flip~unpack.out -> flip~vp8-decoder.in: video/vp8",
        ]
    );
}

#[test]
fn a_type_that_is_not_marked_or_has_to_be_told_more_is_not_inserted() {
    for decoder in [
        "av1-decoder <in: video/av1 >out: video/i420",
        "av1-decoder [converter] <in: video/av1 >out: video/i420 ?key=",
    ] {
        let types = format!("tape >out: video/av1\n{decoder}");
        let told = with(&types, &["tape", "flip"], &["tape -> flip"])
            .expect_err(decoder)
            .to_string();
        assert!(
            told.contains("flip.in accepts video/i420, tape.out offers video/av1; put a \"av1-decoder\" node between them"),
            "{told}"
        );
    }
}

// Several consumers.

#[test]
fn consumers_that_need_the_same_share_it() {
    let types = "
        look <in: video/i420
        thumb <in: video/i420;width=160;height=90";
    assert_eq!(
        with(
            types,
            &["camera", "flip", "look", "thumb"],
            &[
                "camera.video -> flip",
                "camera.video -> look",
                "camera.video -> thumb"
            ]
        )
        .expect("a graph"),
        [
            "camera.video -> flip~vp8-decoder.in: video/vp8",
            "flip~vp8-decoder.out -> flip.in: video/i420",
            "flip~vp8-decoder.out -> look.in: video/i420",
            "flip~vp8-decoder.out -> thumb~resize.in: video/i420",
            "thumb~resize.out -> thumb.in: video/i420;width=160;height=90",
        ]
    );
}

#[test]
fn links_of_different_policies_do_not_share() {
    let catalog = catalog(TYPES);
    let mut two = graph(&["camera", "flip1", "flip2"], &["camera.video -> flip1"]);
    two.link_with("camera.video -> flip2", Some(Policy::Latest), Some(2));
    let built = two.build(&catalog).expect("a graph");
    let names: Vec<&str> = built.nodes[3..].iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["flip1~vp8-decoder", "flip2~vp8-decoder"]);
    let of = |at: usize| (built.links[at].policy, built.links[at].capacity);
    assert_eq!(
        (of(2), of(3)),
        ((Policy::Latest, 2), (Policy::DropOldest, 8))
    );
}

#[test]
fn names_that_are_taken_get_a_number() {
    let types = "stereo <left: audio/f32;rate=48000 <right: audio/f32;rate=48000";
    let nodes = ["tone1 rate=8000", "tone2 rate=8000", "stereo"];
    let carried = with(
        types,
        &nodes,
        &["tone1 -> stereo.left", "tone2 -> stereo.right"],
    );
    assert_eq!(
        carried.expect("a graph")[2],
        "tone2.out -> stereo~resample~2.in: audio/f32;rate=8000;channels=1"
    );
}

// Where frames wait.

#[test]
fn what_a_link_states_holds_for_the_first_of_its_chain() {
    let catalog = catalog(TYPES);
    let mut wide = graph(&["tone rate=8000", "screen"], &[]);
    wide.link_with("tone -> screen.audio", Some(Policy::DropNewest), Some(3));
    let built = wide.build(&catalog).expect("a graph");
    let waits: Vec<_> = built.links.iter().map(|l| (l.policy, l.capacity)).collect();
    assert_eq!(
        waits,
        [
            (Policy::DropNewest, 3),
            (Policy::Block, 8),
            (Policy::Block, 8)
        ]
    );
}

#[test]
fn feedback_leads_back_at_the_end_of_its_chain() {
    let types = "mix <a: audio/f32;rate=48000 <b: audio/f32;rate=48000 >out: audio/f32
        slow <in: audio/f32 >out: audio/f32;rate=8000";
    let catalog = catalog(&format!("{TYPES}\n{types}"));
    let mut round = graph(&["tone", "mix", "slow"], &["tone -> mix.a", "mix -> slow"]);
    round.feedback("slow -> mix.b", None, Some(2));
    let built = round.build(&catalog).expect("a graph");
    let back: Vec<_> = built
        .links
        .iter()
        .map(|l| (l.feedback, l.capacity))
        .collect();
    assert_eq!(back, [(false, 8), (false, 8), (false, 8), (true, 2)]);
    assert_eq!(
        told(&built, &catalog)[3],
        "mix~resample.out -> mix.b: audio/f32;rate=48000;channels=1"
    );
    assert_eq!(built.topological_order().len(), built.nodes.len());
}

#[test]
fn an_aligned_input_waits_at_the_end_of_its_chain() {
    let catalog = catalog(TYPES);
    let mut aligned = GraphBuilder::new("test");
    aligned.node("camera", "camera");
    aligned.node("tone", "tone");
    aligned
        .node("screen", "screen")
        .sync_by_pts(std::time::Duration::ZERO);
    aligned.link_with("tone -> screen.audio", None, Some(20));
    aligned.link("camera.video -> screen.video");
    let built = aligned.build(&catalog).expect("a graph");
    assert_eq!((built.links[0].capacity, built.links[1].capacity), (20, 20));
}

// What is refused.

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
    fn port_formats(&self, node: &crate::graph::Node, port: usize) -> Option<Vec<String>> {
        (node.type_name == "file" && port == 0)
            .then(|| vec!["video/h264;width=640;height=360".into()])
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
