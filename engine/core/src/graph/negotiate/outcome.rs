//! [`Outcome`]: what becomes of what is offered at an input.
//!
//! What fits travels. What meets and may not fit passes a converter that looks at it, where there is one,
//! and travels as it is where there is none. What meets nothing is converted where it comes alone; where
//! it comes with others it is a fault, unless nothing of its kind is accepted: then it is not meant for
//! this input.

use super::chain::{Allowed, Chain, chains, fits, is_to_be_scaled};
use super::converter::Converter;
use crate::graph::format::{self, Pattern};

/// What becomes of what a link is offered.
#[derive(Debug)]
pub(super) enum Outcome {
    /// So much of it fits.
    Fits(Vec<Pattern>),
    /// It is converted.
    Converts {
        chain: Chain,
        /// The other chains that would do.
        others: Vec<Chain>,
    },
    /// Nothing of it can be made to fit.
    Fault(Why),
}

/// Why nothing fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// There are no such converters, or none may be inserted.
    NoConverter,
    /// Something would have to be converted on a link that carries several kinds of media.
    SeveralKinds,
    /// Streams of one kind come in several encodings, and not all of them fit.
    SeveralEncodings,
}

/// What becomes of what is offered at an input.
pub(super) fn outcome(
    converters: &[Converter<'_>],
    offered: &[Pattern],
    accepted: &[Pattern],
    never: bool,
) -> Outcome {
    let mut travels: Vec<Pattern> = Vec::new();
    // What meets nothing although there is something of its kind.
    let mut stays: Vec<&Pattern> = Vec::new();
    for pattern in offered {
        let fitting = accepted.iter().find(|accepted| fits(pattern, accepted));
        let meets: Vec<Pattern> = match fitting {
            Some(accepted) => pattern.arriving(accepted).into_iter().collect(),
            None => accepted
                .iter()
                .filter_map(|a| pattern.arriving(a))
                .collect(),
        };
        // What meets and may not fit passes a converter that looks at it, where there is one.
        let is_alone = offered.len() == 1 && pattern.encoding().is_some();
        if is_alone && fitting.is_none() && !never {
            let chains = |allowed| chains(converters, pattern, accepted, allowed);
            let mut ways = match meets.is_empty() {
                true => chains(Allowed::All),
                false => chains(Allowed::Untouched),
            };
            // A size that is asked for is made in whatever layout there is a scaler for.
            let meeting = accepted.iter().filter(|a| pattern.meet(a).is_some());
            if ways.is_empty() && meeting.clone().any(|a| is_to_be_scaled(pattern, a)) {
                ways = chains(Allowed::Raw);
            }
            if !ways.is_empty() {
                let chain = ways.remove(0);
                return Outcome::Converts {
                    chain,
                    others: ways,
                };
            }
        }
        if meets.is_empty() && accepted.iter().any(|a| a.media() == pattern.media()) {
            stays.push(pattern);
        }
        for pattern in &meets {
            format::add(&mut travels, pattern);
        }
    }
    if stays.is_empty() {
        return match travels.is_empty() {
            true => Outcome::Fault(Why::NoConverter),
            false => Outcome::Fits(travels),
        };
    }
    let mut kinds = offered.iter().map(Pattern::media);
    let first = kinds.next();
    Outcome::Fault(match offered {
        [_] => Why::NoConverter,
        _ if kinds.all(|media| Some(media) == first) => Why::SeveralEncodings,
        _ => Why::SeveralKinds,
    })
}
