//! What RTP says of the colours of pictures, in the header extension of the WebRTC project for that
//! (`docs/native-code/rtp-hdrext/color-space` of its sources).
//!
//! Four bytes: primaries, transfer and matrix as code points of ITU-T H.273, and then from the low bits up two bits
//! each for where colour samples lie vertically and horizontally, and for the range. What describes a display of high
//! dynamic range may follow. Browsers send it with the last packet of a keyframe, and with that of another picture
//! where the colours change; a keyframe without it takes back what was stated.
//!
//! VP8 needs it: its frames have no word of colours, and browsers send what a page draws in full range. H.264 states
//! its colours itself.

use levada_plugin::colour::Colour;

/// The name of the extension in descriptions.
pub(crate) const URI: &str = "http://www.webrtc.org/experiments/rtp-hdrext/color-space";

/// The bytes of the extension that is written.
pub(crate) const BYTES: usize = 4;

const LIMITED: u8 = 1;
const FULL: u8 = 2;
/// BT.601 with 525 lines, for each of the three code points: what VP8 means by itself.
const BT601: u8 = 6;

/// Reads the extension; `None` when it is cut short. A range that is to be guessed from the rest counts as not stated.
pub(crate) fn read(bytes: &[u8]) -> Option<Colour> {
    let [primaries, transfer, matrix, rest] = *bytes.first_chunk::<BYTES>()?;
    Some(Colour {
        full_range: match rest >> 4 & 3 {
            LIMITED => Some(false),
            FULL => Some(true),
            _ => None,
        },
        primaries: Colour::stated(primaries),
        transfer: Colour::stated(transfer),
        matrix: Colour::stated(matrix),
    })
}

/// Writes the extension. What is not stated is written as what VP8 means by itself, for browsers ignore the whole of it
/// where a part is left open. Where colour samples lie is left open.
pub(crate) fn write(colour: Colour) -> [u8; BYTES] {
    let range = if colour.full_range == Some(true) {
        FULL
    } else {
        LIMITED
    };
    let [primaries, transfer, matrix] =
        [colour.primaries, colour.transfer, colour.matrix].map(|stated| stated.unwrap_or(BT601));
    [primaries, transfer, matrix, range << 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_browser_says_of_a_canvas_is_understood() {
        // In Chromium a canvas is sRGB, and its Y, U and V are those of BT.709 in full range.
        let colour = read(&[1, 13, 1, 0x20]).unwrap();
        let text = "range=full;primaries=bt709;transfer=srgb;matrix=bt709";
        assert_eq!(colour.to_string(), text);
    }

    #[test]
    fn complete_colours_are_read_as_they_were_written() {
        for full_range in [true, false] {
            for number in (0..=255).filter(|number| *number != 2) {
                let colour = Colour {
                    full_range: Some(full_range),
                    primaries: Some(number),
                    transfer: Colour::stated(number ^ 1).or(Some(1)),
                    matrix: Colour::stated(number / 2).or(Some(9)),
                };
                assert_eq!(read(&write(colour)), Some(colour));
            }
        }
    }

    #[test]
    fn what_is_not_stated_is_written_as_vp8_means_it() {
        assert_eq!(write(Colour::default()), [6, 6, 6, 0x10]);
        let full = Colour {
            full_range: Some(true),
            ..Colour::default()
        };
        assert_eq!(write(full), [6, 6, 6, 0x20]);
    }

    #[test]
    fn metadata_of_hdr_behind_it_is_passed_over_and_what_is_cut_short_is_ignored() {
        let long: Vec<u8> = [9, 16, 9, 0x10].into_iter().chain(100..124).collect();
        let text = "range=limited;primaries=bt2020;transfer=pq;matrix=bt2020";
        assert_eq!(
            read(&long).map(|colour| colour.to_string()).as_deref(),
            Some(text)
        );
        for len in 0..BYTES {
            assert_eq!(read(&long[..len]), None);
        }
    }

    #[test]
    fn unspecified_parts_and_guessed_ranges_count_as_not_stated() {
        for rest in [0, 0x30, 0x3f, 0xc0, 0xff] {
            assert_eq!(read(&[2, 2, 2, rest]), Some(Colour::default()));
        }
    }
}
