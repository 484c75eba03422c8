//! The steps of an exchange of descriptions.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpParameters,
};
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::peer_connection::RTCSessionDescription;
use webrtc::rtp_transceiver::{
    RTCRtpTransceiverDirection, RTCRtpTransceiverInit, RtpSender, RtpTransceiver,
};

use super::engine::{kind_of, rtp_codec};
use super::tokio::{TokioPeer, random};
use super::{sdp, tracks};
use crate::codec::{Codec, MediaKind};

#[derive(Default)]
pub(super) struct Negotiation {
    /// Transceivers have been made for the media that this side sends or wants.
    media_added: bool,
    sending: [Option<Sending>; MediaKind::ALL.len()],
}

/// What this side sends of one kind.
struct Sending {
    sender: Arc<dyn RtpSender>,
    transceiver: Arc<dyn RtpTransceiver>,
    ssrc: u32,
    /// The codec that the stream is announced with.
    announced: Codec,
}

impl TokioPeer {
    /// Adds what this side sends, and, when it makes the offer, what it wants to receive. Once.
    ///
    /// `announced` is the codec that the stream of each kind is announced with. The core binds its resend buffer and its sender
    /// reports to a stream whose announced codec was agreed, so it has to be one that the other side takes.
    async fn add_media(
        &self,
        negotiation: &mut Negotiation,
        offering: bool,
        announced: [Codec; MediaKind::ALL.len()],
    ) -> webrtc::error::Result<()> {
        if std::mem::replace(&mut negotiation.media_added, true) {
            return Ok(());
        }
        let stream = format!("levada-{:016x}", random());
        for kind in MediaKind::ALL {
            let (sends, receives) = (self.config.sends(kind), self.config.receives(kind));
            if sends {
                let ssrc = (random() as u32).max(1);
                let announced = announced[kind.index()];
                let track = Arc::new(self.local_track(&stream, kind, ssrc, announced));
                // An answering side takes any direction first: the core matches an offered section only to a
                // transceiver that does both, and `restrict` then takes away what is not wanted.
                let direction =
                    RTCRtpTransceiverDirection::from_send_recv(true, receives || !offering);
                let init = RTCRtpTransceiverInit {
                    direction,
                    streams: vec![],
                    send_encodings: vec![],
                };
                let transceiver = self
                    .connection
                    .add_transceiver_from_track(track.clone(), Some(init))
                    .await?;
                if let Some(sender) = transceiver.sender().await? {
                    negotiation.sending[kind.index()] = Some(Sending {
                        sender,
                        transceiver,
                        ssrc,
                        announced,
                    });
                }
                if kind == MediaKind::Video {
                    let task = tracks::hear_requests(self.shared.clone(), track.clone());
                    self.shared.spawn(task);
                }
                self.shared.outbound.attach(kind, track, ssrc);
            } else if receives && offering {
                self.connection
                    .add_transceiver_from_kind(kind_of(kind), None)
                    .await?;
            }
        }
        Ok(())
    }

    /// Takes away the directions that the configuration does not want, before answering `offer`.
    async fn restrict(&self, offer: &str) -> webrtc::error::Result<()> {
        let sections = sdp::sections(offer);
        for transceiver in self.connection.get_transceivers().await {
            let mid = transceiver.mid().await?;
            let kind = sections
                .iter()
                .find(|section| Some(&section.mid) == mid.as_ref())
                .and_then(|section| section.kind);
            let Some(kind) = kind else { continue };
            let now = transceiver.direction().await?;
            let wanted = RTCRtpTransceiverDirection::from_send_recv(
                now.has_send() && self.config.sends(kind),
                now.has_recv() && self.config.receives(kind),
            );
            if wanted != now {
                transceiver.set_direction(wanted).await?;
            }
        }
        Ok(())
    }

    /// Notes what was agreed: what the other side takes, and what it may send.
    async fn agreed(&self, negotiation: &Negotiation) -> webrtc::error::Result<()> {
        for kind in MediaKind::ALL {
            let Some(sending) = &negotiation.sending[kind.index()] else {
                continue;
            };
            let agreed = if sending.transceiver.current_direction().await?.has_send() {
                sending.sender.get_parameters().await?.rtp_parameters
            } else {
                RTCRtpParameters::default()
            };
            self.shared.outbound.negotiate(kind, &agreed);
        }
        if let Some(local) = self.connection.local_description().await {
            for section in sdp::sections(&local.sdp) {
                if let Some(id) = section.colour_id {
                    self.shared.colour_id.store(id, Ordering::Relaxed);
                }
                for (payload_type, codec) in section.codecs {
                    self.shared.payload_types.set(payload_type, codec);
                }
            }
        }
        if let Some(sctp) = self.connection.sctp().await
            && let Ok(limit) = sctp.max_message_size().await
        {
            self.shared.channels.set_far_limit(limit);
        }
        Ok(())
    }

    pub(super) async fn offer(
        &self,
        negotiation: &mut Negotiation,
    ) -> webrtc::error::Result<String> {
        self.add_media(negotiation, true, self.preferred(None))
            .await?;
        let offer = self.connection.create_offer(None).await?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(offer).await?;
        Ok(sdp)
    }

    pub(super) async fn answer(
        &self,
        negotiation: &mut Negotiation,
        offer: &str,
    ) -> webrtc::error::Result<String> {
        let description = RTCSessionDescription::offer(offer.to_owned())?;
        self.add_media(negotiation, false, self.preferred(Some(offer)))
            .await?;
        self.connection.set_remote_description(description).await?;
        self.restrict(offer).await?;
        let answer = self.connection.create_answer(None).await?;
        let sdp = answer.sdp.clone();
        self.connection.set_local_description(answer).await?;
        self.agreed(negotiation).await?;
        Ok(sdp)
    }

    pub(super) async fn accept(
        &self,
        negotiation: &mut Negotiation,
        answer: &str,
    ) -> webrtc::error::Result<()> {
        let description = RTCSessionDescription::answer(answer.to_owned())?;
        let preferred = self.preferred(Some(answer));
        for kind in MediaKind::ALL {
            let codec = preferred[kind.index()];
            if let Some(sending) = &mut negotiation.sending[kind.index()]
                && sending.announced != codec
            {
                // See `add_media`: the stream was announced with a codec that the other side may not have taken.
                let stream = sending.sender.track().stream_id().await;
                let track = self.local_track(&stream, kind, sending.ssrc, codec);
                sending.sender.replace_track(Arc::new(track)).await?;
                sending.announced = codec;
            }
        }
        self.connection.set_remote_description(description).await?;
        self.agreed(negotiation).await
    }

    /// The codec of each kind that the other side prefers among ours; without its description, or where there is none,
    /// the one that we prefer.
    fn preferred(&self, theirs: Option<&str>) -> [Codec; MediaKind::ALL.len()] {
        MediaKind::ALL.map(|kind| {
            let ours: Vec<Codec> = self.config.codecs(kind).collect();
            theirs
                .and_then(|sdp| sdp::preferred(sdp, kind, &ours))
                .or_else(|| ours.first().copied())
                // Nothing is sent or received then.
                .unwrap_or(match kind {
                    MediaKind::Audio => Codec::Opus,
                    MediaKind::Video => Codec::Vp8,
                })
        })
    }

    /// A track with one stream, announced with `codec`. Offered with it are all codecs of its kind.
    fn local_track(
        &self,
        stream: &str,
        kind: MediaKind,
        ssrc: u32,
        codec: Codec,
    ) -> TrackLocalStaticRTP {
        let others = self.config.codecs(kind).filter(|other| *other != codec);
        // The core makes one stream of the first entry and takes the codecs to offer from all of them.
        let codings = std::iter::once(codec)
            .chain(others)
            .map(|codec| RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters {
                    ssrc: Some(ssrc),
                    ..RTCRtpCodingParameters::default()
                },
                codec: rtp_codec(codec),
                ..RTCRtpEncodingParameters::default()
            })
            .collect();
        TrackLocalStaticRTP::new(MediaStreamTrack::new(
            stream.to_owned(),
            format!("{stream}-{kind}"),
            kind.to_string(),
            kind_of(kind),
            codings,
        ))
    }
}
