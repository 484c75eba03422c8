//! How much the network to the other side takes: an estimate in bits a second, from what that side reports.
//!
//! Three reports say something of it, and a side sends those that were agreed on:
//!
//! * *Transport feedback* (transport-wide-cc-extensions-01): when each packet arrived, and which did not. Packets carry
//!   a number of their own for it, and the core joins the reports with what was sent.
//! * *Receiver reports* (RFC 3550, 6.4.2): which part of the packets was lost. They count only where there is no
//!   transport feedback.
//! * *REMB* (goog-remb): what the receiver itself takes to be its limit. The estimate never goes beyond it.
//!
//! [`Estimate`] makes one figure of them and reads no clock; [`Congestion`] stands between the connection's task, where
//! the reports arrive, and whoever wants to hear the figure. Nothing is paced by it: it tells encoders what to aim at.

mod estimate;
mod reports;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rtc::interceptor::{BandwidthEstimator, CongestionControlBuilder, PacketReport, Registry};
use rtc::interceptor::{Slot, TwccSenderBuilder};
use tokio::sync::watch;

use estimate::Estimate;
use reports::Reports;

/// The estimate of one connection, and who hears of it.
pub(crate) struct Congestion {
    estimate: Mutex<Estimate>,
    news: watch::Sender<u64>,
}

impl Congestion {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            estimate: Mutex::default(),
            news: watch::Sender::new(0),
        })
    }

    /// Bits a second, whenever they have changed; several changes that nobody took become the last one.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Adds what numbers the packets that are sent, and what hears the reports.
    pub(crate) fn listen(self: &Arc<Self>, registry: Registry) -> Registry {
        registry
            .with(Slot::TwccSender, TwccSenderBuilder::new().build())
            .with(
                Slot::CongestionControl,
                CongestionControlBuilder::new(Feedback(self.clone())).build(),
            )
            .with(Reports::slot(), Reports::new(self.clone()))
    }

    fn learn(&self, now: Instant, learn: impl FnOnce(&mut Estimate)) {
        // An estimate is whole between any two of its calls.
        let mut estimate = self.estimate.lock().unwrap_or_else(PoisonError::into_inner);
        learn(&mut estimate);
        if let Some(bits) = estimate.news(now) {
            self.news.send_replace(bits);
        }
    }
}

/// Hears transport feedback, once for each report of the other side's.
struct Feedback(Arc<Congestion>);

impl BandwidthEstimator for Feedback {
    fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) {
        self.0
            .learn(now, |estimate| estimate.feedback(now, reports));
    }

    /// Nothing in the chain paces packets, so nobody is told this way.
    fn target_bitrate(&self) -> f64 {
        0.0
    }
}
