//! Which converters are inserted, what they are told, and where frames wait.

use super::*;
use crate::graph::Policy;

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
fn pictures_out_of_order_are_coded_again_for_who_wants_them_in_order_and_for_nobody_else() {
    let types = "
        film >out: video/h264;width=64;height=64;reordering=2
        page <in: video/vp8 video/h264;reordering=0
        file <in: video/h264 video/i420";
    let carried = |nodes: &[&str], link| with(types, nodes, &[link]).expect("a graph");
    assert_eq!(
        carried(&["film", "page"], "film -> page"),
        [
            "film.out -> page~h264-decoder.in: video/h264;width=64;height=64;reordering=2",
            // How it was coded is not said of the pictures themselves.
            "page~h264-decoder.out -> page~h264-encoder.in: video/i420;width=64;height=64",
            "page~h264-encoder.out -> page.in: video/h264;width=64;height=64",
        ]
    );
    // It goes on as it is as long as nobody minds, and who passes it on says so.
    assert_eq!(
        carried(&["film", "file"], "film -> file"),
        ["film.out -> file.in: video/h264;width=64;height=64;reordering=2"]
    );
    let links = ["film -> probe.in", "probe.out -> page"];
    let probed = with(types, &["film", "probe", "page"], &links).expect("a graph");
    assert_eq!(probed.len(), 4, "{probed:?}");
    // Of several it is what any of them may be.
    let nodes = ["film", "doorbell", "select", "page"];
    let links = [
        "film -> select.a",
        "doorbell -> select.b",
        "select.out -> page",
    ];
    let doorbell = "doorbell [live] >out: video/h264";
    let joined = with(&format!("{types}\n{doorbell}"), &nodes, &links).expect("a graph");
    assert!(
        joined.contains(&"select.out -> page~h264-decoder.in: video/h264;reordering=2".into()),
        "{joined:?}"
    );
    let maybe = "maybe >out: video/h264;reordering=0..2";
    let coded = with(
        &format!("{types}\n{maybe}"),
        &["maybe", "page"],
        &["maybe -> page"],
    );
    assert_eq!(coded.expect("a graph").len(), 3);
    // Where nobody says anything it is taken to be in order, and nothing is said.
    assert_eq!(
        carried(&["camera", "page"], "camera.video -> page"),
        ["camera.video -> page.in: video/vp8"]
    );
    let types = format!("{types}\ndoorbell [live] >out: video/h264");
    assert_eq!(
        with(&types, &["doorbell", "page"], &["doorbell -> page"]).expect("a graph"),
        ["doorbell.out -> page.in: video/h264"]
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
fn sound_becomes_that_of_a_telephone_only_where_it_has_to() {
    let types = "
        caller [live] >audio: audio/opus audio/pcmu;rate=8000;channels=1 audio/pcma;rate=8000;channels=1
        opus-decoder [converter] [heavy] <in: audio/opus >out: audio/f32;rate=48000|16000;channels=1..2 ?rate=48000:16000..48000
        g711-decoder [converter] <in: audio/pcmu audio/pcma >out: audio/f32
        g711-encoder [converter] <in: audio/f32;rate=8000;channels=1 >out: audio/pcmu
        wav <in: audio/f32 audio/pcmu audio/pcma
        trunk <in: audio/pcmu
        hears <in: audio/f32;rate=16000
        sings <in: audio/f32;rate=48000";
    // A recording could hold what a telephone sends as it comes; it would have to be heard.
    assert_eq!(
        with(types, &["caller", "wav"], &["caller -> wav"]).expect("a graph")[0],
        "caller.audio -> wav~opus-decoder.in: audio/opus"
    );
    // Two decoders cost more than one and a resampler for each.
    let links = ["caller -> hears", "caller -> sings"];
    let two = with(types, &["caller", "hears", "sings"], &links).expect("a graph");
    assert!(two[0].ends_with(": audio/opus"), "{two:?}");
    // What ends on a telephone gains nothing by another encoding before that.
    for nodes in [["caller", "trunk", ""], ["caller", "g711-decoder", "level"]] {
        let nodes: Vec<&str> = nodes.into_iter().filter(|n| !n.is_empty()).collect();
        let carried = with(types, &nodes, &[&nodes.join(" -> ")]).expect("a graph");
        assert_eq!(
            carried[0],
            format!(
                "caller.audio -> {}.in: audio/pcmu;rate=8000;channels=1",
                nodes[1]
            )
        );
        assert_eq!(carried.len(), nodes.len() - 1);
    }
    // Nor does what cannot be decoded.
    let types = "
        caller >audio: audio/opus audio/pcmu;rate=8000;channels=1
        wav <in: audio/f32 audio/pcmu";
    let built = graph(&["caller", "wav"], &["caller -> wav"]).build(&catalog(types));
    assert_eq!(
        built.expect("a graph").links[0].formats[0].to_string(),
        "audio/pcmu;rate=8000;channels=1"
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

/// A resampler that takes and makes two encodings, and sound of each.
const BOTH: &str = "
    resample [converter] <in+1: audio/f32 audio/s16 >out: audio/f32;rate=8000..192000;channels=1..8 audio/s16;rate=8000..192000;channels=1..8 ?rate=0:0..192000 ?channels=0:0..8 ?encoding=f32
    mic >out: audio/s16;rate=44100;channels=2
    phone <in: audio/s16;rate=8000;channels=1";

#[test]
fn samples_in_another_encoding_are_converted_where_a_resampler_takes_both() {
    let between = |from: &str, to: &str| {
        let told = with(BOTH, &[from, to], &[&format!("{from} -> {to}")]).expect("a graph");
        let types = catalog(&format!("{TYPES}\n{BOTH}"));
        let built = graph(&[from, to], &[&format!("{from} -> {to}")])
            .build(&types)
            .expect("a graph");
        (told, set(&built, &types, &format!("{to}~resample")))
    };
    let (told, params) = between("mic", "level");
    assert_eq!(
        told,
        [
            "mic.out -> level~resample.in: audio/s16;rate=44100;channels=2",
            "level~resample.out -> level.in: audio/f32;rate=44100;channels=2",
        ]
    );
    assert_eq!(params, ["rate=0", "channels=0", "encoding=\"f32\""]);
    // Both ways, and the rate and the channels with it.
    let (told, params) = between("tone", "phone");
    assert_eq!(
        told[1],
        "phone~resample.out -> phone.in: audio/s16;rate=8000;channels=1"
    );
    assert_eq!(params[0], "rate=8000");
    assert_eq!(params[2], "encoding=\"s16\"");
    // One that a graph names makes what its param says of either.
    let links = ["mic -> resample -> level"];
    let named = with(BOTH, &["mic", "resample rate=16000", "level"], &links);
    assert_eq!(
        named.expect("a graph"),
        [
            "mic.out -> resample.in: audio/s16;rate=44100;channels=2",
            "resample.out -> level.in: audio/f32;rate=16000;channels=2",
        ]
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

/// The params of the scaler between a source and a sink that state these formats, and what arrives behind it.
fn scaled(comes: &str, accepted: &str) -> (Vec<String>, String) {
    let types = format!("{TYPES}\n source >out: {comes}\n sink <in: {accepted}");
    let catalog = catalog(&types);
    let built = graph(&["source", "sink"], &["source -> sink"]).build(&catalog);
    let built = built.unwrap_or_else(|problems| panic!("{problems}"));
    let resize = built.links.iter().find(|link| {
        let from = &built.nodes[link.from.node];
        from.type_name == "resize"
    });
    let made = format::text(&resize.expect("a scaler").formats);
    (set(&built, &catalog, "sink~resize"), made)
}

#[test]
fn a_scaler_is_told_both_sides_where_both_are_wanted() {
    // 0 beside a number keeps the shape, which here would make a side that fits already another one.
    for comes in [
        "video/i420;width=320;height=360",
        "video/i420;width=640;height=720",
        "video/i420;width=640",
        "video/i420;height=360",
    ] {
        let wanted = "video/i420;width=640;height=360";
        let told = (vec!["width=640".into(), "height=360".into()], wanted.into());
        assert_eq!(scaled(comes, wanted), told, "{comes}");
        let (params, _) = scaled(comes, "video/h264;width=640;height=360");
        assert_eq!(params, told.0, "{comes}, encoded");
    }
}

#[test]
fn a_side_that_nobody_asks_for_follows_the_shape() {
    // Of what comes its height is known, of what is made it is not.
    assert_eq!(
        scaled("video/i420;width=320;height=360", "video/i420;width=640"),
        (
            vec!["width=640".into(), "height=0".into()],
            "video/i420;width=640;height=2..4096".into()
        )
    );
    // So does one that has a limit, as far as that goes.
    let limited = "video/i420;width=640;height=2..480";
    for (comes, height, made) in [
        ("video/i420", 0, "2..480"),
        ("video/i420;width=1280;height=480", 240, "240"),
        ("video/i420;width=320;height=361", 480, "480"),
    ] {
        assert_eq!(
            scaled(comes, limited),
            (
                vec!["width=640".into(), format!("height={height}")],
                format!("video/i420;width=640;height={made}")
            ),
            "{comes}"
        );
    }
}

#[test]
fn a_picture_in_another_layout_is_scaled_between_two_converters_of_layouts() {
    for (comes, accepted) in [
        ("video/rgba", "video/rgba;width=320;height=240"),
        (
            "video/rgba;width=640;height=480",
            "video/rgba;width=320;height=240",
        ),
        (
            "video/nv12;width=640;height=480",
            "video/rgba;width=320;height=240",
        ),
        ("video/rgba", "video/nv12;width=320"),
    ] {
        let types = format!("source >out: {comes}\n sink <in: {accepted}");
        let carried = with(&types, &["source", "sink"], &["source -> sink"])
            .unwrap_or_else(|problems| panic!("{comes} to {accepted}: {problems}"));
        let between: Vec<&str> = carried[1..]
            .iter()
            .map(|link| link.split_once(".out -> ").expect("an output").0)
            .collect();
        assert_eq!(
            between,
            ["sink~convert", "sink~resize", "sink~convert~2"],
            "{comes} to {accepted}"
        );
        let arrives = carried.last().expect("a link");
        assert!(arrives.contains(accepted), "{arrives}");
    }
    // A limit is none to scale for.
    let types = "source >out: video/rgba\n sink <in: video/rgba;width=2..320;height=2..240";
    let carried = with(types, &["source", "sink"], &["source -> sink"]);
    assert_eq!(carried.expect("a graph").len(), 1);
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
