//! Problems: what is wrong with a graph, where, why, and what to do about it.
//!
//! A [`Problem`] owns its place, and the place shares the text it points into, so that a problem
//! can be printed with its source line long after the parser is gone. Lines are found by binary
//! search in an index that is made once for each file; columns are counted when printed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::MAX_PROBLEMS;
use super::render;

/// The text of a graph file, with the name it is known by in messages.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    name: String,
    text: String,
    /// The byte offset at which each line starts. Never empty; the first line starts behind a
    /// byte order mark, which is no column.
    line_starts: Vec<usize>,
}

impl Source {
    /// Takes the text of the file `name`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        let text = text.into();
        let first = if text.starts_with('\u{feff}') { 3 } else { 0 };
        let line_starts = std::iter::once(first)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        Arc::new(Self {
            name: name.into(),
            text,
            line_starts,
        })
    }

    /// The file's name, as it is printed.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file's text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The 1-based line and column, in characters, of a byte offset. An offset behind the end, or
    /// inside a character, counts as the next place before it that exists.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let offset = self.floor(offset);
        let line = self.line_of(offset);
        let start = self.line_starts[line];
        let column = self
            .text
            .get(start..offset)
            .map_or(0, |before| before.chars().count());
        (line + 1, column + 1)
    }

    /// The line that contains `offset`, without its end, and where it starts.
    pub(super) fn line_at(&self, offset: usize) -> (&str, usize) {
        let line = self.line_of(self.floor(offset));
        let start = self.line_starts[line];
        let end = match self.line_starts.get(line + 1) {
            Some(next) => next - 1,
            None => self.text.len(),
        };
        let text = self.text.get(start..end).unwrap_or("");
        (text.strip_suffix('\r').unwrap_or(text), start)
    }

    /// The largest character boundary at or before `offset`.
    pub(super) fn floor(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    fn line_of(&self, offset: usize) -> usize {
        self.line_starts
            .partition_point(|start| *start <= offset)
            .saturating_sub(1)
    }
}

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Some bytes of a graph file.
    File {
        /// The file.
        source: Arc<Source>,
        /// The bytes of its text, half open.
        span: Range<usize>,
    },
    /// An argument of the command line, printed as it stands: `--set browser.mode=x`, or the name
    /// of a graph file that could not be read at all.
    Argument(String),
    /// A graph made by code; printed as `pipeline`.
    Pipeline,
}

impl Place {
    /// The place of a part of this one: `part` counts bytes from this place's start. Places
    /// outside files have no parts and stay what they are.
    pub(super) fn part(&self, part: Range<usize>) -> Self {
        match self {
            Place::File { source, span } => Place::File {
                source: Arc::clone(source),
                span: span.start + part.start..span.start + part.end,
            },
            other => other.clone(),
        }
    }

    /// The 1-based line, for a place in a file.
    pub fn line(&self) -> Option<usize> {
        match self {
            Place::File { source, span } => Some(source.position(span.start).0),
            _ => None,
        }
    }

    /// Problems are printed in this order: the file from top to bottom, arguments, code.
    fn order(&self) -> (u8, usize, usize) {
        match self {
            Place::File { span, .. } => (0, span.start, span.end),
            Place::Argument(_) => (1, 0, 0),
            Place::Pipeline => (2, 0, 0),
        }
    }
}

impl fmt::Display for Place {
    /// Prints `file:line:column`, the argument, or `pipeline`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { source, span } => {
                let (line, column) = source.position(span.start);
                write!(f, "{}:{line}:{column}", source.name())
            }
            Place::Argument(text) => f.write_str(text),
            Place::Pipeline => f.write_str("pipeline"),
        }
    }
}

/// One mistake: where it is, what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it is.
    pub place: Place,
    /// What is wrong, as a clause without a full stop.
    pub cause: String,
    /// What to do, as an imperative clause without a full stop.
    pub remedy: String,
}

impl Problem {
    /// Names a problem.
    pub fn new(place: Place, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            place,
            cause: cause.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Problem {
    /// Prints `place: cause; remedy`, and for a place in a file its line with carets underneath.
    /// The last line has no line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.place, self.cause, self.remedy)?;
        if let Place::File { source, span } = &self.place {
            render::snippet(f, source, span)?;
        }
        Ok(())
    }
}

impl Serialize for Problem {
    /// Serializes `file`, `line`, `column` (null outside files), `cause`, `remedy`; for a problem
    /// outside files, `file` holds the argument or `pipeline`.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (file, position) = match &self.place {
            Place::File { source, span } => {
                (source.name().to_owned(), Some(source.position(span.start)))
            }
            other => (other.to_string(), None),
        };
        let mut fields = serializer.serialize_struct("Problem", 5)?;
        fields.serialize_field("file", &file)?;
        fields.serialize_field("line", &position.map(|(line, _)| line))?;
        fields.serialize_field("column", &position.map(|(_, column)| column))?;
        fields.serialize_field("cause", &self.cause)?;
        fields.serialize_field("remedy", &self.remedy)?;
        fields.end()
    }
}

/// Every problem that was found, in the order of the file, none twice.
///
/// At most [`MAX_PROBLEMS`] are kept; [`Problems::omitted`] counts the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    omitted: usize,
}

impl Problems {
    /// Adds a problem, unless the same one is there already. When the list is full it is counted.
    pub fn push(&mut self, problem: Problem) {
        if self.list.len() >= MAX_PROBLEMS {
            self.omitted += 1;
        } else if !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }

    /// The problems that are kept.
    pub fn as_slice(&self) -> &[Problem] {
        &self.list
    }

    /// How many problems were found beyond those that are kept.
    pub fn omitted(&self) -> usize {
        self.omitted
    }

    /// How many problems were found, kept or not.
    pub fn len(&self) -> usize {
        self.list.len() + self.omitted
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Puts the problems into the order in which they are printed.
    pub(super) fn sort(&mut self) {
        self.list.sort_by_key(|problem| problem.place.order());
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        let mut problems = Self::default();
        problems.push(problem);
        problems
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.iter()
    }
}

impl fmt::Display for Problems {
    /// Prints every problem, a blank line between two, and how many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.list {
            write!(f, "{problem}\n\n")?;
        }
        match self.len() {
            1 => f.write_str("1 problem")?,
            n => write!(f, "{n} problems")?,
        }
        if self.omitted > 0 {
            write!(f, ", of which the first {} are shown", self.list.len())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl Serialize for Problems {
    /// Serializes the problems that are kept, as a sequence.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.list)
    }
}
