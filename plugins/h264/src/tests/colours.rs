//! What a stream states of its colours comes through: out of one, with the pictures, into the next.

use levada_plugin::colour::Colour;

use super::*;
use crate::sps;

const BROWSERS: &str = "range=full;primaries=bt709;transfer=bt709;matrix=bt709";

/// Picture `n` of a stream whose format states these colours.
fn coloured(harness: &Harness<H264Encoder>, n: i64, colour: &str) -> Result<Frame> {
    let format = Format::video("i420", 96, 64).with_config(colour);
    Ok(frame(harness, n, 96, 64)?.with_format_id(harness.format_id(&format)))
}

/// What the parameter set of a keyframe states; `None` where it has no word of colours.
fn stated(unit: &Frame) -> Option<String> {
    let sps = nal::look(unit.payload()).sps.expect("a parameter set");
    let colour = sps::read(sps).expect("a sound one").colour;
    (colour != Colour::default()).then(|| colour.to_string())
}

/// A picture of one host as another one's, with the format that it had, as filters in place leave it.
fn handed_on(from: &Harness<H264Decoder>, to: &Harness<H264Encoder>, picture: &Frame) -> Frame {
    let format = from.format(picture.format_id()).expect("a format");
    Frame::from_bytes(Kind::Video, picture.bytes())
        .with_format_id(to.format_id(&format))
        .with_pts(picture.pts())
        .with_stream(picture.stream())
}

#[test]
fn colours_survive_decoding_and_encoding_again_and_may_change_in_mid_stream() -> Result {
    let mut first = Harness::<H264Encoder>::new(&[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    let mut second = Harness::<H264Encoder>::new(&[])?;
    let colours = [
        "",
        BROWSERS,
        "range=limited;primaries=smpte170m;transfer=smpte170m;matrix=smpte170m",
        "range=full",
        "",
        "range=limited;primaries=bt2020;transfer=hlg;matrix=bt2020",
        BROWSERS,
    ];
    let mut n = 0;
    for colour in colours {
        let wanted = (!colour.is_empty()).then(|| colour.to_owned());
        for at in 0..3 {
            let input = coloured(&first, n, colour)?;
            let sent = first.push(0, vec![input])?;
            assert_eq!(sent[0].1.has(flags::KEYFRAME), at == 0, "{colour}");
            let input = coded(&decoder, &sent[0].1);
            let shown = decoder.push(0, vec![input])?;
            let format = Format::video("i420", 96, 64).with_config(colour);
            assert_eq!(decoder.format(shown[0].1.format_id()), Some(format));
            let input = handed_on(&decoder, &second, &shown[0].1);
            let back = second.push(0, vec![input])?;
            assert_eq!(back[0].1.has(flags::KEYFRAME), at == 0, "{colour}");
            let coded = second.format(back[0].1.format_id());
            assert_eq!(coded, Some(Format::video("h264", 96, 64)));
            if at == 0 {
                assert_eq!(stated(&sent[0].1), wanted);
                assert_eq!(stated(&back[0].1), wanted);
            }
            n += 1;
        }
    }
    assert_eq!(first.dropped() + decoder.dropped() + second.dropped(), 0);
    Ok(())
}

#[test]
fn every_keyframe_states_the_colours_again() -> Result {
    let mut encoder = Harness::<H264Encoder>::new(&[])?;
    for n in 0..3 {
        let input = coloured(&encoder, n, BROWSERS)?;
        let out = encoder.push(0, vec![input])?;
        assert_eq!(stated(&out[0].1).as_deref(), Some(BROWSERS));
        assert!(encoder.event(1, keyframe_request(1))?);
    }
    Ok(())
}

#[test]
fn another_text_for_the_same_colours_does_not_begin_anew() -> Result {
    let mut encoder = Harness::<H264Encoder>::new(&[])?;
    let same = [
        BROWSERS,
        "matrix=1;transfer=1;primaries=1;range=full",
        "range=full;primaries=bt709;transfer=bt709;matrix=bt709;shade=9",
    ];
    for (n, colour) in (0..).zip(same) {
        let input = coloured(&encoder, n, colour)?;
        let out = encoder.push(0, vec![input])?;
        assert_eq!(out[0].1.has(flags::KEYFRAME), n == 0, "{colour}");
    }
    Ok(())
}

#[test]
fn what_the_library_has_no_word_for_is_left_out_and_the_rest_is_written() -> Result {
    for (colour, wanted) in [
        (
            "range=full;primaries=display-p3;transfer=srgb;matrix=bt709",
            "range=full;transfer=srgb;matrix=bt709",
        ),
        ("matrix=bt709", "range=limited;matrix=bt709"),
        ("range=full;matrix=0", "range=full"),
    ] {
        let mut encoder = Harness::<H264Encoder>::new(&[])?;
        let input = coloured(&encoder, 0, colour)?;
        let out = encoder.push(0, vec![input])?;
        assert_eq!(stated(&out[0].1).as_deref(), Some(wanted));
    }
    Ok(())
}

#[test]
fn streams_of_one_link_keep_their_own_colours() -> Result {
    let mut encoder = Harness::<H264Encoder>::new(&[])?;
    let mut decoder = Harness::<H264Decoder>::new(&[])?;
    for n in 0..4 {
        for (stream, colour) in [(1, BROWSERS), (2, "")] {
            let input = coloured(&encoder, n, colour)?.with_stream(stream);
            let out = encoder.push(0, vec![input])?;
            assert_eq!(out[0].1.has(flags::KEYFRAME), n == 0, "{stream}");
            let input = coded(&decoder, &out[0].1);
            let shown = decoder.push(0, vec![input])?;
            let format = decoder.format(shown[0].1.format_id()).unwrap_or_default();
            assert_eq!(format.config, colour.as_bytes(), "{stream}");
        }
    }
    Ok(())
}
