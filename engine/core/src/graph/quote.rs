//! Names in messages: quoted, kept short, compared by likeness.

use std::fmt::Write;

/// The longest piece of a file that a message repeats, in characters.
const SHOWN: usize = 60;

/// `text` in double quotes, control characters escaped, cut when long.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for (count, c) in text.chars().enumerate() {
        if count == SHOWN {
            out.push('…');
            break;
        }
        if c.is_control() || c == '"' {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out.push('"');
    out
}

/// `a`, `a or b`, `a, b or c`; past eight, the number of the others.
pub(super) fn list<S: AsRef<str>>(items: &[S], last: &str) -> String {
    const MOST: usize = 8;
    let mut out = String::new();
    let shown = if items.len() > MOST + 1 {
        MOST
    } else {
        items.len()
    };
    for (at, item) in items.iter().take(shown).enumerate() {
        if at > 0 && at + 1 == items.len() {
            let _ = write!(out, " {last} ");
        } else if at > 0 {
            out.push_str(", ");
        }
        out.push_str(item.as_ref());
    }
    if shown < items.len() {
        let _ = write!(out, " {last} {} more", items.len() - shown);
    }
    out
}

/// `a -> b -> c`; of very many names, the first and the last.
pub(super) fn path(names: &[&str]) -> String {
    const MOST: usize = 24;
    if names.len() <= MOST {
        return names.join(" -> ");
    }
    format!(
        "{} -> … {} more … -> {}",
        names[..MOST - 2].join(" -> "),
        names.len() - MOST,
        names[names.len() - 2..].join(" -> ")
    )
}

/// The candidate most like `name`, if one is like enough to be what was meant: at most a third of
/// the longer name differs, and at most three characters.
#[must_use]
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name: Vec<char> = name.chars().take(SHOWN * 2).collect();
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other: Vec<char> = candidate.chars().take(SHOWN * 2).collect();
            let allowed = (name.len().max(other.len()) / 3).clamp(1, 3);
            let near = name.len().abs_diff(other.len()) <= allowed;
            let distance = if near {
                distance(&name, &other)
            } else {
                usize::MAX
            };
            (distance <= allowed && distance < name.len().max(1)).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many insertions, deletions, replacements and swaps of neighbours lead from `a` to `b`
/// (optimal string alignment; ASCII case counts for nothing).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut row = vec![i + 1];
        for j in 0..b.len() {
            let same = a[i].eq_ignore_ascii_case(&b[j]);
            let mut best = (last[j] + usize::from(!same))
                .min(last[j + 1] + 1)
                .min(row[j] + 1);
            let swapped = i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j];
            if swapped {
                best = best.min(before[j - 1] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

/// The candidates, the one most like `name` first, the others in their order.
pub(super) fn nearest_first(name: &str, mut candidates: Vec<String>) -> Vec<String> {
    let at = nearest(name, candidates.iter().map(String::as_str))
        .and_then(|best| candidates.iter().position(|c| c == best));
    if let Some(at) = at {
        candidates[..=at].rotate_right(1);
    }
    candidates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_and_strangers_are_not() {
        let names = ["gain", "level", "webrtc-source", "webrtc-sink"];
        assert_eq!(nearest("gian", names), Some("gain"));
        assert_eq!(nearest("webrtc-soruce", names), Some("webrtc-source"));
        assert_eq!(nearest("Level", names), Some("level"));
        assert_eq!(nearest("vp8-decode", names), None);
        assert_eq!(nearest("", names), None);
        assert_eq!(nearest("x", ["y"]), None);
    }

    #[test]
    fn a_quoted_piece_is_short_and_harmless() {
        assert_eq!(quote("a\u{1b}b\"c"), r#""a\u{1b}b\"c""#);
        assert_eq!(quote(&"x".repeat(999)).chars().count(), SHOWN + 3);
    }

    #[test]
    fn lists_read_as_english() {
        assert_eq!(list(&["a"], "or"), "a");
        assert_eq!(list(&["a", "b"], "or"), "a or b");
        assert_eq!(list(&["a", "b", "c"], "and"), "a, b and c");
        let many: Vec<String> = (0..20).map(|n| n.to_string()).collect();
        assert_eq!(list(&many, "and"), "0, 1, 2, 3, 4, 5, 6, 7 and 12 more");
    }

    #[test]
    fn the_nearest_comes_first() {
        let names = ["out", "audio", "video"].map(String::from).to_vec();
        assert_eq!(nearest_first("vidoe", names), ["video", "out", "audio"]);
    }
}
