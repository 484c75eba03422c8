//! [`Reports`]: hears receiver reports and REMB, and counts what is sent.
//!
//! It sits nearest to the wire, so that what it counts is what leaves, packets that are sent again included. It passes
//! everything as it is, and holds no more than the packets of one step of the chain.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::reception_report::ReceptionReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;

use super::Congestion;

/// The interceptor.
pub(super) struct Reports {
    congestion: Arc<Congestion>,
    sent_bytes: u64,
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl Reports {
    pub(super) fn new(congestion: Arc<Congestion>) -> Self {
        Self {
            congestion,
            sent_bytes: 0,
            read: VecDeque::new(),
            write: VecDeque::new(),
        }
    }

    /// Before every slot that the core names.
    pub(super) fn slot() -> Slot {
        Slot::from(Slot::CongestionControl.slot() / 2)
    }

    fn hear(&self, now: Instant, packet: &dyn rtc::rtcp::Packet) {
        let packet = packet.as_any();
        let blocks: &[ReceptionReport] =
            if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                &report.reports
            } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
                &report.reports
            } else {
                if let Some(limit) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
                    let bits = f64::from(limit.bitrate);
                    self.congestion.learn(now, |estimate| estimate.limit(bits));
                }
                return;
            };
        // Each block is about one stream; they share the network, and the worst of them shows its state.
        if let Some(lost) = blocks.iter().map(|block| block.fraction_lost).max() {
            let lost = f64::from(lost) / 256.0;
            let sent = self.sent_bytes;
            self.congestion
                .learn(now, |estimate| estimate.receiver_report(now, lost, sent));
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Reports {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(packets) = &packet.message.packet {
            for inner in packets {
                self.hear(packet.now, inner.as_ref());
            }
        }
        self.read.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(rtp) = &packet.message.packet {
            self.sent_bytes = self.sent_bytes.wrapping_add(rtp.marshal_size() as u64);
        }
        self.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl Interceptor for Reports {
    fn bind_local_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _info: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _info: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _info: &StreamInfo) {}
}
