//! [`Solver`]: goes through the graph from the sources on, and settles one encoding a stream.
//!
//! One walk ([`Solver::walk`]) takes the nodes in topological order: what an output offers, what of it
//! fits the input at the other end, and where something does not, the cheapest chain of converters. Where
//! an output offers several encodings of one kind, the walk takes the one that its script says, the first
//! by default. The search tries scripts in the order of preference and keeps the best walk: fewest faults,
//! then the fewest links with no more than the sound of a telephone, then the least cost, then the fewest
//! codecs in the graph, then the first. It tries them all where they
//! are at most [`MAX_WALKS`]; beyond that it goes on from the best so far, changing one choice at a time,
//! for as many walks again.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::chain::Chain;
use super::converter::Converter;
use super::cost::{is_coded, is_telephone};
use super::offers::{Offer, Stated, offered};
use super::outcome::{Outcome, outcome};
use crate::graph::catalog::TypeInfo;
use crate::graph::format::{self, Media, Pattern};
use crate::graph::model::{Graph, Policy, PortRef};

/// The most walks of a search that tries every combination, and of one that goes on from there.
pub(crate) const MAX_WALKS: usize = 256;
/// The most rounds in which what feedback brings is followed.
const MAX_ROUNDS: usize = 16;

/// Everything that a walk needs to know.
pub(super) struct Solver<'a> {
    pub graph: &'a Graph,
    pub types: &'a [&'a TypeInfo],
    /// By node and port: what is stated.
    pub stated: Vec<Vec<Stated>>,
    pub converters: &'a [Converter<'a>],
    /// By link: whether nothing may be converted on it.
    pub never: &'a [bool],
    pub into: Vec<Vec<usize>>,
    pub out_of: Vec<Vec<usize>>,
    pub order: Vec<usize>,
    pub known: Known,
}

/// What became of what was offered at an input, with conversions forbidden or not.
pub(super) type Known = RefCell<HashMap<(Vec<Pattern>, PortRef, bool), Rc<Outcome>>>;

/// What a walk found of one link.
pub(super) struct Carried {
    pub offered: Vec<Pattern>,
    pub outcome: Rc<Outcome>,
}

impl Carried {
    /// What arrives at the input.
    fn arrives(&self) -> &[Pattern] {
        match &*self.outcome {
            Outcome::Fits(patterns) => patterns,
            Outcome::Converts { chain, .. } => std::slice::from_ref(&chain.arrives),
            Outcome::Fault(_) => &[],
        }
    }
}

/// An encoding that was chosen among several.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Choice {
    /// The first of the node's outputs that offer these.
    pub from: PortRef,
    pub media: Media,
    pub options: Vec<String>,
    pub taken: usize,
}

/// A way through the graph.
pub(super) struct Walk {
    /// By link.
    pub links: Vec<Carried>,
    pub choices: Vec<Choice>,
    pub cost: u32,
    faults: usize,
    /// Links whose sound is that of a telephone where it comes from or where it arrives.
    telephones: usize,
    codecs: usize,
}

impl Walk {
    /// Quality comes before cost: telephony codecs are the cheapest, and would be taken wherever a peer has
    /// them. Links are counted and not sources, so that what ends on a telephone passes as it is.
    fn rank(&self) -> (usize, usize, u32, usize) {
        (self.faults, self.telephones, self.cost, self.codecs)
    }

    pub fn is_sound(&self) -> bool {
        self.faults == 0
    }
}

/// What a search found.
pub(super) struct Found {
    pub best: Walk,
    /// By output, media and encoding: the least cost of a sound walk with it, `None` where there was none.
    pub costs: BTreeMap<(PortRef, Media, String), Option<u32>>,
}

/// The choices of a walk under way.
struct Script<'s> {
    says: &'s [usize],
    made: Vec<Choice>,
}

impl Script<'_> {
    fn choose(&mut self, from: PortRef, media: Media, options: Vec<String>) -> usize {
        let alike = |choice: &&Choice| {
            choice.from.node == from.node && choice.media == media && choice.options == options
        };
        if let Some(choice) = self.made.iter().find(alike) {
            return choice.taken;
        }
        let said = self.says.get(self.made.len()).copied().unwrap_or(0);
        let taken = said.min(options.len() - 1);
        self.made.push(Choice {
            from,
            media,
            options,
            taken,
        });
        taken
    }
}

impl<'a> Solver<'a> {
    pub fn search(&self) -> Found {
        let mut found = Found {
            best: self.walk(&[]),
            costs: BTreeMap::new(),
        };
        note(&mut found.costs, &found.best);
        let mut next = following(&found.best.choices);
        let mut walks = 1;
        while let Some(script) = next.take().filter(|_| walks < MAX_WALKS) {
            let walk = self.walk(&script);
            walks += 1;
            next = following(&walk.choices);
            found.take(walk);
        }
        if walks == MAX_WALKS {
            self.improve(&mut found);
        }
        found
    }

    /// Changes one choice at a time, as long as that is better.
    fn improve(&self, found: &mut Found) {
        let mut walks = 0;
        let mut at = 0;
        while at < found.best.choices.len() {
            let options = found.best.choices[at].options.len();
            for option in 0..options {
                let mut script: Vec<usize> = taken(&found.best.choices);
                // A better walk may have other choices.
                if at >= script.len() || script[at] == option {
                    continue;
                }
                if walks == MAX_WALKS {
                    return;
                }
                script[at] = option;
                walks += 1;
                found.take(self.walk(&script));
            }
            at += 1;
        }
    }

    /// Goes through the graph by a script.
    pub fn walk(&self, says: &[usize]) -> Walk {
        let links = &self.graph.links;
        // By node: what feedback brings.
        let mut back: Vec<Vec<Pattern>> = vec![Vec::new(); self.types.len()];
        let mut rounds = 0;
        loop {
            rounds += 1;
            let mut script = Script {
                says,
                made: Vec::new(),
            };
            let carried = self.round(&mut script, &back);
            let mut grew = false;
            for (link, carried) in links.iter().zip(&carried).filter(|(link, _)| link.feedback) {
                for pattern in carried.arrives() {
                    grew |= format::add(&mut back[link.to.node], pattern);
                }
            }
            if !grew || rounds == MAX_ROUNDS {
                return self.judged(carried, script.made);
            }
        }
    }

    fn round(&self, script: &mut Script<'_>, back: &[Vec<Pattern>]) -> Vec<Carried> {
        let graph = self.graph;
        let mut carried: Vec<Option<Carried>> = graph.links.iter().map(|_| None).collect();
        for &node in &self.order {
            let mut comes = back[node].clone();
            let fed = self.into[node]
                .iter()
                .filter(|at| !graph.links[**at].feedback);
            for &at in fed {
                // Feeding nodes come first in the order.
                for pattern in carried[at].as_ref().map_or(&[][..], Carried::arrives) {
                    format::add(&mut comes, pattern);
                }
            }
            for &at in &self.out_of[node] {
                let link = &graph.links[at];
                let forwarded = self.forwarded(link.from, &carried, back);
                let stated = &self.stated[node][link.from.port];
                let offers = offered(stated, &comes, &forwarded);
                let offered = choose(script, link.from, offers);
                let outcome = self.outcome(&offered, link.to, self.never[at]);
                carried[at] = Some(Carried { offered, outcome });
            }
        }
        // The order has every node, and so every link.
        carried.into_iter().flatten().collect()
    }

    /// What comes to the inputs whose frames go on to an output.
    fn forwarded(
        &self,
        output: PortRef,
        carried: &[Option<Carried>],
        back: &[Vec<Pattern>],
    ) -> Vec<Pattern> {
        let mut forwarded = Vec::new();
        // What a converter passes on untouched is what is wanted already; it can make the others too.
        if self.types[output.node].converter {
            return forwarded;
        }
        for &at in &self.into[output.node] {
            let link = &self.graph.links[at];
            let port = &self.types[output.node].ports[link.to.port];
            if port.forwards_to != Some(output.port) {
                continue;
            }
            let arrives = match &carried[at] {
                Some(carried) if !link.feedback => carried.arrives(),
                _ => &back[output.node],
            };
            for pattern in arrives {
                format::add(&mut forwarded, pattern);
            }
        }
        forwarded
    }

    fn outcome(&self, offered: &[Pattern], to: PortRef, never: bool) -> Rc<Outcome> {
        let key = (offered.to_vec(), to, never);
        if let Some(known) = self.known.borrow().get(&key) {
            return Rc::clone(known);
        }
        let accepted = &self.stated[to.node][to.port].patterns;
        let outcome = Rc::new(outcome(self.converters, offered, accepted, never));
        self.known.borrow_mut().insert(key, Rc::clone(&outcome));
        outcome
    }

    fn judged(&self, links: Vec<Carried>, choices: Vec<Choice>) -> Walk {
        let mut codecs: BTreeSet<Pattern> = BTreeSet::new();
        let mut shared = HashSet::new();
        let (mut cost, mut faults, mut telephones) = (0_u32, 0, 0);
        for (at, carried) in links.iter().enumerate() {
            let mut ends = carried.offered.iter().chain(carried.arrives());
            telephones += usize::from(ends.any(is_telephone));
            codecs.extend(
                carried
                    .arrives()
                    .iter()
                    .filter(|p| is_coded(p))
                    .map(Pattern::bare),
            );
            match &*carried.outcome {
                Outcome::Fits(_) => {}
                Outcome::Fault(_) => faults += 1,
                Outcome::Converts { chain, .. } => {
                    codecs.extend(
                        carried
                            .offered
                            .iter()
                            .filter(|p| is_coded(p))
                            .map(Pattern::bare),
                    );
                    for (step, key) in chain.steps.iter().zip(self.share_keys(at, chain)) {
                        if shared.insert(key) {
                            cost = cost.saturating_add(step.cost);
                        }
                    }
                }
            }
        }
        Walk {
            links,
            choices,
            cost,
            faults,
            telephones,
            codecs: codecs.len(),
        }
    }

    /// For each step of a link's chain: what is equal where one node does for several links. They start
    /// at one output, state the same policy and capacity, and have the same conversions up to here.
    pub fn share_keys(&self, link: usize, chain: &Chain) -> Vec<ShareKey> {
        let at = &self.graph.links[link];
        let mut steps = String::new();
        let keys = chain.steps.iter().map(|step| {
            steps.push_str(&format!(
                "{} {:?} {}; ",
                step.type_name, step.params, step.takes
            ));
            ShareKey {
                from: at.from,
                policy: at.policy,
                capacity: at.capacity,
                // What leads back is no part of what leads on.
                feedback: at.feedback.then_some(link),
                steps: steps.clone(),
            }
        });
        keys.collect()
    }
}

/// See [`Solver::share_keys`].
#[derive(PartialEq, Eq, Hash)]
pub(super) struct ShareKey {
    from: PortRef,
    policy: Policy,
    capacity: usize,
    feedback: Option<usize>,
    steps: String,
}

impl Found {
    fn take(&mut self, walk: Walk) {
        note(&mut self.costs, &walk);
        if walk.rank() < self.best.rank() {
            self.best = walk;
        }
    }
}

fn note(costs: &mut BTreeMap<(PortRef, Media, String), Option<u32>>, walk: &Walk) {
    for choice in &walk.choices {
        let name = choice.options[choice.taken].clone();
        let known = costs.entry((choice.from, choice.media, name)).or_default();
        if walk.is_sound() {
            *known = Some(known.map_or(walk.cost, |known| known.min(walk.cost)));
        }
    }
}

fn taken(choices: &[Choice]) -> Vec<usize> {
    choices.iter().map(|choice| choice.taken).collect()
}

/// The script that comes after the one of these choices; `None` when that was the last.
fn following(choices: &[Choice]) -> Option<Vec<usize>> {
    let last = choices
        .iter()
        .rposition(|choice| choice.taken + 1 < choice.options.len())?;
    let mut script = taken(&choices[..=last]);
    script[last] += 1;
    Some(script)
}

/// Takes one encoding of each kind of which the node has a choice.
fn choose(script: &mut Script<'_>, from: PortRef, offers: Vec<Offer>) -> Vec<Pattern> {
    let mut left_out: Vec<Pattern> = Vec::new();
    for media in Media::ALL {
        let of_media = |offer: &&Offer| offer.pattern.media() == Some(media);
        let own: Vec<&Pattern> = offers
            .iter()
            .filter(of_media)
            .filter(|offer| !offer.follows)
            .map(|offer| &offer.pattern)
            .collect();
        // Among anything nothing can be chosen.
        if own.len() < 2 || own.iter().any(|pattern| pattern.encoding().is_none()) {
            continue;
        }
        let options = own
            .iter()
            .map(|pattern| pattern.bare().to_string())
            .collect();
        let taken = script.choose(from, media, options);
        let others = own.iter().enumerate().filter(|(at, _)| *at != taken);
        left_out.extend(others.map(|(_, pattern)| (*pattern).clone()));
    }
    let patterns = offers.into_iter().map(|offer| offer.pattern);
    patterns
        .filter(|pattern| !left_out.contains(pattern))
        .collect()
}
