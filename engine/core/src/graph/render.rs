//! The source line under a problem, with carets.
//!
//! One line is printed, the one in which the span starts. A tab is printed as [`TAB`] spaces and a
//! control character as a replacement character, so that the carets stay underneath and a file
//! cannot drive the reader's terminal. A long line is cut to [`WINDOW`] characters around the
//! span, with an ellipsis at each cut.

use std::fmt::{self, Write};
use std::ops::Range;

use super::problem::Source;

/// How many columns of a line are printed.
const WINDOW: usize = 100;
/// How many spaces stand for a tab.
const TAB: usize = 4;
/// How much of a cut line is kept before the span.
const LEAD: usize = 24;

/// Writes a line end, the source line and the caret line.
pub(super) fn snippet(f: &mut impl Write, source: &Source, span: &Range<usize>) -> fmt::Result {
    let start = source.floor(span.start);
    let (line, line_start) = source.line_at(start);
    let (number, _) = source.position(start);

    // The columns, after tabs are widened, that the carets cover: at least one, which may lie
    // behind the line's end, where something is missing.
    let from = start.saturating_sub(line_start).min(line.len());
    let to = source
        .floor(span.end)
        .saturating_sub(line_start)
        .clamp(from, line.len());
    let before = line.get(..from).unwrap_or("");
    let within = line.get(from..to).unwrap_or("");
    let caret = width(before);
    let carets = width(within).max(1);

    let total = width(line);
    let (first, last) = if total <= WINDOW {
        (0, total.max(caret + carets))
    } else {
        let first = caret.saturating_sub(LEAD).min(total.saturating_sub(WINDOW));
        (first, first + WINDOW)
    };

    let number = number.to_string();
    write!(f, "\n {number} |{}", if line.is_empty() { "" } else { " " })?;
    let cut_left = first > 0;
    if cut_left {
        f.write_char('…')?;
    }
    for shown in widened(line).skip(first).take(last - first) {
        f.write_char(shown)?;
    }
    if last < total {
        f.write_char('…')?;
    }
    write!(f, "\n {:width$} | ", "", width = number.len())?;
    let indent = caret.saturating_sub(first) + usize::from(cut_left);
    let carets = carets.min(last.saturating_sub(caret)).max(1);
    write!(f, "{:indent$}{:^<carets$}", "", "")
}

fn width(text: &str) -> usize {
    widened(text).count()
}

/// The characters as they are printed.
fn widened(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().flat_map(|c| {
        let (shown, times) = match c {
            '\t' => (' ', TAB),
            c if c.is_control() => ('\u{fffd}', 1),
            c => (c, 1),
        };
        std::iter::repeat_n(shown, times)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, span: Range<usize>) -> String {
        let mut out = String::new();
        snippet(&mut out, &Source::new("g.toml", text), &span).expect("a String takes any text");
        out
    }

    #[test]
    fn carets_stand_under_the_span() {
        assert_eq!(shown("ab\ncd ef gh\n", 6..8), "\n 2 | cd ef gh\n   |    ^^");
    }

    #[test]
    fn tabs_and_wide_line_numbers_keep_the_carets_in_place() {
        let text = format!("{}\tx = 1\r\n", "\n".repeat(9));
        assert_eq!(shown(&text, 10..11), "\n 10 |     x = 1\n    |     ^");
    }

    #[test]
    fn a_long_line_is_cut_on_both_sides() {
        let text = format!("{}HERE{}", "a".repeat(300), "b".repeat(300));
        let out = shown(&text, 300..304);
        let a = "a".repeat(24);
        let b = "b".repeat(72);
        assert_eq!(
            out,
            format!("\n 1 | …{a}HERE{b}…\n   | {}^^^^", " ".repeat(25))
        );
    }

    #[test]
    fn a_span_longer_than_the_window_ends_with_it() {
        let out = shown(&"x".repeat(500), 0..500);
        assert_eq!(out.matches('^').count(), WINDOW);
    }

    #[test]
    fn a_span_over_two_lines_stops_at_the_end_of_the_first() {
        assert_eq!(shown("abc\ndef", 1..6), "\n 1 | abc\n   |  ^^");
    }

    #[test]
    fn the_end_of_the_file_gets_one_caret() {
        assert_eq!(shown("abc", 3..3), "\n 1 | abc\n   |    ^");
        assert_eq!(shown("", 0..0), "\n 1 |\n   | ^");
        assert_eq!(shown("a", 90..99), "\n 1 | a\n   |  ^");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert!(!shown("a\u{1b}[31mb", 0..1).contains('\u{1b}'));
    }

    #[test]
    fn columns_count_characters() {
        let source = Source::new("g.toml", "\u{feff}ä = 1\nö\tx");
        assert_eq!(source.position(6), (1, 3));
        assert_eq!(source.position(13), (2, 3));
    }
}
