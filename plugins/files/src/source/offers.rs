//! What a file will bring, before it is played: negotiation asks.
//!
//! The file is opened as for playing, up to where its units begin: tables and headers are read, within the same bounds,
//! and no unit is.

use levada_plugin::prelude::*;

use super::{AUDIO, VIDEO, h264::REORDERING, missing, open};

/// The patterns of what a port will carry.
///
/// # Errors
/// When the file cannot be played, or has no track for the port.
pub(super) fn offers(config: &Config, port: usize) -> Result<Option<String>> {
    let path = config.text("path")?;
    let file = open(path, [port == AUDIO, port == VIDEO], config.float("fps")?)?;
    let patterns = file.patterns(port);
    if patterns.is_empty() {
        return Err(missing(path, port, file.as_ref()));
    }
    Ok(Some(promised(patterns)))
}

/// A track may change its format on its way: then only the encodings are promised, and that pictures are out of order.
fn promised(mut patterns: Vec<String>) -> String {
    patterns.dedup();
    if patterns.len() > 1 {
        let stated = patterns
            .iter()
            .filter_map(|pattern| pattern.rsplit_once(REORDERING)?.1.parse().ok());
        let most: Option<u32> = stated.max();
        for pattern in &mut patterns {
            pattern.truncate(pattern.find(';').unwrap_or(pattern.len()));
            if let Some(most) = most.filter(|_| pattern == "video/h264") {
                pattern.push_str(&format!("{REORDERING}{most}"));
            }
        }
        patterns.sort();
        patterns.dedup();
    }
    patterns.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_track_that_changes_only_encodings_and_the_order_are_promised() {
        let of = |patterns: &[&str]| promised(patterns.iter().map(ToString::to_string).collect());
        assert_eq!(of(&["video/vp8;width=2"; 2]), "video/vp8;width=2");
        assert_eq!(
            of(&[
                "video/h264;width=2;reordering=1",
                "video/h264;width=4",
                "video/h264;reordering=3"
            ]),
            "video/h264;reordering=3"
        );
        assert_eq!(
            of(&["video/vp8;width=2", "video/h264"]),
            "video/h264 video/vp8"
        );
    }
}
