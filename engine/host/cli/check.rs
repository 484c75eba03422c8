//! `levada check`: every problem of a graph, or its plan.

use std::path::PathBuf;

use clap::Args;
use levada::{engine::graph::SetParam, report};
use serde_json::json;

use super::{Outcome, load, print, print_json, set_param};

/// Prints every problem of a graph at once, or how it will run.
///
/// Reads the graph file, builds and loads the plugins that it names, and validates it. Without a
/// problem it prints the plan: segments, the threads that run them, channels, what each link carries, the
/// converters that were inserted and why, and what a session may take at worst: memory, and the latency
/// that the nodes declare.
#[derive(Args)]
pub struct Check {
    /// The graph file.
    graph: PathBuf,
    /// Sets a param, as `node.param=value`; may be repeated.
    #[arg(long, value_parser = set_param, value_name = "NODE.PARAM=VALUE")]
    set: Vec<SetParam>,
    /// Prints JSON on stdout.
    #[arg(long)]
    json: bool,
}

pub fn check(args: &Check) -> Outcome {
    let plan = load(&args.graph, &args.set, args.json)?.plan;
    if !args.json {
        return print(&(report::plan(&plan) + &report::worst_case(&plan)));
    }
    let limits = &plan.graph().limits;
    let links = plan
        .graph()
        .links
        .iter()
        .zip(plan.channel_capacities())
        .map(|(link, capacity)| {
            json!({
                "from": plan.port_name(link.from),
                "to": plan.port_name(link.to),
                "policy": link.policy,
                "capacity": capacity,
                "feedback": link.feedback,
                "formats": link.formats,
            })
        });
    let inserted = plan.graph().nodes.iter().filter_map(|node| {
        let inserted = node.inserted.as_ref()?;
        Some(json!({
            "node": node.name,
            "type": node.type_name,
            "takes": inserted.takes,
            "gives": inserted.gives,
            "cost": inserted.cost,
            "why": inserted.why,
            "links": inserted.links,
            "instead": inserted.instead,
        }))
    });
    print_json(&json!({
        "graph": plan.graph().name,
        "template": plan.is_template(),
        "segments": plan.segments().collect::<Vec<_>>(),
        "links": links.collect::<Vec<_>>(),
        "inserted": inserted.collect::<Vec<_>>(),
        "choices": plan.graph().choices,
        "limits": {
            "memory": limits.memory.as_ref().map(|limit| limit.value),
            "latency_ns": limits.latency_ns.as_ref().map(|limit| limit.value),
            "picture": format!("{}x{}", limits.picture.0, limits.picture.1),
        },
        "worst_case": plan.worst_case(),
        "problems": [],
    }))
}
