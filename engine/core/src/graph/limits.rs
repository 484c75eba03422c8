//! Whether a graph can keep the limits that it states.

use super::plan::Plan;
use super::problem::{Place, Problem, Problems};
use super::quote::{list, path, quote};
use super::units::{show_duration, show_size, show_size_up};
use super::worst_case::{MemoryKind, WorstCase};

/// How many parts of the memory a problem names.
const NAMED: usize = 3;

/// Reports the limits that a graph cannot keep.
pub(super) fn judge(plan: &Plan, problems: &mut Problems) {
    let limits = &plan.graph().limits;
    if limits.memory.is_none() && limits.latency_ns.is_none() {
        return;
    }
    let worst = plan.worst_case();
    if let Some(limit) = limits
        .memory
        .as_ref()
        .filter(|limit| worst.memory > limit.value)
    {
        let (cause, remedy) = memory(&worst, limit.value, &limit.place, limits.picture);
        problems.push(Problem::new(limit.place.clone(), cause, remedy));
    }
    let latency = limits.latency_ns.as_ref();
    if let Some(limit) = latency.filter(|limit| worst.latency_ns > limit.value) {
        let (cause, remedy) = latency_told(&worst, limit.value, &limit.place);
        problems.push(Problem::new(limit.place.clone(), cause, remedy));
    }
}

fn memory(
    worst: &WorstCase,
    limit: u64,
    place: &Place,
    (width, height): (u32, u32),
) -> (String, String) {
    let parts = worst.parts.iter().take(NAMED);
    let largest: Vec<String> = parts
        .map(|part| format!("{} for {part}", show_size(part.bytes)))
        .collect();
    let cause = format!(
        "a session may take {} at worst, and the limit is {}; the most of it: {}",
        show_size_up(worst.memory),
        show_size(limit),
        list(&largest, "and")
    );
    let mut ways = Vec::new();
    if let Some(part) = worst.parts.first() {
        ways.push(match part.kind {
            MemoryKind::Link => format!("give the link {} a smaller capacity", quote(&part.name)),
            MemoryKind::Ring => format!(
                "give the links behind {} a smaller capacity",
                quote(&part.name)
            ),
            MemoryKind::Batch => {
                format!("give what feeds {} a smaller capacity", quote(&part.name))
            }
            MemoryKind::States | MemoryKind::Session => "use fewer nodes".to_owned(),
        });
        if part.format.starts_with("video/") {
            ways.push(match place {
                Place::Pipeline => "declare smaller pictures by GraphBuilder::picture".to_owned(),
                _ => format!(
                    "declare smaller pictures (picture = \"{}x{}\")",
                    width.div_ceil(2),
                    height.div_ceil(2)
                ),
            });
        }
    }
    ways.push(raise(show_size_up(worst.memory), place));
    (cause, list(&ways, "or"))
}

fn latency_told(worst: &WorstCase, limit: u64, place: &Place) -> (String, String) {
    let way: Vec<String> = worst.slowest.iter().map(ToString::to_string).collect();
    let way: Vec<&str> = way.iter().map(String::as_str).collect();
    let cause = format!(
        "frames are held for up to {}, and the limit is {}: {}",
        show_duration(worst.latency_ns),
        show_duration(limit),
        path(&way)
    );
    let most = worst.slowest.iter().max_by_key(|node| node.latency_ns);
    let node = most.map_or("", |node| node.node.as_str());
    let remedy = format!(
        "put another node type in the place of {}, or {}",
        quote(node),
        raise(show_duration(worst.latency_ns), place)
    );
    (cause, remedy)
}

fn raise(to: String, place: &Place) -> String {
    match place {
        Place::Pipeline => format!("raise the limit to {to}"),
        _ => format!("raise the limit to {}", quote(&to)),
    }
}
