//! [`Chain`]: the converters between what comes and what is accepted.
//!
//! A search (Dijkstra's) over what converters can make, cheapest first, at most [`MAX_CHAIN`] of them, none
//! twice for the same: one that converts layouts may stand on both sides of a scaler. What a converter states of a key and can be told by a param of that name is *free*: it
//! becomes whatever is wanted further on. So that is settled backwards, from the accepted pattern, once
//! the way is found, and then forwards, with what comes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};

use super::converter::Converter;
use super::cost;
use crate::graph::format::{Key, Pattern, Values};
use crate::graph::model::ParamValue;

/// The most converters of one chain.
pub(crate) const MAX_CHAIN: usize = 4;
/// The most patterns that one search looks at.
const MAX_LOOKS: usize = 4096;

/// By key.
type OfKeys<T> = [T; Key::ALL.len()];

/// A converter of a chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// The name of its type.
    pub type_name: String,
    pub input: usize,
    pub output: usize,
    pub params: Vec<(usize, ParamValue)>,
    /// What comes to it, and what it makes.
    pub takes: Pattern,
    pub gives: Pattern,
    pub cost: u32,
}

/// Converters, one behind the other.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chain {
    /// One at least.
    pub steps: Vec<Step>,
    /// What arrives behind the last: within what is accepted.
    pub arrives: Pattern,
    pub cost: u32,
    /// The accepted pattern, by its place among those that were asked for.
    pub word: usize,
}

/// A set of formats on the way, with what is free of it.
#[derive(Clone, PartialEq, Eq, Hash)]
struct State {
    pattern: Pattern,
    free: OfKeys<bool>,
}

/// How a state was reached.
struct Look {
    state: State,
    /// The look before, and the step from there; none for what comes.
    by: Option<(usize, Hop)>,
    steps: usize,
}

#[derive(Clone, Copy, PartialEq)]
struct Hop {
    converter: usize,
    takes: usize,
    gives: usize,
}

/// Whether values of a key that come, or that are not known, do for what is accepted.
///
/// A size is special: it is seldom known before the first frame, and to scale what a person sees because
/// it might not fit would be wrong. So where a size is accepted within limits, what may fit does; the node
/// looks at what comes.
fn does(key: Key, comes: Option<&Values>, accepted: &Values) -> bool {
    let is_limit = key.is_side() && accepted.has_range();
    match comes {
        None => is_limit || key.is_of_coding(),
        Some(values) => values.is_within(accepted) || (is_limit && values.meet(accepted).is_some()),
    }
}

/// Whether a size that is not known, or may be another, comes where one is asked for.
pub(super) fn is_to_be_scaled(comes: &Pattern, accepted: &Pattern) -> bool {
    let mut sides = Key::ALL.into_iter().filter(|key| key.is_side());
    sides.any(|key| {
        let wanted = accepted.values(key);
        wanted.is_some_and(|wanted| !does(key, comes.values(key), wanted))
    })
}

/// Whether what comes does for what is accepted, with no converter.
pub(super) fn fits(comes: &Pattern, accepted: &Pattern) -> bool {
    let state = State {
        pattern: comes.clone(),
        free: OfKeys::default(),
    };
    state.within(accepted).is_some()
}

impl State {
    /// What is left of it where it does for `accepted`.
    fn within(&self, accepted: &Pattern) -> Option<State> {
        let named = accepted
            .media()
            .is_none_or(|m| self.pattern.media() == Some(m))
            && accepted
                .encoding()
                .is_none_or(|e| self.pattern.encoding() == Some(e));
        let mut state = self.clone();
        for key in Key::ALL {
            let (Some(wanted), have) = (accepted.values(key), self.pattern.values(key)) else {
                continue;
            };
            if self.free[key as usize] {
                let both = have.and_then(|have| have.meet(wanted))?;
                state.pattern = state.pattern.with(key, Some(both));
            } else if !does(key, have, wanted) {
                return None;
            }
        }
        named.then_some(state)
    }

    /// What a converter makes of it, by these of its patterns.
    fn after(&self, converter: &Converter<'_>, takes: &Pattern, gives: &Pattern) -> Option<State> {
        let come = self.within(takes)?;
        let mut made = State {
            pattern: gives.clone(),
            free: OfKeys::default(),
        };
        if gives.encoding().is_none() {
            // `*` and `audio/*` at an output stand for what comes in.
            let meeting = gives.meet(&come.pattern)?;
            made.pattern = made.pattern.in_encoding_of(&meeting);
        } else if !converter.makes_encoding(gives) {
            return None;
        }
        // What makes text of speech is no converter, whatever it says.
        if come.pattern.media() != made.pattern.media() {
            return None;
        }
        let as_made = come.pattern.clone().in_encoding_of(&made.pattern);
        for key in Key::ALL {
            let Some(stated) = gives.values(key) else {
                let values = as_made.values(key).cloned();
                made.pattern = made.pattern.with(key, values);
                made.free[key as usize] =
                    come.free[key as usize] && made.pattern.values(key).is_some();
                continue;
            };
            let settable = converter.settable(key, stated);
            made.free[key as usize] = settable.is_some();
            if settable.is_some() {
                made.pattern = made.pattern.with(key, settable);
            }
        }
        Some(made)
    }
}

/// What a chain may consist of.
#[derive(Clone, Copy)]
pub(super) enum Allowed {
    /// All converters.
    All,
    /// Those between raw layouts.
    Raw,
    /// Those that pass a frame on untouched where it fits already.
    Untouched,
}

/// The cheapest chain to each of the accepted patterns that can be reached, the best first: by cost, by
/// length, by the order of the accepted patterns.
pub(super) fn chains(
    converters: &[Converter<'_>],
    comes: &Pattern,
    accepted: &[Pattern],
    allowed: Allowed,
) -> Vec<Chain> {
    let mut looks = vec![Look {
        state: State {
            pattern: comes.clone(),
            free: OfKeys::default(),
        },
        by: None,
        steps: 0,
    }];
    let mut found: Vec<Chain> = Vec::new();
    let mut seen: HashSet<State> = HashSet::new();
    let mut waiting = BinaryHeap::from([Reverse((0, 0, 0))]);
    while let Some(Reverse((_, _, at))) = waiting.pop() {
        if !seen.insert(looks[at].state.clone()) {
            continue;
        }
        for (word, pattern) in accepted.iter().enumerate() {
            let is_new = found.iter().all(|chain| chain.word != word);
            if is_new && looks[at].by.is_some() && looks[at].state.within(pattern).is_some() {
                found.push(resolve(converters, &looks, at, comes, pattern, word));
            }
        }
        if looks[at].steps == MAX_CHAIN || found.len() == accepted.len() {
            continue;
        }
        for (index, converter) in converters.iter().enumerate() {
            for (takes, come) in converter.takes.iter().enumerate() {
                for (gives, make) in converter.gives.iter().enumerate() {
                    let hop = Hop {
                        converter: index,
                        takes,
                        gives,
                    };
                    if way(&looks, at).any(|before| before == hop) {
                        continue;
                    }
                    let from = &looks[at].state;
                    let Some(state) = from.after(converter, come, make) else {
                        continue;
                    };
                    if looks.len() == MAX_LOOKS {
                        break;
                    }
                    let is_same = from.pattern.is_encoded_as(&state.pattern);
                    let is_allowed = match allowed {
                        Allowed::All => true,
                        Allowed::Raw => {
                            !cost::is_coded(&from.pattern) && !cost::is_coded(&state.pattern)
                        }
                        Allowed::Untouched => is_same,
                    };
                    if !is_allowed || state == *from || seen.contains(&state) {
                        continue;
                    }
                    let costs = cost_to(converters, &looks, at)
                        + cost::of_step(&from.pattern, &state.pattern, converter.info.cost);
                    let steps = looks[at].steps + 1;
                    waiting.push(Reverse((costs, steps, looks.len())));
                    looks.push(Look {
                        state,
                        by: Some((at, hop)),
                        steps,
                    });
                }
            }
        }
    }
    found.sort_by_key(|chain| (chain.cost, chain.steps.len(), chain.word));
    found
}

/// The hops to a look, the last one first.
fn way(looks: &[Look], at: usize) -> impl Iterator<Item = Hop> + '_ {
    let mut next = looks[at].by;
    std::iter::from_fn(move || {
        let (before, hop) = next?;
        next = looks[before].by;
        Some(hop)
    })
}

/// What the hops to a look cost.
fn cost_to(converters: &[Converter<'_>], looks: &[Look], at: usize) -> u32 {
    let mut sum = 0;
    let mut here = at;
    while let Some((before, hop)) = looks[here].by {
        let (from, to) = (&looks[before].state.pattern, &looks[here].state.pattern);
        sum += cost::of_step(from, to, converters[hop.converter].info.cost);
        here = before;
    }
    sum
}

/// Settles what was free on the way to a look that does for `accepted`.
fn resolve(
    converters: &[Converter<'_>],
    looks: &[Look],
    at: usize,
    comes: &Pattern,
    accepted: &Pattern,
    word: usize,
) -> Chain {
    let mut hops: Vec<Hop> = way(looks, at).collect();
    // Backwards: by step and key, what is wanted of its output.
    let mut wanted: Vec<OfKeys<Option<Values>>> = Vec::with_capacity(hops.len());
    let mut want = Key::ALL.map(|key| accepted.values(key).cloned());
    for hop in &hops {
        let converter = &converters[hop.converter];
        let (takes, gives) = (&converter.takes[hop.takes], &converter.gives[hop.gives]);
        wanted.push(want.clone());
        want = Key::ALL.map(|key| {
            let further = want[key as usize]
                .clone()
                .filter(|_| gives.values(key).is_none());
            match (further, takes.values(key)) {
                // The states that were looked at had numbers of both, so the two meet where it counts.
                (Some(a), Some(b)) => a.meet(b).or(Some(a)),
                (a, b) => a.or(b.cloned()),
            }
        });
    }
    hops.reverse();
    wanted.reverse();

    let mut come = comes.clone();
    let mut steps = Vec::with_capacity(hops.len());
    for (hop, want) in hops.iter().zip(&wanted) {
        let converter = &converters[hop.converter];
        let (takes, gives) = (&converter.takes[hop.takes], &converter.gives[hop.gives]);
        // It does for the input, so they meet.
        let taken = come.arriving(takes).unwrap_or_else(|| come.clone());
        let (made, params) = settle(converter, &taken, gives, want);
        let cost = cost::of_step(&taken, &made, converter.info.cost);
        steps.push(Step {
            type_name: converter.info.name.clone(),
            input: converter.input,
            output: converter.output,
            params,
            takes: taken,
            gives: made.clone(),
            cost,
        });
        come = made;
    }
    // Each link carries what both its ends state.
    for at in 1..steps.len() {
        steps[at - 1].gives = steps[at].takes.clone();
    }
    let arrives = come.arriving(accepted).unwrap_or(come);
    if let Some(last) = steps.last_mut() {
        last.gives = arrives.clone();
    }
    let cost = steps.iter().map(|step| step.cost).sum();
    Chain {
        steps,
        arrives,
        cost,
        word,
    }
}

/// What a converter is told, and what it then makes of what comes.
fn settle(
    converter: &Converter<'_>,
    come: &Pattern,
    gives: &Pattern,
    want: &OfKeys<Option<Values>>,
) -> (Pattern, Vec<(usize, ParamValue)>) {
    let mut made = match gives.encoding() {
        Some(_) => gives.clone(),
        None => gives
            .clone()
            .in_encoding_of(&gives.meet(come).unwrap_or_else(|| come.clone())),
    };
    let mut chosen = OfKeys::default();
    let come = &come.clone().in_encoding_of(&made);
    for key in Key::ALL {
        let comes = come.values(key);
        let Some(stated) = gives.values(key) else {
            made = made.with(key, comes.cloned());
            continue;
        };
        let Some(settable) = converter.settable(key, stated) else {
            continue;
        };
        let want = want[key as usize].as_ref();
        let kept = comes
            .and_then(|comes| comes.meet(stated))
            .unwrap_or_else(|| stated.clone());
        // A size that is not known may be larger than what it could make.
        let kept = Some(kept).filter(|_| comes.is_some() || !key.is_side());
        if converter.can_keep(key) && want.is_none_or(|want| does(key, kept.as_ref(), want)) {
            chosen[key as usize] = Some(0);
            made = made.with(key, kept);
        } else if want.is_some() || converter.must_be_told(key) {
            let allowed = want
                .and_then(|want| settable.meet(want))
                .unwrap_or(settable);
            let value = allowed.nearest_above(comes.map_or(u32::MAX, Values::max));
            chosen[key as usize] = Some(value);
            made = made.with(key, Some(Values::one(value)));
        } else if let Some(default) = converter.default_of(key).filter(|d| settable.contains(*d)) {
            made = made.with(key, Some(Values::one(default)));
        }
    }
    for (side, other) in [(Key::Width, Key::Height), (Key::Height, Key::Width)] {
        let (Some(0), Some(told @ 1..)) = (chosen[side as usize], chosen[other as usize]) else {
            continue;
        };
        let stated = gives.values(side);
        let (value, makes) = in_shape(
            come.values(side),
            stated.and_then(|stated| converter.settable(side, stated)),
            want[side as usize].as_ref(),
            come.values(other)
                .and_then(Values::single)
                .filter(|from| *from > 0)
                .map(|from| (from, told)),
        );
        chosen[side as usize] = Some(value);
        made = made.with(side, makes);
    }
    let params = converter.params(&chosen, made.encoding());
    (made, params)
}

/// What a converter is told of a side that would do as it comes, where the other one is scaled (from which
/// number to which, if that is known), and what it makes of it then. 0 beside a number may keep the shape of
/// the picture instead of the side.
fn in_shape(
    comes: Option<&Values>,
    settable: Option<Values>,
    want: Option<&Values>,
    scale: Option<(u32, u32)>,
) -> (u32, Option<Values>) {
    let both = settable.as_ref().zip(want);
    let Some((makes, want)) = both.and_then(|(able, want)| Some((able.meet(want)?, want))) else {
        return (0, settable);
    };
    let known = comes.and_then(Values::single);
    let told = if !want.has_range() {
        // These very numbers are wanted, whatever that does to the shape.
        makes.nearest_above(comes.map_or(u32::MAX, Values::max))
    } else if let (Some(known), Some((from, to))) = (known, scale) {
        // Within its limits it keeps the shape, as near as even numbers can.
        let scaled = u64::from(known) * u64::from(to) / u64::from(from);
        makes.nearest_above(u32::try_from(scaled).unwrap_or(u32::MAX) & !1)
    } else {
        return (0, Some(makes));
    };
    (told, Some(Values::one(told)))
}

/// Whether anything that comes could be converted to anything that is accepted.
pub(super) fn is_reachable(
    converters: &[Converter<'_>],
    comes: &[Pattern],
    accepted: &[Pattern],
) -> bool {
    let named = comes.iter().filter(|pattern| pattern.encoding().is_some());
    named
        .into_iter()
        .any(|pattern| !chains(converters, pattern, accepted, Allowed::All).is_empty())
}
