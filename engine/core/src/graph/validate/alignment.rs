//! Nodes whose inputs are aligned: there are inputs to align, and links that can wait.

use super::Check;
use super::ends::Ends;
use crate::graph::catalog::Direction::Input;
use crate::graph::model::Policy;
use crate::graph::problem::Place;
use crate::graph::quote::{list, quote};

impl Check<'_> {
    pub(super) fn alignment(&mut self, ends: &[Ends]) {
        let document = self.document;
        for (node, entry) in document.nodes.iter().enumerate() {
            let (Some(sync), Some(info)) = (&entry.sync, self.types[node]) else {
                continue;
            };
            let links = || document.links.iter().zip(ends);
            let about = links().filter(|(_, ends)| ends.about.contains(&Some(node)));
            // An input whose link was refused may be the one that is missing here.
            let excused = document.links_missing
                || about
                    .into_iter()
                    .any(|(_, e)| e.from.is_none() || e.to.is_none());
            let mut inputs = Vec::new();
            for (link, ends) in links().filter(|(link, _)| !link.feedback) {
                let Some(to) = ends.to.filter(|to| to.node == node) else {
                    continue;
                };
                inputs.push(to.port);
                // One that says so itself: a default is never `latest`.
                if link.policy == Some(Policy::Latest) {
                    let name = self.port_name(to, &info.ports[to.port]);
                    self.problem_at(
                        &link.place,
                        format!(
                            "the link to {} keeps the latest frame only, and {} holds frames until \
                             those that belong to them come",
                            quote(&name),
                            self.describe(node)
                        ),
                        match link.place {
                            Place::Pipeline => "choose Policy::DropOldest",
                            _ => "write policy = \"drop-oldest\"",
                        },
                    );
                }
            }
            if inputs.len() >= 2 || excused || document.links.is_empty() {
                continue;
            }
            let free: Vec<String> = info
                .side(Input)
                .filter(|(port, _)| !inputs.contains(port))
                .map(|(_, port)| quote(&format!("{}.{}", entry.name.value, port.name)))
                .collect();
            let without = match sync.place {
                Place::Pipeline => "leave out sync_by_pts",
                _ => "remove sync = \"pts\"",
            };
            let linked = match inputs.len() {
                0 => "none",
                _ => "one",
            };
            self.problem_at(
                &sync.place,
                format!(
                    "sync = \"pts\" aligns two inputs or more, and {} has {linked} that is linked, \
                     feedback apart",
                    self.describe(node)
                ),
                match free.as_slice() {
                    [] => without.to_owned(),
                    free => format!("link {} as well, or {without}", list(free, "or")),
                },
            );
        }
    }
}
