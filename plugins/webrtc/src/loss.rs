//! Loses media packets on purpose, so that a test can show what recovers from a burst of loss.
//!
//! Only datagrams that carry RTP or RTCP are lost (RFC 7983: first byte 128 to 191); connectivity checks, the key
//! exchange and data channels pass, so the connection itself stays up. Which packets are lost follows from a seed and
//! from their order alone. Nothing of this exists in a peer that was not asked for it.

use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The environment variable from which [`Loss::from_env`] reads, for tests of the finished program.
pub const LOSS_VARIABLE: &str = "LEVADA_TEST_LOSS";

/// A loss that repeats by its seed.
///
/// Its text form is `seed=7,per-thousand=300,after=3s,for=2s,direction=both`; only `per-thousand` must be given.
/// Times are whole seconds (`3s`) or milliseconds (`500ms`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeededLoss {
    /// Chooses which packets are lost.
    pub seed: u64,
    /// How many of a thousand media packets are lost, 0 to 1000.
    pub per_thousand: u16,
    /// Lose packets that arrive.
    pub incoming: bool,
    /// Lose packets that are sent.
    pub outgoing: bool,
    /// Begin this long after the peer's first media packet.
    pub after: Duration,
    /// Stop this long after beginning; `None` means never.
    pub duration: Option<Duration>,
}

impl Default for SeededLoss {
    fn default() -> Self {
        Self {
            seed: 1,
            per_thousand: 0,
            incoming: true,
            outgoing: true,
            after: Duration::ZERO,
            duration: None,
        }
    }
}

impl FromStr for SeededLoss {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut loss = SeededLoss::default();
        let mut rate_given = false;
        for part in text.split(',') {
            let (key, value) = part
                .trim()
                .split_once('=')
                .ok_or_else(|| format!("\"{part}\" is not of the form key=value"))?;
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|_| format!("{key}: \"{value}\" is not a whole number"))
            };
            match key {
                "seed" => loss.seed = number()?,
                "per-thousand" => {
                    loss.per_thousand = u16::try_from(number()?)
                        .ok()
                        .filter(|rate| *rate <= 1000)
                        .ok_or_else(|| format!("per-thousand: {value} is not within 0 to 1000"))?;
                    rate_given = true;
                }
                "after" => loss.after = duration(key, value)?,
                "for" => loss.duration = Some(duration(key, value)?),
                "direction" => {
                    (loss.incoming, loss.outgoing) = match value {
                        "in" => (true, false),
                        "out" => (false, true),
                        "both" => (true, true),
                        _ => return Err(format!("direction: \"{value}\" is not in, out or both")),
                    }
                }
                _ => {
                    return Err(format!(
                        "\"{key}\" is unknown; the keys are seed, per-thousand, after, for and direction"
                    ));
                }
            }
        }
        if rate_given {
            Ok(loss)
        } else {
            Err("per-thousand is missing".to_owned())
        }
    }
}

fn duration(key: &str, text: &str) -> Result<Duration, String> {
    let (digits, millis) = if let Some(digits) = text.strip_suffix("ms") {
        (digits, 1)
    } else if let Some(digits) = text.strip_suffix('s') {
        (digits, 1000)
    } else {
        return Err(format!("{key}: \"{text}\" has no unit; write 2s or 500ms"));
    };
    digits
        .parse::<u32>()
        .map(|number| Duration::from_millis(u64::from(number) * millis))
        .map_err(|_| format!("{key}: \"{text}\" is not a time; write 2s or 500ms"))
}

/// How a peer loses media packets.
#[derive(Debug, Clone)]
pub enum Loss {
    /// By a plan, counted from the first media packet of each peer.
    Planned(SeededLoss),
    /// By hand: whoever holds a clone of the control switches it.
    Controlled(LossControl),
}

impl Loss {
    /// Reads the plan from the environment variable [`LOSS_VARIABLE`]; `None` when it is not set.
    ///
    /// # Errors
    ///
    /// What is wrong with its text.
    pub fn from_env() -> Result<Option<Self>, String> {
        match std::env::var(LOSS_VARIABLE) {
            Ok(text) => text
                .parse()
                .map(|loss| Some(Self::Planned(loss)))
                .map_err(|problem| format!("{LOSS_VARIABLE}: {problem}")),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(format!("{LOSS_VARIABLE}: the value is not text"))
            }
        }
    }

    pub(crate) fn control(&self) -> LossControl {
        match self {
            Loss::Planned(plan) => {
                let control = LossControl::new(plan.clone());
                control.set(true);
                control
            }
            Loss::Controlled(control) => control.clone(),
        }
    }
}

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Incoming,
    Outgoing,
}

/// A switch for a loss. Clones share it.
#[derive(Debug, Clone)]
pub struct LossControl {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    plan: SeededLoss,
    on: AtomicBool,
    drawn: AtomicU64,
    dropped: AtomicU64,
    first_media: OnceLock<Instant>,
}

impl LossControl {
    /// A control that loses nothing until it is switched on.
    pub fn new(plan: SeededLoss) -> Self {
        Self {
            shared: Arc::new(Shared {
                plan,
                on: AtomicBool::new(false),
                drawn: AtomicU64::new(0),
                dropped: AtomicU64::new(0),
                first_media: OnceLock::new(),
            }),
        }
    }

    /// Switches the loss on or off, from any thread.
    pub fn set(&self, on: bool) {
        self.shared.on.store(on, Ordering::Relaxed);
    }

    /// How many media packets have been lost.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    pub(crate) fn drops(&self, direction: Direction, datagram: &[u8]) -> bool {
        if !datagram
            .first()
            .is_some_and(|byte| (128..192).contains(byte))
        {
            return false;
        }
        let plan = &self.shared.plan;
        let now = Instant::now();
        let since = now.duration_since(*self.shared.first_media.get_or_init(|| now));
        let wanted = match direction {
            Direction::Incoming => plan.incoming,
            Direction::Outgoing => plan.outgoing,
        };
        let in_window = since >= plan.after
            && plan
                .duration
                .is_none_or(|duration| since < plan.after + duration);
        if !wanted || !in_window || !self.shared.on.load(Ordering::Relaxed) {
            return false;
        }
        let draw = self.shared.drawn.fetch_add(1, Ordering::Relaxed);
        let drop = mix(plan.seed, draw) % 1000 < u64::from(plan.per_thousand);
        if drop {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
        drop
    }
}

/// The `index`-th number of the splitmix64 sequence with this seed (Steele, Lea and Flood, 2014).
fn mix(seed: u64, index: u64) -> u64 {
    let mut z = seed.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_is_read() {
        let loss: SeededLoss = "seed=7,per-thousand=300,after=3s,for=500ms,direction=out"
            .parse()
            .unwrap();
        let expected = SeededLoss {
            seed: 7,
            per_thousand: 300,
            incoming: false,
            outgoing: true,
            after: Duration::from_secs(3),
            duration: Some(Duration::from_millis(500)),
        };
        assert_eq!(loss, expected);
    }

    #[test]
    fn wrong_text_is_refused_with_the_cause() {
        for (text, cause) in [
            ("", "key=value"),
            ("seed=1", "per-thousand is missing"),
            ("per-thousand=1001", "0 to 1000"),
            ("per-thousand=10,after=3", "no unit"),
            ("per-thousand=10,direction=up", "in, out or both"),
            ("per-thousand=10,colour=red", "unknown"),
        ] {
            let error = text.parse::<SeededLoss>().unwrap_err();
            assert!(error.contains(cause), "{text}: {error}");
        }
    }

    #[test]
    fn loss_repeats_by_seed_and_spares_what_is_not_media() {
        let plan: SeededLoss = "seed=7,per-thousand=300".parse().unwrap();
        let run = || {
            let control = LossControl::new(plan.clone());
            assert!(!control.drops(Direction::Incoming, &[0x80]), "off at first");
            control.set(true);
            assert!(!control.drops(Direction::Incoming, &[0x00]), "STUN passes");
            assert!(!control.drops(Direction::Incoming, &[22]), "DTLS passes");
            (0..1000)
                .map(|_| control.drops(Direction::Outgoing, &[0x90]))
                .collect::<Vec<_>>()
        };
        let first = run();
        assert_eq!(first, run());
        let lost = first.iter().filter(|drop| **drop).count();
        assert!((230..370).contains(&lost), "{lost}");
    }
}
