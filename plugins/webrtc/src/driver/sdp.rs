//! Reads the little that the driver needs of a session description (RFC 8866): which sections there are, and which
//! payload types stand for which of our codecs.
//!
//! The text comes from the other side. Nothing here trusts it beyond its form: unknown lines are passed over.

use crate::codec::{Codec, MediaKind};
use crate::media::colour;

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// `None` for data and anything else.
    pub(super) kind: Option<MediaKind>,
    /// The section's name, empty when it has none.
    pub(super) mid: String,
    /// The payload types of our codecs, in the section's order of preference.
    pub(super) codecs: Vec<(u8, Codec)>,
    /// The number of the header extension that states colours, in a section of pictures.
    pub(super) colour_id: Option<u8>,
    /// Its port is 0: it is not to be used.
    rejected: bool,
    /// The names of all encodings, ours or not.
    names: Vec<String>,
    /// Payload types of H.264 whose pictures may be cut into several packets.
    fragments: Vec<u8>,
}

/// The media sections of a description, in order.
pub(super) fn sections(sdp: &str) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut order: Vec<u8> = Vec::new();
    for line in sdp.lines() {
        let line = line.trim_end();
        if let Some(media) = line.strip_prefix("m=") {
            let mut words = media.split_ascii_whitespace();
            let kind = match words.next() {
                Some("audio") => Some(MediaKind::Audio),
                Some("video") => Some(MediaKind::Video),
                _ => None,
            };
            let rejected = words.clone().next() == Some("0");
            // Past port and protocol come the payload types, preferred first.
            order = words.skip(2).filter_map(|word| word.parse().ok()).collect();
            sections.push(Section {
                kind,
                mid: String::new(),
                codecs: Vec::new(),
                colour_id: None,
                rejected,
                names: Vec::new(),
                fragments: Vec::new(),
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            continue;
        };
        if let Some(mid) = line.strip_prefix("a=mid:") {
            section.mid = mid.to_owned();
        } else if let Some(map) = line.strip_prefix("a=extmap:") {
            let mut words = map.split_ascii_whitespace();
            // A direction may follow the number (RFC 8285, 8).
            let id = words.next().and_then(|id| id.split('/').next());
            if section.kind == Some(MediaKind::Video) && words.next() == Some(colour::URI) {
                section.colour_id = id.and_then(|id| id.parse().ok());
            }
        } else if let Some(fmtp) = line.strip_prefix("a=fmtp:") {
            if let Some((payload_type, params)) = fmtp.split_once(' ')
                && let Ok(payload_type) = payload_type.parse()
                && params.contains("packetization-mode=1")
            {
                section.fragments.push(payload_type);
            }
        } else if let Some(map) = line.strip_prefix("a=rtpmap:")
            && let Some((payload_type, encoding)) = map.split_once(' ')
            && let Ok(payload_type) = payload_type.parse()
            && let Some(kind) = section.kind
            && let Some(name) = encoding.split('/').next()
            && let Some(codec) = section.note(kind, name)
            && let Some(place) = order.iter().position(|known| *known == payload_type)
        {
            let at = section
                .codecs
                .iter()
                .position(|(other, _)| order.iter().position(|known| known == other) > Some(place))
                .unwrap_or(section.codecs.len());
            section.codecs.insert(at, (payload_type, codec));
        }
    }
    sections
}

impl Section {
    /// Keeps the name of an encoding for messages, and answers which of our codecs it is.
    fn note(&mut self, kind: MediaKind, name: &str) -> Option<Codec> {
        let fits = name.len() <= MAX_NAME_BYTES && name.bytes().all(|byte| byte.is_ascii_graphic());
        if fits && self.names.len() < 2 * MAX_NAMES {
            self.names.push(name.to_owned());
        }
        Codec::from_mime_type(&format!("{kind}/{name}"))
    }
}

/// The codec of a kind that the description prefers among `ours`.
pub(super) fn preferred(sdp: &str, kind: MediaKind, ours: &[Codec]) -> Option<Codec> {
    sections(sdp)
        .into_iter()
        .filter(|section| section.kind == Some(kind))
        .find_map(|section| {
            let mut codecs = section.codecs.iter().map(|(_, codec)| *codec);
            codecs.find(|codec| ours.contains(codec))
        })
}

/// What the other side's description says that it can do with sound or pictures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Those of our codecs that it has, preferred first.
    pub codecs: Vec<Codec>,
    /// All that it has, by the names that the description gives them.
    pub names: Vec<String>,
}

impl Abilities {
    /// Reads a description; `None` for a kind of which it has no section, or only such as are rejected.
    pub fn of(sdp: &str, kind: MediaKind) -> Option<Abilities> {
        let sections = sections(sdp);
        let mut of_kind = sections
            .iter()
            .filter(|section| section.kind == Some(kind) && !section.rejected)
            .peekable();
        of_kind.peek()?;
        let mut abilities = Abilities::default();
        for section in of_kind {
            for (payload_type, codec) in &section.codecs {
                // As `Outbound::negotiate` has it: in single packets no whole picture fits.
                let usable = *codec != Codec::H264 || section.fragments.contains(payload_type);
                if usable && !abilities.codecs.contains(codec) {
                    abilities.codecs.push(*codec);
                }
            }
            for name in &section.names {
                let is_help = HELPERS.iter().any(|help| name.eq_ignore_ascii_case(help));
                if !is_help && !abilities.names.contains(name) && abilities.names.len() < MAX_NAMES
                {
                    abilities.names.push(name.clone());
                }
            }
        }
        Some(abilities)
    }
}

/// Encodings that carry no media of their own.
const HELPERS: [&str; 6] = [
    "rtx",
    "red",
    "ulpfec",
    "flexfec-03",
    "telephone-event",
    "CN",
];
/// Names that are told.
const MAX_NAMES: usize = 16;
/// The longest name that is told, in bytes.
const MAX_NAME_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111 0\r\na=mid:0\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:111 opus/48000/2\r\nm=video 9 UDP/TLS/RTP/SAVPF 103 96 97\r\na=mid:1\r\na=rtpmap:96 VP8/90000\r\n\
        a=rtpmap:97 rtx/90000\r\na=rtpmap:103 H264/90000\r\n\
        m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\n";

    #[test]
    fn sections_and_codecs_are_found_in_order_of_preference() {
        let sections = sections(OFFER);
        assert_eq!(sections.len(), 3);
        assert_eq!(sections[0].codecs, [(111, Codec::Opus), (0, Codec::Pcmu)]);
        assert_eq!(sections[1].mid, "1");
        assert_eq!(sections[1].codecs, [(103, Codec::H264), (96, Codec::Vp8)]);
        assert_eq!(sections[2].kind, None);
        let video = |ours: &[Codec]| preferred(OFFER, MediaKind::Video, ours);
        assert_eq!(video(&Codec::ALL), Some(Codec::H264));
        assert_eq!(video(&[Codec::Vp8]), Some(Codec::Vp8));
        assert_eq!(video(&[Codec::Opus]), None);
        let audio = preferred(OFFER, MediaKind::Audio, &[Codec::Pcmu, Codec::Pcma]);
        assert_eq!(audio, Some(Codec::Pcmu));
    }

    #[test]
    fn the_number_of_the_extension_that_states_colours_is_found() {
        let map = |id: &str| {
            let line = format!("a=extmap:{id} {}\r\nm=application", colour::URI);
            sections(&OFFER.replace("m=application", &line))[1].colour_id
        };
        assert_eq!((map("8"), map("8/sendrecv")), (Some(8), Some(8)));
        assert_eq!((map(""), map("256"), map("x")), (None, None, None));
        assert_eq!(sections(OFFER)[1].colour_id, None);
    }

    #[test]
    fn what_the_other_side_can_do_is_told_by_kind() {
        let abilities = |kind| Abilities::of(OFFER, kind).unwrap();
        let sound = abilities(MediaKind::Audio);
        assert_eq!(sound.codecs, [Codec::Opus, Codec::Pcmu]);
        assert_eq!(sound.names, ["PCMU", "opus"]);
        let pictures = abilities(MediaKind::Video);
        assert_eq!(
            pictures.codecs,
            [Codec::Vp8],
            "H.264 in single packets is of no use"
        );
        assert_eq!(pictures.names, ["VP8", "H264"]);
        let cut = format!(
            "{OFFER}m=video 9 x 104\r\na=rtpmap:104 H264/90000\r\na=fmtp:104 a=b;packetization-mode=1\r\n"
        );
        let pictures = Abilities::of(&cut, MediaKind::Video).unwrap();
        assert_eq!(pictures.codecs, [Codec::Vp8, Codec::H264]);
        assert_eq!(Abilities::of("v=0\r\n", MediaKind::Audio), None);
        let rejected = OFFER.replace("audio 9", "audio 0");
        assert_eq!(Abilities::of(&rejected, MediaKind::Audio), None);
    }

    #[test]
    fn text_that_is_no_description_has_no_sections() {
        for text in [
            "",
            "hello",
            "a=mid:1",
            "m=",
            "m=video\na=rtpmap:",
            "m=audio 1 x 999\na=rtpmap:999 opus",
        ] {
            assert!(
                sections(text)
                    .iter()
                    .all(|section| section.codecs.is_empty())
            );
        }
    }
}
