//! What a param's text leaves open until a session begins: `{session}`, its number, and `{time}`, when it began.
//!
//! Numbers begin at 1 with each process, so a recording that is named by one alone is in the way of the next process; the
//! time is not. It is UTC, because the standard library knows no other, and has no colons, which not every file system takes.
#![forbid(unsafe_code)]

use levada_abi::{SESSION_PLACE, TIME_PLACE};

const DAY: u64 = 86_400;

/// Fills those places for a session that began so many seconds after 1970.
pub(crate) fn filled(text: &str, session: u64, began: u64) -> String {
    let text = text.replace(SESSION_PLACE, &session.to_string());
    match text.contains(TIME_PLACE) {
        true => text.replace(TIME_PLACE, &date(began)),
        false => text,
    }
}

/// `2026-11-28T16-30-00`, in the Gregorian calendar: `civil_from_days` of Howard Hinnant's chrono algorithms, whose years
/// begin in March, so that a leap day ends one.
fn date(seconds: u64) -> String {
    let (days, rest) = (seconds / DAY + 719_468, seconds % DAY);
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}")
}

#[cfg(test)]
mod tests {
    use levada_abi::is_open;

    use super::*;

    #[test]
    fn the_date_is_that_of_the_calendar() {
        // As `date -u -d @SECONDS` says.
        for (seconds, says) in [
            (0, "1970-01-01T00-00-00"),
            (951_782_399, "2000-02-28T23-59-59"),
            (951_782_400, "2000-02-29T00-00-00"),
            (951_868_800, "2000-03-01T00-00-00"),
            (1_735_689_599, "2024-12-31T23-59-59"),
            (1_795_883_400, "2026-11-28T16-30-00"),
            (4_107_542_400, "2100-03-01T00-00-00"),
        ] {
            assert_eq!(date(seconds), says);
        }
    }

    #[test]
    fn only_what_is_known_is_filled_in() {
        let text = "{time}/{session}-{session} {frame} {}";
        assert_eq!(filled(text, 7, 0), "1970-01-01T00-00-00/7-7 {frame} {}");
        assert!(is_open("a-{time}.mp4") && is_open("{session}") && !is_open("{frame}"));
    }
}
