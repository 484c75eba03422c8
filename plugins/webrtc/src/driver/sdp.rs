//! Reads the little that the driver needs of a session description (RFC 8866): which sections there are, and which
//! payload types stand for which of our codecs.
//!
//! The text comes from the other side. Nothing here trusts it beyond its form: unknown lines are passed over.

use crate::codec::{Codec, MediaKind};

/// One media section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Section {
    /// `None` for data and anything else.
    pub(super) kind: Option<MediaKind>,
    /// The section's name, empty when it has none.
    pub(super) mid: String,
    /// The payload types of our codecs, in the section's order of preference.
    pub(super) codecs: Vec<(u8, Codec)>,
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
            // Past port and protocol come the payload types, preferred first.
            order = words.skip(2).filter_map(|word| word.parse().ok()).collect();
            sections.push(Section {
                kind,
                mid: String::new(),
                codecs: Vec::new(),
            });
            continue;
        }
        let Some(section) = sections.last_mut() else {
            continue;
        };
        if let Some(mid) = line.strip_prefix("a=mid:") {
            section.mid = mid.to_owned();
        } else if let Some(map) = line.strip_prefix("a=rtpmap:")
            && let Some((payload_type, encoding)) = map.split_once(' ')
            && let Ok(payload_type) = payload_type.parse()
            && let Some(kind) = section.kind
            && let Some(name) = encoding.split('/').next()
            && let Some(codec) = Codec::from_mime_type(&format!("{kind}/{name}"))
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

/// The video codec that the description prefers among `ours`.
pub(super) fn preferred_video(sdp: &str, ours: &[Codec]) -> Option<Codec> {
    sections(sdp)
        .into_iter()
        .filter(|section| section.kind == Some(MediaKind::Video))
        .find_map(|section| {
            let mut codecs = section.codecs.iter().map(|(_, codec)| *codec);
            codecs.find(|codec| ours.contains(codec))
        })
}

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
        assert_eq!(sections[0].codecs, [(111, Codec::Opus)]);
        assert_eq!(sections[1].mid, "1");
        assert_eq!(sections[1].codecs, [(103, Codec::H264), (96, Codec::Vp8)]);
        assert_eq!(sections[2].kind, None);
        assert_eq!(preferred_video(OFFER, &Codec::ALL), Some(Codec::H264));
        assert_eq!(preferred_video(OFFER, &[Codec::Vp8]), Some(Codec::Vp8));
        assert_eq!(preferred_video(OFFER, &[Codec::Opus]), None);
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
