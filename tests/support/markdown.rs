//! Listings of the documentation, so that tests can run them.

use std::path::Path;

/// The text of each fence of `page` that is marked `language`.
pub fn fences(page: &Path, language: &str) -> Vec<String> {
    let text =
        std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let (mut found, mut fence): (Vec<String>, Option<(bool, String)>) = (Vec::new(), None);
    for line in text.lines() {
        let mark = line.trim_start().strip_prefix("```");
        fence = match (fence, mark) {
            (None, Some(info)) => Some((info.trim() == language, String::new())),
            (Some((wanted, text)), Some(_)) => {
                if wanted {
                    found.push(text);
                }
                None
            }
            (Some((wanted, text)), None) => Some((wanted, text + line + "\n")),
            (None, None) => None,
        };
    }
    assert!(fence.is_none(), "{}: a fence is not closed", page.display());
    found
}
