//! What travels on a link, and in which encoding.

use super::*;

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
fn a_side_that_is_not_set_stays_as_it_comes_where_the_other_does() {
    let types = "eye >out: video/i420;width=640;height=180";
    let of = |params: &str| {
        let nodes = ["eye", &format!("resize{params}"), "null"];
        with(types, &nodes, &["eye -> resize -> null"]).expect("a graph")[1].clone()
    };
    assert_eq!(
        of(""),
        "resize.out -> null.in: video/i420;width=640;height=180"
    );
    // 0 beside a number keeps the shape of the picture, and not the side.
    assert_eq!(
        of(" width=320"),
        "resize.out -> null.in: video/i420;width=320;height=2..4096"
    );
    let nodes = ["eye", "resize width=320", "small"];
    assert_eq!(
        with(types, &nodes, &["eye -> resize -> small"]).expect("a graph")[1..],
        [
            "resize.out -> small~resize.in: video/i420;width=320;height=2..4096",
            "small~resize.out -> small.in: video/i420;width=320;height=180",
        ]
    );
}

#[test]
fn what_only_passes_frames_on_makes_nothing_of_its_own_of_what_does_not_come() {
    let types = "throttle <in+1: video/i420 data/* >out: video/i420 data/*";
    let carried = |nodes: &[&str], links: &[&str]| with(types, nodes, links).expect("a graph");
    assert_eq!(
        carried(
            &["pattern", "throttle", "screen"],
            &["pattern -> throttle -> screen.video"]
        )[1..],
        [
            "throttle.out -> screen~h264-encoder.in: video/i420;width=2..4096;height=2..4096",
            "screen~h264-encoder.out -> screen.video: video/h264;width=2..4096;height=2..4096",
        ]
    );
    // Where nothing is known to come all may.
    assert_eq!(
        carried(&["any", "throttle", "null"], &["any -> throttle -> null"])[1],
        "throttle.out -> null.in: video/i420 data/*"
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
