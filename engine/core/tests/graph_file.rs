//! Graph files as people write them, good and bad.

#[path = "graph_file/catalog.rs"]
mod catalog;

use catalog::catalog;
use levada_engine::graph::{Graph, Problems, SetParam, parse, validate};

/// Each case: a line `=== claim`, a graph file, lines `--set argument`, a line `---`, and what is
/// printed, word for word.
const MISTAKES: &str = include_str!("graph_file/mistakes.txt");

fn judge(text: &str, arguments: &[&str]) -> Result<Graph, Problems> {
    let arguments: Vec<_> = arguments.iter().copied().map(SetParam::new).collect();
    validate(&parse("g.toml", text), &catalog(), &arguments)
}

#[test]
fn each_mistake_is_told_with_place_cause_and_remedy() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in MISTAKES.split("=== ").skip(1) {
        count += 1;
        let (claim, rest) = case.split_once('\n').expect("a case has a claim");
        let (input, expected) = rest.split_once("---\n").expect("a case has both parts");
        let at = input.find("--set ").unwrap_or(input.len());
        let (text, arguments) = input.split_at(at);
        let arguments: Vec<&str> = arguments
            .lines()
            .filter_map(|line| line.strip_prefix("--set "))
            .collect();
        let told = match judge(text, &arguments) {
            Ok(_) => "no problem".to_owned(),
            Err(problems) => problems.to_string(),
        };
        if told.trim_end() != expected.trim_end() {
            wrong.push(format!(
                "{claim}\n--- told\n{told}\n--- expected\n{expected}"
            ));
        }
    }
    assert!(count > 60, "only {count} cases were read");
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
