//! Where something stands in a picture, by a word.

/// The words that a param takes.
pub const WORDS: &str = "top-left top top-right left center right bottom-left bottom bottom-right";

/// Where along one side.
#[derive(Clone, Copy)]
pub enum Place {
    First,
    Middle,
    Last,
}

impl Place {
    /// Where something of length `part` begins on a side of length `whole`.
    pub fn begin(self, part: usize, whole: usize) -> usize {
        let rest = whole.saturating_sub(part);
        match self {
            Place::First => 0,
            Place::Middle => rest / 2,
            Place::Last => rest,
        }
    }
}

/// Where across and where down, by one of [`WORDS`].
pub fn of_word(word: &str) -> (Place, Place) {
    let across = match word {
        "top-left" | "left" | "bottom-left" => Place::First,
        "top-right" | "right" | "bottom-right" => Place::Last,
        _ => Place::Middle,
    };
    let down = match word {
        "left" | "center" | "right" => Place::Middle,
        "bottom-left" | "bottom" | "bottom-right" => Place::Last,
        _ => Place::First,
    };
    (across, down)
}
