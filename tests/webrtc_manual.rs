//! The example `webrtc_manual`, run as a person runs it, and the comparison that its verdict rests on.

mod support;

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use support::levada::{example, root};
use support::program::{Output, Program};

#[allow(dead_code, reason = "the example uses the rest")]
#[path = "../examples/webrtc_manual/verdict.rs"]
mod verdict;

use verdict::{Verdict, of_picture};

/// A build of the plugin for AAC, and the film.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs the example with a STUN server that does not answer.
fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let silent = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let stun = format!("stun:{}", silent.local_addr().expect("an address"));
    run_with_stun(&stun, arguments, environment)
}

fn run_with_stun(stun: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(example("webrtc_manual"));
    command
        .current_dir(root())
        .env_remove("RUST_LOG")
        .args(["--stun", stun])
        .args(arguments)
        .envs(environment.iter().copied());
    Program::start("webrtc_manual", command).wait(LIMIT)
}

/// The figures of the table's row `name`: sent, returned, verified, gaps, displaced, altered.
fn row(output: &Output, name: &str) -> Vec<usize> {
    let line = output.stdout.lines().find(|line| line.starts_with(name));
    let line = line.unwrap_or_else(|| panic!("no row {name}: {output:#?}"));
    let words = line.split_whitespace().skip(1);
    words.map_while(|word| word.parse().ok()).collect()
}

#[test]
fn a_film_goes_through_a_connection_made_by_hand_and_comes_back_unchanged() {
    let output = run(&[], &[]);
    assert!(output.status.success(), "{output:#?}");
    assert_eq!(
        row(&output, "pictures"),
        [120, 120, 120, 0, 0, 0],
        "{output:#?}"
    );
    let sound = row(&output, "sound");
    // Four seconds in packets of 20 ms, and what the codecs' delays add.
    assert!((198..=205).contains(&sound[0]), "{output:#?}");
    assert_eq!(sound[1..], [sound[0], sound[0], 0, 0, 0], "{output:#?}");
    for words in [
        "aac-decoder",
        "opus-encoder",
        "no answer, which took ",
        "http://127.0.0.1:",
    ] {
        assert!(output.stdout.contains(words), "{words}: {output:#?}");
    }
    assert!(
        !output.stdout.contains("h264-"),
        "pictures pass as they are: {output:#?}"
    );
}

#[test]
fn what_does_not_come_back_is_told_and_fails() {
    // To the end: after a shorter loss the pictures are sent again, and all come back.
    let loss = "per-thousand=1000,after=1s";
    let output = run(&[], &[("LEVADA_TEST_LOSS", loss)]);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    for name in ["pictures", "sound"] {
        let [sent, returned, verified, gaps, displaced, altered] = row(&output, name)[..] else {
            panic!("{name}: {output:#?}");
        };
        assert!(returned < sent && gaps > 0, "{name}: {output:#?}");
        assert_eq!(verified, returned, "what comes back is right: {output:#?}");
        assert_eq!([displaced, altered], [0, 0], "{name}: {output:#?}");
    }
}

#[test]
fn a_film_that_is_not_there_is_a_failure_and_leaves_no_server_behind() {
    let output = run(&["--file", "no-such-film.mp4"], &[]);
    assert_eq!(output.status.code(), Some(1), "{output:#?}");
    assert!(output.stderr.contains("no-such-film.mp4"), "{output:#?}");
    assert!(!output.stderr.contains("--set"), "{output:#?}");
    // The server's stderr is that of the example: that it has ended is why the output did.
}

#[test]
fn a_stun_server_that_is_no_url_is_wrong_usage() {
    for wrong in ["foo", "stun:", "https://example.org"] {
        let output = run_with_stun(wrong, &[], &[]);
        assert_eq!(output.status.code(), Some(2), "{wrong}: {output:#?}");
        assert!(
            output.stderr.contains("stun:stun.example.org:3478"),
            "{output:#?}"
        );
    }
}

#[test]
fn the_server_ends_with_whoever_started_it() {
    let mut server = Command::new(example("webrtc_manual"));
    server.arg("--signaling");
    // Its stdin is empty from the beginning.
    let output = Program::start("webrtc_manual --signaling", server).wait(LIMIT);
    assert!(output.status.success(), "{output:#?}");
    assert!(output.stdout.starts_with("127.0.0.1:"), "{output:#?}");
}

#[test]
fn a_verdict_is_good_only_if_everything_came_back_in_order() {
    let sent = [1, 2, 2, 3];
    assert!(Verdict::of(&sent, &sent).is_good());
    let cases: [(&[u64], [usize; 4]); 7] = [
        // Verified, displaced, altered, gaps.
        (&[], [0, 0, 0, 1]),
        (&[2, 2, 3], [3, 0, 0, 1]),
        (&[1, 2, 3], [3, 0, 0, 1]),
        (&[1, 2, 2], [3, 0, 0, 1]),
        (&[1, 2, 2, 3, 3], [4, 1, 0, 0]),
        (&[2, 1, 2, 3], [3, 1, 0, 1]),
        (&[1, 2, 7, 3], [3, 0, 1, 1]),
    ];
    for (returned, [verified, displaced, altered, gaps]) in cases {
        let verdict = Verdict::of(&sent, returned);
        let expected = Verdict {
            sent: sent.len(),
            returned: returned.len(),
            verified,
            displaced,
            altered,
            gaps,
            too_many: false,
        };
        assert_eq!(verdict, expected, "{returned:?}");
        assert!(!verdict.is_good(), "{returned:?}");
    }
    assert!(!Verdict::of(&[], &[]).is_good(), "nothing was sent");
}

#[test]
fn pictures_are_the_same_whatever_stands_between_their_units() {
    let plain = [0, 0, 0, 1, 0x67, 7, 0, 0, 0, 1, 0x65, 8, 9];
    let other = [
        0, 0, 0, 1, 9, 0x10, 0, 0, 1, 0x67, 7, 0, 0, 1, 0x65, 8, 9, 0,
    ];
    assert_eq!(of_picture(&plain), of_picture(&other));
    let changed = [0, 0, 0, 1, 0x67, 7, 0, 0, 0, 1, 0x65, 8, 8];
    assert_ne!(of_picture(&plain), of_picture(&changed));
    let joined = [0, 0, 0, 1, 0x67, 7, 0x65, 8, 9];
    assert_ne!(of_picture(&plain), of_picture(&joined));
}
