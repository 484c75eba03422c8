//! The node type `webrtc-source`: what a peer sends comes into the graph.

use std::sync::Arc;

use levada_plugin::prelude::*;

use crate::intake::Intake;
use crate::session::Session;
use crate::wire;

/// Brings what the session's peer sends into the graph.
///
/// **Outputs** `audio`, `video` and `data`, one kind each, or `out` with all three. **Params** `mode`: `encoded` (one
/// access unit a frame: an Opus packet, samples of G.711, a VP8 frame, an H.264 picture in Annex B) or `packets` (one
/// RTP payload a frame, nothing reassembled; encodings `rtp-opus`, `rtp-vp8` and so on; the packet's number as side data
/// `levada.rtp/1`, with what its header states of colours); `adapt`, see below. **Colours**: what the peer states of
/// those of VP8 stands in the format (`levada_plugin::colour`), behind the parameters of the description; H.264 states
/// its own in the stream. **Data** frames are `text/plain` or `application/octet-stream`; their stream is labelled with
/// the data channel's label. **Events**: a keyframe request from downstream is passed to the peer for the video track that it
/// means (PLI). With `adapt = true` a bitrate is as well (REMB), so that a browser whose own pictures come back to it sends no
/// more than comes back: fewer are lost, and after a loss it takes seconds until pictures are large and many again.
///
/// In the mode `encoded`, putting a picture together from its packets copies it once, into memory of the pool.
pub(crate) struct Source {
    session: Arc<Session>,
    intake: Arc<Intake>,
    adapts: bool,
}

impl Node for Source {
    const NAME: &'static str = "webrtc-source";
    const SUMMARY: &'static str = "Brings a WebRTC peer's audio, video and data into the graph";
    const PORTS: &'static [Port] = &[
        Port::output("audio").formats(wire::AUDIO_FORMATS),
        Port::output("video").formats(wire::VIDEO_FORMATS),
        Port::output("data").formats(wire::DATA_FORMATS),
        Port::output("out").formats(wire::ALL_FORMATS),
    ];
    const PARAMS: &'static [Param] = &[
        Param::choice("mode", "encoded packets", "encoded").help(
            "encoded: one access unit a frame; packets: one RTP payload a frame, nothing reassembled",
        ),
        Param::bool("adapt", false)
            .help("Tell the peer to send no more video than those behind the graph can take"),
    ];
    const LIVE: bool = true;
    const PEER: bool = true;

    fn create(config: &Config) -> Result<Self> {
        let session = find_session(config)?;
        let intake = Arc::new(Intake::new(config)?);
        Ok(Self {
            session,
            intake,
            adapts: config.bool("adapt")?,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        if self.session.attach_receiver(self.intake.clone()) {
            // The peer may have ended before there was anyone to hear of it.
            if self
                .session
                .peer()
                .is_none_or(|peer| peer.state().is_final())
            {
                ctx.finish();
            }
            return Ok(());
        }
        Err(Error::new(format_args!(
            "session {} has a webrtc-source already; a graph may have one",
            self.session.id()
        )))
    }

    fn event(&mut self, _port: usize, event: Event, ctx: &mut Context) -> Result<bool> {
        let (session, stream, now) = (&self.session, event.stream, ctx.now());
        match event.kind {
            event::kind::KEYFRAME_REQUEST => self.intake.request_keyframes(session, stream, now),
            event::kind::BITRATE if self.adapts => {
                self.intake.limit_bitrate(session, stream, event.value, now);
            }
            event::kind::BITRATE => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        let held = self.intake.give_up();
        if held > 0 {
            ctx.dropped(held);
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.session.detach_receiver();
        self.intake.leave();
    }
}

pub(crate) fn find_session(config: &Config) -> Result<Arc<Session>> {
    Session::find(config.session()).ok_or_else(|| {
        Error::new(format_args!(
            "session {} has no peer; a graph with WebRTC nodes is run by a host that accepts peers, such as `levada run`",
            config.session()
        ))
    })
}
