//! Files that nobody wrote: random changes of good and bad ones, and noise.

use levada_engine::graph::{parse_bytes, validate};

use super::{ECHO, MISTAKES, TONE, catalog, judge};

/// A small generator of random numbers (xorshift64*), so that a failure repeats by its seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap_or(0) % end.max(1)
    }
}

/// The last character boundary at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}

/// Whatever is done to a file, it is a graph or it has problems, each within its text; and a
/// graph that comes out keeps its promises.
#[test]
fn no_mutation_of_a_file_makes_it_panic() {
    let seeds = [TONE, ECHO, MISTAKES];
    let pieces = [
        "\"",
        "'",
        "\"\"\"",
        "[",
        "]",
        "[[",
        "]]",
        "{",
        "}",
        "=",
        ",",
        ".",
        "->",
        "\n",
        "\r",
        "\t",
        "#",
        "\\",
        "\\u0041",
        "\u{feff}",
        "\u{0}",
        "\u{1b}",
        "日",
        "🎥",
        "nan",
        "-",
        "9",
        "true",
        "[nodes]",
        "nodes.",
        "[[links]]",
        "[plugins]",
        "tone",
        "louder.in",
        "type",
        "params",
        "scope",
        "1979-05-27",
        "policy = \"latest\"",
        "feedback = true",
        "limits",
        "[limits]",
        "memory = \"5 kB\"",
        "sync = \"pts\"",
        "tolerance = \"5 ms\"",
        "capacity = 0x7fffffffffffffffff",
    ];
    let mut random = Random(0x1e7a_da00);
    let (mut sound, mut refused) = (0, 0);
    for round in 0..8000 {
        let mut text = seeds[[2, 1, 0, 0][(round % 16).min(3)]].to_owned();
        if text.len() > 4000 {
            let from = floor(&text, random.below(text.len()));
            let to = floor(&text, (from + 2000).min(text.len()));
            text = text[from..to].to_owned();
        }
        for _ in 0..=random.below(4) {
            let at = floor(&text, random.below(text.len() + 1));
            let end = floor(&text, (at + random.below(12)).min(text.len()));
            match random.below(4) {
                0 => text.insert_str(at, pieces[random.below(pieces.len())]),
                1 => text.replace_range(at..end, ""),
                2 => text.replace_range(at..end, pieces[random.below(pieces.len())]),
                _ => {
                    let copy = text[at..end].to_owned();
                    let to = floor(&text, random.below(text.len() + 1));
                    text.insert_str(to, &copy);
                }
            }
        }
        match judge(&text, &["louder.db=3"]) {
            Ok(graph) => {
                sound += 1;
                assert_eq!(graph.topological_order().len(), graph.nodes.len(), "{text}");
                for node in &graph.nodes {
                    let params = &catalog()[&node.type_name].params;
                    assert_eq!(node.params.len(), params.len(), "{text}");
                }
            }
            Err(problems) => {
                refused += 1;
                assert!(!problems.is_empty(), "{text}");
                assert!(!problems.to_string().contains('\u{1b}'), "{text}");
                serde_json::to_string(&problems).expect("problems serialize");
            }
        }
    }
    assert!(
        sound > 50 && refused > 2000,
        "{sound} sound, {refused} refused"
    );
}

/// Bytes that are no text at all are told apart from text, and make nothing panic.
#[test]
fn no_bytes_make_it_panic() {
    let mut random = Random(0xb17e5);
    for _ in 0..3000 {
        let bytes: Vec<u8> = (0..random.below(200))
            .map(|_| random.below(256) as u8)
            .collect();
        let document = parse_bytes("g.toml", &bytes);
        let problems = validate(&document, &catalog(), &[]).expect_err("noise is no graph");
        assert!(!problems.to_string().is_empty());
    }
}
