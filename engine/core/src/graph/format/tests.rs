//! Claims about patterns: by example, and for any patterns.

use proptest::prelude::*;

use super::*;

fn p(text: &str) -> Pattern {
    text.parse()
        .unwrap_or_else(|cause| panic!("{text} {cause}"))
}

#[test]
fn patterns_are_printed_as_they_are_read() {
    for (text, printed) in [
        ("*", "*"),
        ("audio/*", "audio/*"),
        ("Audio/F32", "audio/f32"),
        (
            "audio/f32;channels=2..1000;rate=48000",
            "audio/f32;rate=48000;channels=2..1000",
        ),
        (
            "audio/*;rate=48000|8000|8001..16000",
            "audio/*;rate=8000..16000|48000",
        ),
        ("video/i420;width=2..4096", "video/i420;width=2..4096"),
        ("video/h264;reordering=0..2", "video/h264;reordering=0..2"),
        ("data/application/json", "data/application/json"),
    ] {
        assert_eq!(p(text).to_string(), printed, "{text}");
    }
    let both = parse_patterns(" video/vp8  video/h264 ").expect("two patterns");
    assert_eq!(super::text(&both), "video/vp8 video/h264");
}

#[test]
fn what_is_no_pattern_is_told_with_its_remedy() {
    for (text, told) in [
        (
            "f32",
            "has no \"/\"; write a media and an encoding, such as audio/f32",
        ),
        (
            "text/plain",
            "is of no known media \"text\"; write audio, video or data",
        ),
        ("audio/", "has no encoding; write one, or \"*\" for any"),
        (
            "audio/f*",
            "has the encoding \"f*\"; use letters, digits, \"-\", \"_\", \".\", \"+\" and \"/\", or \"*\" alone",
        ),
        (
            "*;rate=1",
            "has keys, and \"*\" is of no media that has any; write audio/* or video/*",
        ),
        (
            "audio/f32;width=2",
            "has the key \"width\"; those of audio are rate and channels",
        ),
        ("data/*;rate=1", "has the key \"rate\"; data has none"),
        (
            "audio/f32;rate",
            "has \"rate\" where a key belongs; write ;key=value",
        ),
        (
            "audio/f32;rate=1;rate=2",
            "states rate twice; join both with \"|\"",
        ),
    ] {
        let told_here = text.parse::<Pattern>().expect_err(text);
        assert_eq!(told_here, told, "{text}");
    }
    for value in [
        "",
        "0",
        "-1",
        "2..1",
        "1..",
        "1..2..3",
        "48k",
        "+1",
        "4294967296",
    ] {
        let told = format!("audio/f32;rate={value}")
            .parse::<Pattern>()
            .expect_err(value);
        assert!(
            told.contains("write a number from 1, a range such as 1..8"),
            "{told}"
        );
    }
    assert_eq!(
        parse_patterns("audio/f32 f32").expect_err("the second is none"),
        "the format \"f32\" has no \"/\"; write a media and an encoding, such as audio/f32"
    );
}

#[test]
fn a_plugin_cannot_state_patterns_without_end() {
    let many = "audio/f32 ".repeat(MAX_PATTERNS + 1);
    assert!(parse_patterns(&many).is_err_and(|told| told.contains("more than 64")));
    let values = vec!["1"; MAX_ALTERNATIVES + 1].join("|");
    let told = format!("audio/f32;rate={values}").parse::<Pattern>();
    assert!(told.is_err_and(|told| told.contains("more than 32")));
    assert!(
        format!("audio/{}", "a".repeat(65))
            .parse::<Pattern>()
            .is_err()
    );
}

#[test]
fn patterns_meet_in_the_formats_that_fit_both() {
    for (a, b, both) in [
        ("*", "audio/f32", Some("audio/f32")),
        ("audio/*", "audio/f32", Some("audio/f32")),
        ("video/vp8", "video/h264", None),
        ("audio/*", "video/*", None),
        (
            "audio/f32;rate=48000",
            "audio/*;channels=2",
            Some("audio/f32;rate=48000;channels=2"),
        ),
        (
            "audio/f32;rate=8000..16000",
            "audio/f32;rate=16000|48000",
            Some("audio/f32;rate=16000"),
        ),
        ("audio/f32;rate=8000", "audio/f32;rate=16000", None),
    ] {
        let met = p(a).meet(&p(b)).map(|met| met.to_string());
        assert_eq!(met.as_deref(), both, "{a} and {b}");
    }
}

#[test]
fn a_number_of_a_set_that_loses_least_is_the_next_above() {
    let values = |text: &str| {
        p(&format!("audio/f32;rate={text}"))
            .values(Key::Rate)
            .cloned()
    };
    let rates = values("8000|12000..16000|48000").expect("stated");
    for (wanted, nearest) in [
        (1, 8000),
        (8001, 12000),
        (13000, 13000),
        (44100, 48000),
        (96000, 48000),
    ] {
        assert_eq!(rates.nearest_above(wanted), nearest, "{wanted}");
    }
    assert!(rates.has_range() && !values("1|3").expect("stated").has_range());
    assert_eq!(
        (rates.single(), values("7").expect("stated").single()),
        (None, Some(7))
    );
}

fn values() -> impl Strategy<Value = Option<Values>> {
    let range = (1_u32..12, 0_u32..4).prop_map(|(low, more)| (low, low + more));
    prop::option::of(
        prop::collection::vec(range, 1..4)
            .prop_map(|ranges| Values::of(ranges).expect("there is a range")),
    )
}

fn pattern() -> impl Strategy<Value = Pattern> {
    let name = prop::sample::select(vec![
        "*",
        "audio/*",
        "audio/f32",
        "audio/s16",
        "video/*",
        "video/i420",
    ]);
    (name, values(), values()).prop_map(|(name, a, b)| {
        let pattern = p(name);
        match pattern.media() {
            Some(Media::Audio) => pattern.with(Key::Rate, a).with(Key::Channels, b),
            _ => pattern.with(Key::Width, a).with(Key::Height, b),
        }
    })
}

/// Whether a format with these two values is of a pattern.
fn has(pattern: &Pattern, media: Media, encoding: &str, values: (u32, u32)) -> bool {
    let keys = media.keys();
    let is = |key: Key, value: u32| pattern.values(key).is_none_or(|v| v.contains(value));
    pattern.media().is_none_or(|m| m == media)
        && pattern.encoding().is_none_or(|e| e == encoding)
        && is(keys[0], values.0)
        && is(keys[1], values.1)
}

/// Every format that the patterns above tell apart.
fn formats() -> impl Iterator<Item = (Media, &'static str, (u32, u32))> {
    let names = [
        (Media::Audio, "f32"),
        (Media::Audio, "s16"),
        (Media::Video, "i420"),
    ];
    names.into_iter().flat_map(|(media, encoding)| {
        (1..16).flat_map(move |a| (1..16).map(move |b| (media, encoding, (a, b))))
    })
}

proptest! {
    #[test]
    fn a_meeting_has_the_formats_of_both_and_no_others(a in pattern(), b in pattern()) {
        let met = a.meet(&b);
        for (media, encoding, values) in formats() {
            let of_both = has(&a, media, encoding, values) && has(&b, media, encoding, values);
            let is_there = met.as_ref().is_some_and(|m| has(m, media, encoding, values));
            prop_assert_eq!(of_both, is_there);
        }
        prop_assert_eq!(&met, &b.meet(&a));
        if let Some(met) = met {
            prop_assert!(met.is_within(&a) && met.is_within(&b));
        }
    }

    #[test]
    fn one_is_within_another_when_that_has_all_its_formats(a in pattern(), b in pattern()) {
        let all = formats().all(|(media, encoding, values)| {
            !has(&a, media, encoding, values) || has(&b, media, encoding, values)
        });
        // A wildcard is not within a name, even where no other name is known here; nor is a key that is
        // open within one that states all numbers of this test.
        prop_assert!(!a.is_within(&b) || all);
        prop_assert!(a.is_within(&a) && a.is_within(&Pattern::ANY));
    }

    #[test]
    fn a_join_has_the_formats_of_either(a in pattern(), b in pattern()) {
        if let Some(either) = a.join(&b) {
            prop_assert!(a.is_within(&either) && b.is_within(&either));
            prop_assert_eq!(either, b.join(&a).expect("joined the other way round"));
        }
    }

    #[test]
    fn what_is_printed_reads_back(a in pattern()) {
        prop_assert_eq!(p(&a.to_string()), a);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z*/;=.|0-9 ]{0,40}") {
        let _ = parse_patterns(&text);
    }
}
