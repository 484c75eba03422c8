//! Session descriptions as they travel over HTTP, and the cheap check of whether a text is one at all.
//!
//! `POST /offer` takes a [`Description`] and answers an [`Answer`]. [`check_sdp`] looks at the shape of the text only
//! (RFC 8866: the first line is `v=0`, every line is `<letter>=<value>`, there is at least one `m=` line). It keeps
//! accidents and noise away from the WebRTC stack, which then parses the text in full and has the last word.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::protocol::MAX_MESSAGE_BYTES;

/// Says which half of an exchange a description is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SdpType {
    /// The first half: what one side proposes.
    Offer,
    /// The second half: what the other side accepts.
    Answer,
    /// A preliminary answer (RFC 9429). This server takes none.
    Pranswer,
    /// Takes a proposal back (RFC 9429). This server takes none.
    Rollback,
}

/// A session description, in the shape of the browser's `RTCSessionDescription`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The description itself (RFC 8866).
    pub sdp: String,
    /// Which half of the exchange it is.
    #[serde(rename = "type")]
    pub kind: SdpType,
}

/// What `POST /offer` answers: the description with all candidates in it, and the session's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The description itself (RFC 8866), complete: no candidate follows.
    pub sdp: String,
    /// Always [`SdpType::Answer`].
    #[serde(rename = "type")]
    pub kind: SdpType,
    /// The id of the session that now exists.
    pub id: String,
    /// Of which media the peer gets none, and why, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacks: Vec<String>,
}

impl Answer {
    /// Makes the answer of session `id`.
    pub fn new(sdp: String, id: String) -> Answer {
        Answer {
            sdp,
            kind: SdpType::Answer,
            id,
            lacks: Vec::new(),
        }
    }

    /// The same answer, which says that media are missing.
    #[must_use]
    pub fn lacking(mut self, lacks: Vec<String>) -> Answer {
        self.lacks = lacks;
        self
    }
}

/// Why a text is not a session description.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SdpError {
    /// The text is longer than a whole message may be.
    #[error(
        "the SDP has {len} bytes, at most {MAX_MESSAGE_BYTES} are allowed; offer fewer codecs or candidates"
    )]
    TooLong {
        /// Length in bytes.
        len: usize,
    },
    /// The first line is something else.
    #[error(
        "the SDP does not begin with the line `v=0`; send the `sdp` text of an RTCSessionDescription unchanged"
    )]
    NotSdp,
    /// A line is not `<letter>=<value>`.
    #[error(
        "line {line} of the SDP is not of the form `<letter>=<value>`; send the `sdp` text of an RTCSessionDescription unchanged"
    )]
    BadLine {
        /// Line number, from 1.
        line: usize,
    },
    /// Nothing is described.
    #[error(
        "the SDP has no `m=` line; add a track, a transceiver or a data channel before creating the description"
    )]
    NoMedia,
}

/// Why `POST /offer` cannot take a description.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DescriptionError {
    /// Not an offer.
    #[error(
        "`type` is \"{found}\" where \"offer\" belongs; post the description that createOffer() made, the answer comes back"
    )]
    NotAnOffer {
        /// What it says instead.
        found: &'static str,
    },
    /// Not a description.
    #[error(transparent)]
    Sdp(#[from] SdpError),
}

impl Description {
    /// Makes an offer.
    pub fn offer(sdp: String) -> Description {
        Description {
            sdp,
            kind: SdpType::Offer,
        }
    }

    /// Checks that this is an offer, and that its text is SDP at all.
    pub fn check_offer(&self) -> Result<(), DescriptionError> {
        let found = match self.kind {
            SdpType::Offer => return Ok(check_sdp(&self.sdp)?),
            SdpType::Answer => "answer",
            SdpType::Pranswer => "pranswer",
            SdpType::Rollback => "rollback",
        };
        Err(DescriptionError::NotAnOffer { found })
    }
}

/// Checks cheaply that `sdp` has the shape of a session description that describes something.
///
/// Lines may end in CRLF (as RFC 8866 wants) or in LF alone (as some tools write).
pub fn check_sdp(sdp: &str) -> Result<(), SdpError> {
    if sdp.len() > MAX_MESSAGE_BYTES {
        return Err(SdpError::TooLong { len: sdp.len() });
    }
    let mut lines = sdp.lines();
    if lines.next() != Some("v=0") {
        return Err(SdpError::NotSdp);
    }
    let mut media = false;
    for (index, line) in lines.enumerate() {
        match line.as_bytes() {
            // A trailing empty line is what copying by hand leaves behind; parsers pass over it.
            [] => {}
            [letter, b'=', ..] if letter.is_ascii_lowercase() => media |= *letter == b'm',
            _ => return Err(SdpError::BadLine { line: index + 2 }),
        }
    }
    if media {
        Ok(())
    } else {
        Err(SdpError::NoMedia)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SDP: &str =
        "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n";

    #[test]
    fn a_description_with_media_passes_with_either_line_ending() {
        assert_eq!(check_sdp(SDP), Ok(()));
        assert_eq!(check_sdp(&SDP.replace("\r\n", "\n")), Ok(()));
    }

    #[test]
    fn text_that_is_not_sdp_is_refused() {
        for text in [
            "",
            "hello",
            "v=1\r\nm=audio",
            " v=0\r\nm=audio",
            "{\"sdp\":\"v=0\"}",
        ] {
            assert_eq!(check_sdp(text), Err(SdpError::NotSdp), "{text:?}");
        }
        assert_eq!(
            check_sdp("v=0\r\nnonsense\r\nm=audio\r\n"),
            Err(SdpError::BadLine { line: 2 })
        );
    }

    #[test]
    fn a_description_of_nothing_is_refused_with_the_remedy() {
        let error = check_sdp("v=0\r\ns=-\r\nt=0 0\r\n").unwrap_err();
        assert_eq!(error, SdpError::NoMedia);
        assert!(error.to_string().contains("add a track"), "{error}");
    }

    #[test]
    fn an_endless_description_is_refused_by_its_length() {
        let long = format!("{SDP}a={}", "x".repeat(MAX_MESSAGE_BYTES));
        assert!(matches!(check_sdp(&long), Err(SdpError::TooLong { .. })));
    }

    #[test]
    fn an_answer_where_an_offer_belongs_is_refused() {
        let answer = Description {
            sdp: SDP.into(),
            kind: SdpType::Answer,
        };
        let error = answer.check_offer().unwrap_err();
        assert!(
            error
                .to_string()
                .contains("\"answer\" where \"offer\" belongs"),
            "{error}"
        );
        assert_eq!(Description::offer(SDP.into()).check_offer(), Ok(()));
    }

    #[test]
    fn the_json_has_the_browsers_names() {
        let json = serde_json::to_value(Answer::new("v=0".into(), "s1".into())).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"sdp": "v=0", "type": "answer", "id": "s1"})
        );
        let description: Description =
            serde_json::from_str(r#"{"type":"offer","sdp":"v=0"}"#).unwrap();
        assert_eq!(description.kind, SdpType::Offer);
    }
}
