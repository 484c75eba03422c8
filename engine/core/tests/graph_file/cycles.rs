//! Random links and random marks, judged by a table of what reaches what.

use levada_engine::graph::{GraphBuilder, TypeInfo};

use super::catalog;
use super::mutations::Random;

/// A catalog with one node type more: it takes many links and gives to many.
fn joints() -> std::collections::BTreeMap<String, TypeInfo> {
    let mut catalog = catalog();
    let mut joint = catalog["mix"].clone();
    joint.name = "joint".to_owned();
    let input = joint.ports.remove(0);
    joint.ports.remove(0);
    for name in 0..INPUTS {
        let mut port = input.clone();
        port.name = format!("in{name}");
        port.required = false;
        joint.ports.push(port);
    }
    catalog.insert(joint.name.clone(), joint);
    catalog
}

const INPUTS: usize = 3;

#[test]
fn marks_are_right_when_every_cycle_has_one_and_each_closes_one() {
    let catalog = joints();
    let mut random = Random::new(0xc1c1e5);
    let mut outcomes = [0; 3];
    for round in 0..4000 {
        let count = 2 + random.below(5);
        let mut graph = GraphBuilder::new("random");
        for node in 0..count {
            graph.node(&format!("n{node}"), "joint");
        }
        // `reach[a][b]`: unmarked links lead from a to b, over at least one.
        let mut reach = vec![vec![false; count]; count];
        let (mut marked, mut unmarked) = (Vec::new(), Vec::new());
        for to in 0..count {
            for input in 0..1 + random.below(INPUTS) {
                let from = random.below(count);
                let link = format!("n{from} -> n{to}.in{input}");
                if from >= to && random.below(8) > 0 {
                    graph.feedback(&link, None, None);
                    marked.push((from, to));
                } else {
                    graph.link(&link);
                    unmarked.push((from, to));
                }
            }
        }
        for (from, to) in unmarked {
            reach[from][to] = true;
        }
        for over in 0..count {
            let on = reach[over].clone();
            for row in reach.iter_mut().filter(|row| row[over]) {
                row.iter_mut().zip(&on).for_each(|(to, on)| *to |= on);
            }
        }
        let cycle = (0..count).any(|node| reach[node][node]);
        let needless = marked
            .iter()
            .any(|(from, to)| from != to && !reach[*to][*from]);
        let told = match graph.build(&catalog) {
            Ok(graph) => {
                assert_eq!(graph.topological_order().len(), count);
                String::new()
            }
            Err(problems) => problems.to_string(),
        };
        assert_eq!(
            told.contains("form a cycle"),
            cycle,
            "round {round}\n{told}"
        );
        if !cycle {
            assert_eq!(
                told.contains("marked as feedback"),
                needless,
                "round {round}\n{told}"
            );
        }
        outcomes[usize::from(cycle) + 2 * usize::from(!cycle && needless)] += 1;
    }
    assert!(outcomes.iter().all(|times| *times > 300), "{outcomes:?}");
}
