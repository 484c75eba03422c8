//! Whether the two ends of a link have a format in common, and what to do if not.

use super::Check;
use crate::graph::catalog::Direction::{Input, Output};
use crate::graph::catalog::{PortInfo, formats_meet};
use crate::graph::document::LinkEntry;
use crate::graph::model::PortRef;
use crate::graph::quote::{list, quote};

impl Check<'_> {
    pub(super) fn formats(&mut self, link: &LinkEntry, from: PortRef, to: PortRef) {
        let (Some(gives), Some(takes)) = (self.port(from), self.port(to)) else {
            return;
        };
        if formats_meet(&gives.formats, &takes.formats) {
            return;
        }
        let (from_name, to_name) = (self.port_name(from, gives), self.port_name(to, takes));
        let (offered, accepted) = (list(&gives.formats, "or"), list(&takes.formats, "or"));

        let mut ways = self.other_ports(from, to);
        let converters = self.converters(gives, takes);
        if !converters.is_empty() {
            let converters: Vec<String> = converters.iter().map(|name| quote(name)).collect();
            ways.push(format!(
                "put a {} node between them",
                list(&converters, "or")
            ));
        }
        let remedy = match ways.as_slice() {
            [] => format!("put a node between them that turns {offered} into {accepted}"),
            ways => list(ways, "or"),
        };
        self.problem_at(
            &link.place,
            format!(
                "link {}: {to_name} accepts {accepted}, {from_name} offers {offered}",
                quote(&format!("{from_name} -> {to_name}"))
            ),
            remedy,
        );
    }

    /// Links between other ports of the same two nodes that would do, at most two.
    fn other_ports(&self, from: PortRef, to: PortRef) -> Vec<String> {
        let (Some(source), Some(sink)) = (self.types[from.node], self.types[to.node]) else {
            return Vec::new();
        };
        let same_source = sink.side(Input).map(|(port, _)| (from.port, port));
        let same_sink = source.side(Output).map(|(port, _)| (port, to.port));
        let mut pairs: Vec<(usize, usize)> = same_source
            .chain(same_sink)
            .filter(|(output, input)| {
                let (output, input) = (&source.ports[*output], &sink.ports[*input]);
                let mut formats = output.formats.iter();
                formats.all(|format| formats_meet(std::slice::from_ref(format), &input.formats))
            })
            .collect();
        // A port for this kind of format alone was more likely meant than one for all kinds.
        pairs.sort_by_key(|(output, input)| {
            source.ports[*output].formats.len() + sink.ports[*input].formats.len()
        });
        pairs
            .into_iter()
            .take(2)
            .map(|(output, input)| {
                let from = self.port_name(from, &source.ports[output]);
                let to = self.port_name(to, &sink.ports[input]);
                format!("link {}", quote(&format!("{from} -> {to}")))
            })
            .collect()
    }

    /// Node types that turn what one port gives into what another takes. One whose output could
    /// be what goes in (a probe that passes everything on) does not convert.
    fn converters(&self, gives: &PortInfo, takes: &PortInfo) -> Vec<String> {
        let names = self.catalog.names();
        names
            .into_iter()
            .filter(|name| {
                let Some(info) = self.catalog.get(name) else {
                    return false;
                };
                let inputs: Vec<_> = info.side(Input).collect();
                let [(_, input)] = inputs.as_slice() else {
                    return false;
                };
                formats_meet(&gives.formats, &input.formats)
                    && info.side(Output).any(|(_, output)| {
                        formats_meet(&output.formats, &takes.formats)
                            && !formats_meet(&output.formats, &gives.formats)
                    })
            })
            .map(str::to_owned)
            .collect()
    }

    fn port(&self, port: PortRef) -> Option<&'_ PortInfo> {
        self.types[port.node]?.ports.get(port.port)
    }

    /// `node.port`.
    pub(super) fn port_name(&self, port: PortRef, info: &PortInfo) -> String {
        let node = &self.document.nodes[port.node].name.value;
        format!("{node}.{}", info.name)
    }
}
