//! What a file will bring, before it is played: negotiation asks.
//!
//! The file is opened as for playing, up to where its units begin: tables and headers are read, within the same bounds,
//! and no unit is.

use levada_plugin::prelude::*;

use super::{AUDIO, VIDEO, missing, open};

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

/// A track may change its format on its way: then only the encodings are promised.
fn promised(mut patterns: Vec<String>) -> String {
    patterns.dedup();
    if patterns.len() > 1 {
        for pattern in &mut patterns {
            pattern.truncate(pattern.find(';').unwrap_or(pattern.len()));
        }
        patterns.sort();
        patterns.dedup();
    }
    patterns.join(" ")
}
