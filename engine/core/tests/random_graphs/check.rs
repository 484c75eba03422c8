//! What must hold of every session that has ended, whatever its graph.

use levada_engine::{Ended, graph::Policy};

use super::{
    ledger::{Ledger, PORTS},
    spec::{Ending, Spec},
};

/// Collects what does not hold.
struct Judge<'a> {
    spec: &'a Spec,
    ledger: &'a Ledger,
    ended: &'a Ended,
    /// Nothing went wrong and nobody aborted: every frame arrives.
    whole: bool,
    wrong: Vec<String>,
}

/// Compares the engine's report with the nodes' ledger.
pub fn check(spec: &Spec, ledger: &Ledger, ended: &Ended) -> Vec<String> {
    let aborted = matches!(spec.ending, Ending::Abort(_));
    let mut judge = Judge {
        spec,
        ledger,
        ended,
        whole: ended.error.is_none() && !aborted,
        wrong: ledger.complaints(),
    };
    judge.links();
    for node in 0..spec.nodes.len() {
        judge.life(node);
        judge.node(node);
    }
    judge.error();
    if ledger.live() != 0 {
        let live = ledger.live();
        judge.complain(format!("{live} payloads are still held after the end"));
    }
    judge.wrong
}

/// Judges a session that did not start because a node was told to fail at its creation or its start.
pub fn check_refused(ledger: &Ledger) -> Vec<String> {
    let mut wrong = ledger.complaints();
    for (node, page) in ledger.pages.iter().enumerate() {
        let [created, started, stopped, destroyed] =
            [&page.created, &page.started, &page.stopped, &page.destroyed].map(|count| count.get());
        if created != destroyed || started != stopped || created > 1 {
            wrong.push(format!(
                "n{node} of a session that did not start: {created} created, {started} started, \
                 {stopped} stopped, {destroyed} destroyed"
            ));
        }
    }
    if ledger.live() != 0 {
        wrong.push(format!("{} payloads are still held", ledger.live()));
    }
    wrong
}

impl Judge<'_> {
    fn complain(&mut self, what: String) {
        self.wrong.push(what);
    }

    fn equal(&mut self, what: String, is: u64, should: u64) {
        if is != should {
            self.complain(format!("{what}: {is}, not {should}"));
        }
    }

    /// What goes into a link comes out of it, or is counted as dropped.
    fn links(&mut self) {
        for (link, report) in self.spec.links.iter().zip(&self.ended.report.links) {
            let ((from, output), (to, input)) = (link.from, link.to);
            let received = self.ledger.pages[to].received[input].get();
            self.equal(
                format!("{link}: frames that arrived"),
                received,
                report.frames - report.dropped,
            );
            let put = self.sent(from, output);
            if self.whole {
                self.equal(
                    format!("{link}: frames that were put in"),
                    report.frames,
                    put,
                );
                if link.policy == Policy::Block {
                    self.equal(format!("{link}: dropped by block"), report.dropped, 0);
                }
            } else if report.frames > put {
                self.complain(format!("{link}: {} of {put} frames put in", report.frames));
            }
        }
    }

    /// Frames that left an output, of which a source's may still have waited in its ring at the end.
    fn sent(&self, node: usize, output: usize) -> u64 {
        let page = &self.ledger.pages[node];
        let waited = if output == 0 && self.spec.nodes[node].type_name.starts_with("handed") {
            self.ended.report.nodes[node]
                .dropped
                .saturating_sub(page.declared.get())
        } else {
            0
        };
        page.put[output].get().saturating_sub(waited)
    }

    fn life(&mut self, node: usize) {
        let page = &self.ledger.pages[node];
        for (what, count) in [
            ("created", &page.created),
            ("started", &page.started),
            ("stopped", &page.stopped),
            ("destroyed", &page.destroyed),
        ] {
            self.equal(format!("n{node}: times {what}"), count.get(), 1);
        }
        let drained = page.drained.get();
        if drained > 1 || self.whole && drained == 0 {
            self.complain(format!("n{node}: drained {drained} times"));
        }
        for input in 0..PORTS {
            let ended = page.ended[input].get();
            let is_linked = self.spec.links.iter().any(|link| link.to == (node, input));
            if ended > u64::from(is_linked) || self.whole && is_linked && ended == 0 {
                self.complain(format!("n{node}: in{input} ended {ended} times"));
            }
        }
    }

    /// What comes in or is made goes out or is released, and the report says so.
    fn node(&mut self, node: usize) {
        let (page, report) = (&self.ledger.pages[node], &self.ended.report.nodes[node]);
        let sum = |counts: &[super::ledger::Count]| counts.iter().map(|c| c.get()).sum::<u64>();
        let (received, put) = (sum(&page.received), sum(&page.put));
        self.equal(format!("n{node}: frames_in"), report.frames_in, received);
        if !self.whole {
            return;
        }
        self.equal(
            format!("n{node}: frames that it got and made"),
            received + page.made.get(),
            put + page.consumed.get(),
        );
        let (mut unlinked, mut linked) = (0, 0);
        for output in 0..PORTS {
            let mut links = self.spec.links.iter();
            if links.any(|link| link.from == (node, output)) {
                linked += self.sent(node, output);
            } else {
                unlinked += page.put[output].get();
            }
        }
        self.equal(format!("n{node}: unlinked"), report.unlinked, unlinked);
        self.equal(
            format!("n{node}: frames_out"),
            report.frames_out,
            linked + unlinked,
        );
        if !self.spec.nodes[node].is_source() {
            self.equal(format!("n{node}: dropped"), report.dropped, 0);
        }
    }

    /// A session fails if, and only if, one of its nodes does, and says why.
    fn error(&mut self) {
        match &self.ended.error {
            Some(error) => {
                let node = error.node.trim_start_matches('n').parse::<usize>().ok();
                let fault = node.and_then(|node| self.spec.nodes.get(node));
                let told = match fault.map_or("none", |node| node.fault()) {
                    "process-error" | "drain-error" => "told to fail",
                    "process-panic" | "drain-panic" => "it panicked: told to panic",
                    _ => "",
                };
                if error.cause != told {
                    self.complain(format!("failed without having been told to: {error}"));
                }
            }
            None => {
                for node in 0..self.spec.nodes.len() {
                    let faults = self.ledger.pages[node].faults.get();
                    self.equal(format!("n{node}: failures nobody was told of"), faults, 0);
                }
            }
        }
    }
}
