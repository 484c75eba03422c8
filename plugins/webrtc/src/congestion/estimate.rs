//! [`Estimate`]: congestion control by loss and delay, in the plain form of draft-ietf-rmcat-gcc-02, on one figure.
//!
//! Until the network shows that it cannot take what is sent, there is no limit: what a graph's encoders are told by their
//! params holds. Then packets are judged in windows of half a second:
//!
//! * Packets wait longer and longer on their way, for two windows: 0.85 times what arrived is left (5.5).
//! * More than a tenth of the packets is lost: what was sent, less half of the lost part (6).
//! * Less than a fiftieth is lost and no queue grows: a twentieth more, or near the rate at which a queue last grew, one
//!   small packet more for each 200 ms (5.5). Never more than one and a half times what arrives, for what nobody sends
//!   says nothing of what would pass.
//! * In between it stays.
//!
//! The draft keeps a figure for delay and one for loss and takes the smaller; with one for both, what has grown unseen
//! beside the other cannot jump back. And it filters the change of delay from group to group of packets, whose threshold
//! must be tuned against noise; here the shortest way of a window is compared with the shortest of the last ten seconds
//! (as RFC 6817 does), which a process that was late for some of the packets does not disturb, and a queue that stays as
//! it is (somebody else's) is forgotten after that time.
//!
//! No clock is read: time is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtc::interceptor::PacketReport;

/// The figure is never less, bits a second.
const MIN: f64 = 30_000.0;
/// And never more; what it is before anything is known.
const MAX: f64 = 100_000_000.0;
/// How long packets are counted before they are judged.
const WINDOW: Duration = Duration::from_millis(500);
/// Windows whose shortest ways are remembered: ten seconds.
const REMEMBERED: usize = 20;
/// The shortest delay of a window is that of a queue when it is so much longer than the shortest that is remembered, and
/// the queue grows when it is so much longer than in the window before; s.
const QUEUE: f64 = 0.050;
const GROWTH: f64 = 0.020;
/// So many windows in a row: a process that was late for a moment is no queue.
const GROWING: u32 = 2;
/// Fewer packets say nothing.
const MIN_PACKETS: u32 = 20;
/// Parts of the packets that may be lost, for more and before less (section 6).
const LOW_LOSS: f64 = 0.02;
const HIGH_LOSS: f64 = 0.10;
/// What is left of what arrives when a queue grows (beta in 5.5).
const DECREASE: f64 = 0.85;
/// Growth in a window.
const INCREASE: f64 = 1.05;
/// Growth near the rate at which a queue grew, bits a second for each second: 600 bytes for each 200 ms.
const CAREFUL_INCREASE: f64 = 24_000.0;
/// How far around that rate is near.
const NEAR: std::ops::Range<f64> = 0.85..1.15;
/// Receiver reports count when transport feedback has been silent for so long.
const SILENCE: Duration = Duration::from_secs(2);
/// Between two changes that are told.
const NEWS_INTERVAL: Duration = Duration::from_millis(200);
/// A change that is worth telling.
const NEWS_PART: f64 = 0.05;

/// See the module.
pub(super) struct Estimate {
    target: f64,
    /// What arrived when a queue last grew.
    ceiling: Option<f64>,
    window: Window,
    /// When the first packet left; delays are counted from here, on a clock of the receiver's.
    epoch: Option<Instant>,
    /// The shortest delay of each of the last windows, s.
    delays: VecDeque<f64>,
    /// Windows in a row with a queue that grew.
    growing: u32,
    /// When transport feedback last came.
    feedback_at: Option<Instant>,
    /// When and after how many bytes sent the receiver reports that count now began, and the worst loss among them.
    reported: Option<(Instant, u64, f64)>,
    /// What the receiver says itself.
    limit: f64,
    told: f64,
    told_at: Option<Instant>,
}

/// What is known of the packets since it began.
#[derive(Default)]
struct Window {
    began: Option<Instant>,
    packets: u32,
    lost: u32,
    sent_bytes: u64,
    received_bytes: u64,
    /// The shortest delay, s.
    delay: Option<f64>,
}

/// What happens to the packets that wait on their way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Queue {
    /// None does, as far as is known.
    Empty,
    /// There are some.
    Stays,
    /// There are more than before.
    Grows,
}

/// What a window showed: bits a second, and the part of the packets that was lost.
struct Findings {
    seconds: f64,
    sent: f64,
    received: f64,
    lost: f64,
    queue: Queue,
}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            target: MAX,
            ceiling: None,
            window: Window::default(),
            epoch: None,
            delays: VecDeque::with_capacity(REMEMBERED),
            growing: 0,
            feedback_at: None,
            reported: None,
            limit: MAX,
            told: MAX,
            told_at: None,
        }
    }
}

impl Estimate {
    /// Learns what became of packets, in the order in which they were sent.
    pub(super) fn feedback(&mut self, now: Instant, reports: &[PacketReport]) {
        if reports.is_empty() {
            return;
        }
        self.feedback_at = Some(now);
        // The packets of the first report were sent in a time that nobody knows.
        let Some(began) = self.window.began else {
            self.window.began = Some(now);
            return;
        };
        for report in reports {
            self.note(report);
        }
        let passed = now.saturating_duration_since(began);
        if passed < WINDOW || self.window.packets < MIN_PACKETS {
            return;
        }
        let window = std::mem::take(&mut self.window);
        self.window.began = Some(now);
        let seconds = passed.as_secs_f64();
        let queue = self.queue(window.delay);
        self.judge(&Findings {
            seconds,
            sent: window.sent_bytes as f64 * 8.0 / seconds,
            received: window.received_bytes as f64 * 8.0 / seconds,
            lost: f64::from(window.lost) / f64::from(window.packets),
            queue,
        });
    }

    fn note(&mut self, report: &PacketReport) {
        let window = &mut self.window;
        let bytes = report.size as u64;
        window.packets = window.packets.saturating_add(1);
        window.sent_bytes += bytes;
        if !report.arrived {
            window.lost = window.lost.saturating_add(1);
            return;
        }
        window.received_bytes += bytes;
        if let Some(arrival) = report.arrival {
            let epoch = *self.epoch.get_or_insert(report.departure);
            let departure = report.departure.saturating_duration_since(epoch);
            let delay = arrival.as_secs_f64() - departure.as_secs_f64();
            window.delay = Some(window.delay.map_or(delay, |least| least.min(delay)));
        }
    }

    /// What the shortest delay of a window says, by those of the windows before.
    fn queue(&mut self, delay: Option<f64>) -> Queue {
        let Some(delay) = delay else {
            return Queue::Empty;
        };
        let shortest = self.delays.iter().copied().fold(delay, f64::min);
        let is_queue = delay - shortest > QUEUE;
        let grows = self.delays.back().is_some_and(|last| delay - last > GROWTH);
        self.growing = if is_queue && grows {
            self.growing.saturating_add(1)
        } else {
            0
        };
        if self.delays.len() == REMEMBERED {
            self.delays.pop_front();
        }
        self.delays.push_back(delay);
        match is_queue {
            false => Queue::Empty,
            true if self.growing >= GROWING => Queue::Grows,
            true => Queue::Stays,
        }
    }

    /// Learns which part of the packets was lost, 0 to 1, since the last such report; `sent_bytes` counts from the
    /// beginning.
    pub(super) fn receiver_report(&mut self, now: Instant, lost: f64, sent_bytes: u64) {
        let has_feedback = self
            .feedback_at
            .is_some_and(|at| now.saturating_duration_since(at) < SILENCE);
        if has_feedback {
            self.reported = None;
            return;
        }
        let Some((began, bytes, worst)) = self.reported else {
            self.reported = Some((now, sent_bytes, 0.0));
            return;
        };
        let worst = worst.max(lost);
        let passed = now.saturating_duration_since(began);
        if passed < WINDOW {
            self.reported = Some((began, bytes, worst));
            return;
        }
        self.reported = Some((now, sent_bytes, 0.0));
        let seconds = passed.as_secs_f64();
        let sent = sent_bytes.saturating_sub(bytes) as f64 * 8.0 / seconds;
        self.judge(&Findings {
            seconds,
            sent,
            received: sent * (1.0 - worst),
            lost: worst,
            queue: Queue::Empty,
        });
    }

    /// Learns what the receiver says that it can take, bits a second.
    pub(super) fn limit(&mut self, bits: f64) {
        // What comes from outside may be no number at all.
        if bits.is_finite() {
            self.limit = bits.clamp(MIN, MAX);
        }
    }

    fn judge(&mut self, found: &Findings) {
        if found.queue == Queue::Grows {
            self.target = self.target.min(found.received * DECREASE);
            self.ceiling = Some(found.received);
        } else if found.lost > HIGH_LOSS {
            self.target = self.target.min(found.sent) * (1.0 - 0.5 * found.lost);
        } else if found.lost < LOW_LOSS && found.queue == Queue::Empty {
            let near = self
                .ceiling
                .is_some_and(|ceiling| NEAR.contains(&(self.target / ceiling)));
            let grown = if near {
                self.target + CAREFUL_INCREASE * found.seconds.min(1.0)
            } else {
                self.target * INCREASE
            };
            let seen = found.received * 1.5 + 10_000.0;
            self.target = self.target.max(grown.min(seen));
            let is_past = |ceiling: f64| self.target > ceiling * NEAR.end;
            if self.ceiling.is_some_and(is_past) {
                self.ceiling = None;
            }
        }
        self.target = self.target.clamp(MIN, MAX);
    }

    /// Bits a second, when they have changed by more than a twentieth since they were last told, and that is some time
    /// ago.
    pub(super) fn news(&mut self, now: Instant) -> Option<u64> {
        let bits = self.target.min(self.limit);
        let is_soon = self
            .told_at
            .is_some_and(|at| now.saturating_duration_since(at) < NEWS_INTERVAL);
        if is_soon || (bits - self.told).abs() <= self.told * NEWS_PART {
            return None;
        }
        (self.told, self.told_at) = (bits, Some(now));
        Some(bits as u64)
    }
}

#[cfg(test)]
mod tests {
    use rtc::rtcp::transport_feedbacks::cc_feedback_report::Ecn;

    use super::*;

    /// A path under a virtual clock: packets of 1000 bytes, reported every 50 ms.
    struct Path {
        estimate: Estimate,
        begin: Instant,
        now: Duration,
        packets: u64,
        /// Delay of the path.
        delay: Duration,
        told: Vec<(Duration, u64)>,
    }

    impl Path {
        fn new() -> Self {
            Self {
                estimate: Estimate::default(),
                begin: Instant::now(),
                now: Duration::ZERO,
                packets: 0,
                delay: Duration::from_millis(20),
                told: Vec::new(),
            }
        }

        fn target(&self) -> f64 {
            self.estimate.target
        }

        fn report(&mut self, bits: f64, is_lost: impl Fn(u64) -> bool) {
            let count = (bits * 0.05 / 8000.0).round() as u64;
            let mut reports = Vec::new();
            for index in 0..count {
                let id = self.packets;
                self.packets += 1;
                let departure = self.now + Duration::from_millis(50) * index as u32 / count as u32;
                let arrived = !is_lost(id);
                reports.push(PacketReport {
                    ssrc: 1,
                    id,
                    rtp_sequence_number: id as u16,
                    is_twcc: true,
                    twcc_sequence_number: id as u16,
                    size: 1000,
                    arrived,
                    departure: self.begin + departure,
                    arrival: arrived.then_some(departure + self.delay),
                    ecn: Ecn::default(),
                });
            }
            self.now += Duration::from_millis(50);
            let now = self.begin + self.now;
            self.estimate.feedback(now, &reports);
            if let Some(bits) = self.estimate.news(now) {
                self.told.push((self.now, bits));
            }
        }

        /// Sends what the estimate allows, at most `most`, for some seconds.
        fn run(&mut self, seconds: f64, most: f64, is_lost: impl Fn(u64) -> bool) {
            let end = self.now + Duration::from_secs_f64(seconds);
            while self.now < end {
                let bits = self.target().min(most);
                self.report(bits, &is_lost);
            }
        }
    }

    #[test]
    fn nothing_is_told_while_all_packets_arrive() {
        let mut path = Path::new();
        path.run(20.0, 1_500_000.0, |_| false);
        assert_eq!(path.told, []);
    }

    #[test]
    fn under_loss_it_falls_within_two_seconds_and_climbs_afterwards() {
        let mut path = Path::new();
        path.run(3.0, 1_500_000.0, |_| false);
        path.run(2.0, 1_500_000.0, |id| id % 10 < 3);
        let low = path.target();
        assert!(low < 0.7 * 1_500_000.0, "{low}");
        let falls = path.told.clone();
        assert!(
            falls.len() >= 2 && falls.is_sorted_by(|a, b| a.1 > b.1),
            "{falls:?}"
        );
        path.run(5.0, 1_500_000.0, |_| false);
        let after = path.target();
        assert!(after > 1.25 * low, "{low} to {after}");
        path.run(30.0, 1_500_000.0, |_| false);
        assert!(path.target() > 1_500_000.0);
    }

    #[test]
    fn a_few_losses_change_nothing() {
        let mut path = Path::new();
        path.run(10.0, 1_500_000.0, |id| id % 20 == 0);
        assert_eq!(path.told, []);
    }

    #[test]
    fn a_queue_that_grows_is_drained_by_sending_less_than_arrives() {
        let mut path = Path::new();
        path.run(3.0, 2_000_000.0, |_| false);
        // Each group waits 20 ms longer than the one before, and nothing is lost.
        for _ in 0..40 {
            path.delay += Duration::from_millis(20);
            path.report(2_000_000.0, |_| false);
        }
        // The last window may have begun while it grew still.
        path.run(1.0, 2_000_000.0, |_| false);
        let low = path.target();
        assert!(low < 0.9 * 2_000_000.0, "{low}");
        // It stays, and so does what is sent; in the end it is taken for part of the way.
        path.run(5.0, 2_000_000.0, |_| false);
        assert_eq!(path.target(), low);
        path.run(10.0, 2_000_000.0, |_| false);
        assert!(path.target() > low, "{low} to {}", path.target());
    }

    #[test]
    fn what_is_not_sent_does_not_make_it_grow() {
        let mut path = Path::new();
        path.run(2.0, 1_000_000.0, |_| false);
        path.run(3.0, 1_000_000.0, |id| id % 2 == 0);
        // A still picture needs little, whatever is allowed.
        path.run(60.0, 400_000.0, |_| false);
        assert!(path.target() < 800_000.0, "{}", path.target());
    }

    #[test]
    fn changes_are_told_when_they_matter_and_not_more_than_five_times_a_second() {
        let mut path = Path::new();
        for round in 0..200_u64 {
            path.run(0.3, 3_000_000.0, |id| round % 3 == 0 && id % 2 == 0);
        }
        assert!(path.told.len() > 10, "{:?}", path.told);
        for pair in path.told.windows(2) {
            assert!(pair[1].0 - pair[0].0 >= NEWS_INTERVAL, "{pair:?}");
            let [was, is] = [pair[0].1 as f64, pair[1].1 as f64];
            assert!((is - was).abs() > 0.049 * was, "{pair:?}");
        }
    }

    #[test]
    fn receiver_reports_count_where_there_is_no_transport_feedback() {
        let begin = Instant::now();
        let at = |second: u64| begin + Duration::from_secs(second);
        let mut estimate = Estimate::default();
        // 1 Mbit/s.
        for second in 0..5 {
            estimate.receiver_report(at(second), 0.0, second * 125_000);
        }
        assert_eq!(estimate.news(at(5)), None);
        estimate.receiver_report(at(5), 0.3, 5 * 125_000);
        let low = estimate.news(at(5)).expect("news");
        assert_eq!(low, 850_000);
        for second in 6..12 {
            estimate.receiver_report(at(second), 0.0, second * 125_000);
        }
        assert!(estimate.news(at(12)) > Some(low));
    }

    #[test]
    fn a_receivers_own_limit_is_kept() {
        let begin = Instant::now();
        let mut estimate = Estimate::default();
        estimate.limit(300_000.0);
        assert_eq!(estimate.news(begin), Some(300_000));
        let later = begin + Duration::from_secs(1);
        for strange in [f64::NAN, f64::INFINITY] {
            estimate.limit(strange);
            assert_eq!(estimate.news(later), None);
        }
        estimate.limit(-1.0);
        assert_eq!(estimate.news(later), Some(MIN as u64));
    }
}
