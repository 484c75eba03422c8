//! Descriptions and candidates that a stranger has spoiled are refused or make do; none takes the process down.

mod common;

use common::*;
use levada_webrtc::{IceCandidate, Peer};

/// Numbers that repeat by their seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % limit.max(1)
    }
}

/// One or a few spoiled places.
fn spoil(random: &mut Random, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=random.below(4) {
        let at = random.below(lines.len());
        match random.below(7) {
            0 => {
                lines.remove(at);
            }
            1 => lines.insert(at, lines[random.below(lines.len())].clone()),
            2 => lines.truncate(at.max(1)),
            3 => {
                let cut = random.below(lines[at].len());
                lines[at] = lines[at].chars().take(cut).collect();
            }
            4 => lines[at]
                .push_str(["\u{1F600}", " ", ":", "99999999999999999999", "=-1"][random.below(5)]),
            5 => {
                let other = random.below(lines.len());
                lines.swap(at, other);
            }
            _ => {
                let digits = ["0", "-1", "65536", "4294967296", "x", ""];
                let digit = digits[random.below(digits.len())];
                lines[at] = lines[at].replacen(|c: char| c.is_ascii_digit(), digit, 1);
            }
        }
        if lines.is_empty() {
            break;
        }
    }
    lines.join("\r\n") + "\r\n"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoiled_descriptions_do_not_panic() {
    let model = side(loopback()).await;
    model.peer.add_data_channel("chat").await.unwrap();
    model.peer.create_offer().await.unwrap();
    let offer = model.peer.wait_for_ice_gathering().await.unwrap();
    let mut random = Random(20_241);
    let (mut refused, mut answered) = (0, 0);
    for round in 0..400 {
        let spoiled = spoil(&mut random, &offer);
        let side = side(loopback()).await;
        let peer = side.peer.clone();
        let text = spoiled.clone();
        let offered =
            tokio::spawn(async move { peer.handle_offer_and_create_answer(&text).await }).await;
        match offered {
            Ok(Ok(_)) => answered += 1,
            Ok(Err(_)) => refused += 1,
            Err(panic) => panic!("round {round}: {panic}\n{spoiled}"),
        }
        side.peer.close().await;
    }
    assert!(
        refused > 50 && answered > 50,
        "{refused} refused, {answered} answered"
    );
    model.peer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spoiled_candidates_do_not_panic_and_are_refused_before_a_description() {
    let (a, b) = (side(loopback()).await, side(loopback()).await);
    let early = IceCandidate {
        candidate: "candidate:1 1 udp 1 127.0.0.1 9 typ host".to_owned(),
        ..IceCandidate::default()
    };
    assert!(a.peer.add_ice_candidate(early).await.is_err());
    connect(&a, &b).await;
    let good = candidates(&b).await[0].candidate.clone();
    let mut random = Random(7);
    for round in 0..1000 {
        let spoiled = spoil(&mut random, &good).trim_end().to_owned();
        let peer = a.peer.clone();
        let candidate = IceCandidate {
            candidate: spoiled.clone(),
            sdp_mid: Some("x".repeat(random.below(10))),
            sdp_m_line_index: Some(random.below(9) as u16),
            ..IceCandidate::default()
        };
        let added = tokio::spawn(async move { peer.add_ice_candidate(candidate).await }).await;
        assert!(added.is_ok(), "round {round}: {spoiled}");
    }
    // The connection is none the worse.
    a.peer.wait_for_connection().await.unwrap();
    close(a, b).await;
}
