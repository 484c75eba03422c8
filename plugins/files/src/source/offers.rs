//! What a file will bring, before it is played: negotiation asks.
//!
//! The file is opened as for playing, up to where its units begin: tables and headers are read, within the same bounds,
//! and no unit is.

use levada_plugin::prelude::*;

use super::{AUDIO, Carried, VIDEO, missing, open};

/// The patterns of what a port will carry.
///
/// # Errors
/// When the file cannot be played, or has no track for the port.
pub(super) fn offers(config: &Config, port: usize) -> Result<Option<String>> {
    let path = config.text("path")?;
    let file = open(path, [port == AUDIO, port == VIDEO], config.float("fps")?)?;
    let carried = file.carries(port);
    if carried.is_empty() {
        return Err(missing(path, port, file.as_ref()));
    }
    Ok(Some(promised(&carried)))
}

/// A track may change its format on its way: then only the encodings are promised, and that pictures are out of order.
fn promised(carried: &[Carried]) -> String {
    let pattern = |it: &Carried| in_order(it.format.pattern(), it.reordering);
    let mut patterns: Vec<String> = carried.iter().map(pattern).collect();
    patterns.dedup();
    if patterns.len() > 1 {
        let most = carried.iter().filter_map(|it| it.reordering).max();
        let bare = |it: &Carried| {
            let mut pattern = it.format.pattern();
            pattern.truncate(pattern.find(';').unwrap_or(pattern.len()));
            in_order(pattern, most.filter(|_| it.format.encoding == "h264"))
        };
        patterns = carried.iter().map(bare).collect();
        patterns.sort();
        patterns.dedup();
    }
    patterns.join(" ")
}

/// A pattern with what is known of the order. Most pictures are in order, and nobody wants more of them: that is not said.
fn in_order(pattern: String, reordering: Option<u32>) -> String {
    match reordering {
        Some(pictures @ 1..) => format!("{pattern};reordering={pictures}"),
        _ => pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_track_that_changes_only_encodings_and_the_order_are_promised() {
        let of = |carried: &[(&str, u32, Option<u32>)]| {
            let carried = carried.iter().map(|(encoding, width, reordering)| Carried {
                format: Format::video(encoding, *width, 2),
                reordering: *reordering,
            });
            promised(&carried.collect::<Vec<_>>())
        };
        assert_eq!(of(&[("vp8", 2, None); 2]), "video/vp8;width=2;height=2");
        assert_eq!(
            of(&[
                ("h264", 2, Some(1)),
                ("h264", 4, None),
                ("h264", 2, Some(3))
            ]),
            "video/h264;reordering=3"
        );
        assert_eq!(
            of(&[("vp8", 2, None), ("h264", 2, Some(0))]),
            "video/h264 video/vp8"
        );
    }
}
