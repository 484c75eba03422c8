//! Rust files of this repository, as text without what a rule about code is not about.
//!
//! Comments, texts and characters become spaces, and modules of tests go with them, so that a word that is left is a
//! word of code. Lines keep their numbers. This is no parser: it knows what the rules need, and formatted code only (a
//! module of tests ends with the next `}` at the beginning of a line).

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One file.
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    /// Its code, without modules of tests.
    pub code: String,
    /// All its code.
    pub code_and_tests: String,
}

impl Source {
    fn read(path: &Path) -> Source {
        let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let relative = path.strip_prefix(root()).expect("it is in the repository");
        let code_and_tests = code(&text);
        Source {
            path: relative.to_string_lossy().replace('\\', "/"),
            code: without_tests(&code_and_tests),
            code_and_tests,
        }
    }

    /// Whether it belongs to the tests as a whole.
    pub fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        self.path
            .split('/')
            .any(|part| part == "tests" || part == "benches")
            || name.ends_with("tests.rs")
            || self.path == "signaling/src/room/property.rs"
    }
}

/// All Rust files under `folder`, or the file of that name.
pub fn sources(folder: &str) -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join(folder), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "{folder} has no Rust files");
    paths.iter().map(|path| Source::read(path)).collect()
}

/// All Rust files of the repository.
pub fn all_sources() -> Vec<Source> {
    ["abi", "engine", "signaling", "plugins", "examples", "tests"]
        .into_iter()
        .flat_map(sources)
        .collect()
}

fn collect(path: &Path, paths: &mut Vec<PathBuf>) {
    if path.is_file() {
        if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path.to_owned());
        }
        return;
    }
    let entries = fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    for entry in entries {
        let entry = entry.expect("the folder can be read").path();
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        // A crate that was built by itself has a folder `target`.
        if name != "target" && !name.starts_with('.') {
            collect(&entry, paths);
        }
    }
}

/// The words of code: names, keywords and numbers, each with its line.
pub fn words(code: &str) -> impl Iterator<Item = (usize, &str)> {
    code.lines().enumerate().flat_map(|(index, line)| {
        line.split(|c: char| !c.is_alphanumeric() && c != '_')
            .filter(|word| !word.is_empty())
            .map(move |word| (index + 1, word))
    })
}

/// Lines that hold code.
pub fn code_lines(code: &str) -> usize {
    code.lines().filter(|line| !line.trim().is_empty()).count()
}

/// Blanks out comments, texts and characters.
fn code(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < chars.len() {
        let end = end_of_no_code(&chars, at);
        if end == at {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(
                chars[at..end]
                    .iter()
                    .map(|c| if *c == '\n' { '\n' } else { ' ' }),
            );
            at = end;
        }
    }
    out
}

/// Where the comment, text or character that begins at `at` ends; `at` when it is code.
fn end_of_no_code(chars: &[char], at: usize) -> usize {
    let next = |n: usize| chars.get(at + n).copied().unwrap_or(' ');
    let find = |from: usize, is_end: &dyn Fn(usize) -> bool| {
        (from..chars.len())
            .find(|i| is_end(*i))
            .unwrap_or(chars.len())
    };
    let in_word = at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_');
    match (chars[at], next(1)) {
        ('/', '/') => find(at, &|i| chars[i] == '\n'),
        ('/', '*') => {
            let (mut depth, mut i) = (0, at);
            while i + 1 < chars.len() {
                match (chars[i], chars[i + 1]) {
                    ('/', '*') => (depth, i) = (depth + 1, i + 2),
                    ('*', '/') => (depth, i) = (depth - 1, i + 2),
                    _ => i += 1,
                }
                if depth == 0 {
                    return i;
                }
            }
            chars.len()
        }
        ('r', '"' | '#') if !in_word => raw_text(chars, at, at + 1),
        ('b' | 'c', 'r') if !in_word && matches!(next(2), '"' | '#') => raw_text(chars, at, at + 2),
        ('"', _) => {
            let mut i = at + 1;
            while i < chars.len() && chars[i] != '"' {
                i += if chars[i] == '\\' { 2 } else { 1 };
            }
            (i + 1).min(chars.len())
        }
        // 'x' and '\n' are characters, 'a is a lifetime.
        ('\'', '\\') => find(at + 3, &|i| chars[i] == '\'') + 1,
        ('\'', _) if next(2) == '\'' => at + 3,
        _ => at,
    }
}

/// The end of `r#"..."#`, whose `#` or `"` begins at `open`; `at` when it is no text (`r#type`).
fn raw_text(chars: &[char], at: usize, open: usize) -> usize {
    let hashes = chars[open..].iter().take_while(|c| **c == '#').count();
    if chars.get(open + hashes) != Some(&'"') {
        return at;
    }
    let closes = |i: &usize| {
        chars[*i] == '"' && chars[i + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (open + hashes + 1..chars.len())
        .find(closes)
        .map_or(chars.len(), |i| i + 1 + hashes)
}

/// Blanks out `#[cfg(test)] mod name { ... }`.
fn without_tests(code: &str) -> String {
    let mut out = String::with_capacity(code.len());
    let mut lines = code.lines().peekable();
    let mut in_tests = false;
    while let Some(line) = lines.next() {
        let begins = line == "#[cfg(test)]"
            && lines
                .peek()
                .is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        in_tests |= begins;
        if !in_tests {
            out.push_str(line);
        }
        in_tests &= line != "}";
        out.push('\n');
    }
    out
}

#[test]
fn only_code_is_left() {
    let text = concat!(
        "let a = \"unsafe \\\" unsafe\"; // unsafe\n",
        "/* unsafe /* unsafe */ unsafe */ let b = r#\"unsafe \" unsafe\"#;\n",
        "let c = ('\"', '\\'', b'x'); fn f<'a>(r#type: &'a str) {} // unsafe \"\n",
        "#[cfg(test)]\nmod tests {\n    unsafe {}\n}\n",
        "let d = unsafe { 1 };\n",
    );
    let found = |code: &str| -> Vec<usize> {
        words(code)
            .filter(|w| w.1 == "unsafe")
            .map(|w| w.0)
            .collect()
    };
    assert_eq!(found(text).len(), 11);
    assert_eq!(found(&code(text)), [6, 8]);
    assert_eq!(found(&without_tests(&code(text))), [8]);
    assert_eq!(code(text).lines().count(), text.lines().count());
}
