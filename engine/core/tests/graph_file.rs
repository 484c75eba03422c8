//! Graph files as people write them, good and bad.

#[path = "graph_file/catalog.rs"]
mod catalog;
#[path = "graph_file/cycles.rs"]
mod cycles;
#[path = "graph_file/mutations.rs"]
mod mutations;

use catalog::catalog;
use levada_engine::graph::{
    Graph, GraphBuilder, Link, MAX_FILE_BYTES, MAX_LINKS, MAX_NODES, MAX_PROBLEMS, ParamValue,
    PluginSource, Policy, PortRef, Problems, SetParam, parse, parse_bytes, validate,
};

/// Each case: a line `=== claim`, a graph file, lines `--set argument`, a line `---`, and what is
/// printed, word for word.
const MISTAKES: &str = include_str!("graph_file/mistakes.txt");

fn judge(text: &str, arguments: &[&str]) -> Result<Graph, Problems> {
    let arguments: Vec<_> = arguments.iter().copied().map(SetParam::new).collect();
    validate(&parse("g.toml", text), &catalog(), &arguments)
}

#[test]
fn each_mistake_is_told_with_place_cause_and_remedy() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in MISTAKES.split("=== ").skip(1) {
        count += 1;
        let (claim, rest) = case.split_once('\n').expect("a case has a claim");
        let (input, expected) = rest.split_once("---\n").expect("a case has both parts");
        let at = input.find("--set ").unwrap_or(input.len());
        let (text, arguments) = input.split_at(at);
        let arguments: Vec<&str> = arguments
            .lines()
            .filter_map(|line| line.strip_prefix("--set "))
            .collect();
        let told = match judge(text, &arguments) {
            Ok(_) => "no problem".to_owned(),
            Err(problems) => problems.to_string(),
        };
        if told.trim_end() != expected.trim_end() {
            wrong.push(format!(
                "{claim}\n--- told\n{told}\n--- expected\n{expected}"
            ));
        }
    }
    assert!(count > 60, "only {count} cases were read");
    assert!(
        wrong.is_empty(),
        "{} cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

const TONE: &str = r#"name  = "tone"
links = ["tone -> louder -> meter"]

[nodes]
tone   = { type = "test-audio" }
louder = { type = "gain", params = { db = 6 } }
meter  = { type = "level" }
"#;

fn good(text: &str, arguments: &[&str]) -> Graph {
    judge(text, arguments).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

/// The value of a param of a node, by their names.
fn param(graph: &Graph, node: &str, param: &str) -> ParamValue {
    let node = graph
        .nodes
        .iter()
        .find(|n| n.name == node)
        .expect("the node is there");
    let params = &catalog()[&node.type_name].params;
    let index = params
        .iter()
        .position(|p| p.name == param)
        .expect("the param is there");
    node.params[index].1.clone()
}

/// The links as text, by port names: `tone.out -> louder.in`.
fn links(graph: &Graph) -> Vec<String> {
    let catalog = catalog();
    let name = |port: PortRef| {
        let node = &graph.nodes[port.node];
        let port = &catalog[&node.type_name].ports[port.port];
        format!("{}.{}", node.name, port.name)
    };
    let text = |link: &Link| format!("{} -> {}", name(link.from), name(link.to));
    graph.links.iter().map(text).collect()
}

#[test]
fn a_graph_is_complete_and_in_the_order_of_its_file() {
    let graph = good(TONE, &[]);
    assert_eq!(graph.name, "tone");
    let names: Vec<&str> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["tone", "louder", "meter"]);
    assert_eq!(
        links(&graph),
        ["tone.out -> louder.in", "louder.out -> meter.in"]
    );
    assert_eq!(
        graph.nodes[0].params,
        [
            (0, ParamValue::Float(440.0)),
            (1, ParamValue::Float(-20.0)),
            (2, ParamValue::Integer(48_000)),
            (3, ParamValue::Integer(1)),
        ]
    );
    assert_eq!(
        graph.nodes[1].params,
        [(0, ParamValue::Float(6.0)), (1, ParamValue::Bool(false))]
    );
    assert_eq!(graph.nodes[1].place.to_string(), "g.toml:6:1");
    assert_eq!(graph.links[1].place.to_string(), "g.toml:2:19");
    assert_eq!(graph.topological_order(), [0, 1, 2]);
}

#[test]
fn a_graph_without_a_name_is_called_like_its_file() {
    let text = TONE.replace("name  = \"tone\"", "");
    for (file, name) in [
        ("examples/Echo Test.toml", "echo-test"),
        ("C:\\graphs\\a.toml", "a"),
        ("", "graph"),
    ] {
        assert_eq!(parse(file, &text).name, name);
    }
}

#[test]
fn seven_different_mistakes_are_seven_problems() {
    let text = r#"nmae = "seven"
links = [
  "tone -> louder -> waste",
  "tone -> meter",
  "probe -> meter",
  "tone -> probe.inn",
  { from = "loop", to = "loop", capacity = 0 },
]
[nodes]
tone   = { type = "test-audio", params = { frequency = 1 } }
louder = { type = "gian" }
meter  = { type = "level" }
loop   = { type = "probe" }
probe  = { type = "probe" }
waste  = { type = "null" }
"#;
    let problems = judge(text, &[]).expect_err("there are seven mistakes");
    let told: Vec<String> = problems
        .into_iter()
        .map(|problem| format!("{}: {}", problem.place, problem.cause))
        .collect();
    assert_eq!(
        told,
        [
            "g.toml:1:1: \"nmae\" is not a key of a graph file",
            "g.toml:5:13: input \"meter.in\" already has a link from \"tone\" (line 4)",
            "g.toml:6:12: \"probe\" (probe) has no input \"inn\"",
            "g.toml:7:13: the links form a cycle: loop -> loop",
            "g.toml:7:44: a link cannot hold 0 frames",
            "g.toml:10:56: param \"frequency\" of \"tone\" (test-audio) is 1 Hz, which is too low",
            "g.toml:11:20: there is no node type \"gian\"",
        ]
    );
}

#[test]
fn arguments_replace_params_and_the_last_one_counts() {
    let graph = good(
        TONE,
        &["louder.db=-3", "louder.db= 1.5 ", "louder.mute=true"],
    );
    assert_eq!(param(&graph, "louder", "db"), ParamValue::Float(1.5));
    assert_eq!(param(&graph, "louder", "mute"), ParamValue::Bool(true));
}

#[test]
fn an_argument_gives_a_param_that_the_file_leaves_out() {
    let text = "links = [\"file -> decode -> screen\"]\n[nodes]\n\
                file = { type = \"file-source\" }\ndecode = { type = \"vp8-decode\" }\n\
                screen = { type = \"window\" }\n";
    let graph = good(text, &["file.path=a=b.webm"]);
    assert_eq!(
        param(&graph, "file", "path"),
        ParamValue::Text("a=b.webm".into())
    );
}

#[test]
fn links_block_behind_files_and_drop_the_oldest_behind_live_sources() {
    let graph = good(TONE, &[]);
    assert!(
        graph
            .links
            .iter()
            .all(|l| (l.policy, l.capacity) == (Policy::Block, 8))
    );

    let live = r#"
links = [
  "cam.out -> probe",
  { from = "probe", to = "screen.in" },
  { from = "cam.video", to = "waste", policy = "latest", capacity = 2 },
  "tone -> meter",
]
[nodes]
cam    = { type = "webrtc-source" }
probe  = { type = "probe" }
screen = { type = "webrtc-sink" }
waste  = { type = "null" }
tone   = { type = "test-audio" }
meter  = { type = "level" }
"#;
    let settled = |arguments: &[&str]| -> Vec<(Policy, usize)> {
        let graph = good(live, arguments);
        graph
            .links
            .iter()
            .map(|link| (link.policy, link.capacity))
            .collect()
    };
    assert_eq!(
        settled(&[]),
        [
            (Policy::DropOldest, 8),
            (Policy::DropOldest, 8),
            (Policy::Latest, 2),
            (Policy::Block, 8),
        ]
    );
    assert_eq!(
        settled(&["cam.mode=packets"]),
        [
            (Policy::DropOldest, 256),
            (Policy::DropOldest, 256),
            (Policy::Latest, 2),
            (Policy::Block, 8),
        ]
    );
}

/// A tone with an echo: what leaves the mixer comes round again by way of `late`.
const ECHO: &str = r#"
links = [
  "tone -> mix.left",
  "mix -> late",
  { from = "late", to = "mix.right", feedback = true },
  "late -> meter",
]
[nodes]
tone  = { type = "test-audio" }
mix   = { type = "mix" }
late  = { type = "probe" }
meter = { type = "level" }
"#;

#[test]
fn a_feedback_link_closes_a_cycle_and_drops_the_oldest_unless_it_says_otherwise() {
    let graph = good(ECHO, &[]);
    let settled = |graph: &Graph| -> Vec<(bool, Policy, usize)> {
        let links = graph.links.iter();
        links.map(|l| (l.feedback, l.policy, l.capacity)).collect()
    };
    assert_eq!(
        settled(&graph),
        [
            (false, Policy::Block, 8),
            (false, Policy::Block, 8),
            (true, Policy::DropOldest, 8),
            (false, Policy::Block, 8),
        ]
    );
    assert_eq!(graph.topological_order(), [0, 1, 2, 3]);

    let text = ECHO.replace(
        "feedback = true",
        "feedback = true, policy = \"latest\", capacity = 2",
    );
    assert_eq!(settled(&good(&text, &[]))[2], (true, Policy::Latest, 2));
    let plain = ECHO.replace(
        "  { from = \"late\", to = \"mix.right\", feedback = true },\n",
        "  { from = \"tone\", to = \"mix.right\", feedback = false },\n",
    );
    assert!(good(&plain, &[]).links.iter().all(|link| !link.feedback));
}

#[test]
fn a_node_may_feed_itself_and_feedback_links_may_cross() {
    let text = r#"
links = [
  "tone -> a.left",
  { from = "a", to = "a.right", feedback = true, capacity = 1 },
  "a -> b.left",
  "b -> c.left",
  { from = "c", to = "b.right", feedback = true },
  { from = "d", to = "c.right", feedback = true },
  "c -> d",
]
[nodes]
tone = { type = "test-audio" }
a = { type = "mix" }
b = { type = "mix" }
c = { type = "mix" }
d = { type = "probe" }
"#;
    let graph = good(text, &[]);
    assert_eq!(graph.topological_order(), [0, 1, 2, 3, 4]);
    assert_eq!(graph.links.iter().filter(|link| link.feedback).count(), 3);
}

#[test]
fn inputs_are_aligned_where_the_node_says_so() {
    let text = r#"
links = ["tone -> a.left", "low -> a.right", "tone -> b.left", "low -> b.right", "a -> waste", "b -> c.left"]
[nodes]
tone = { type = "test-audio" }
low  = { type = "test-audio", params.frequency = 50 }
a    = { type = "mix", sync = "pts" }
b    = { type = "mix", sync = "pts", tolerance = "2.5 ms" }
c    = { type = "mix", sync = "none" }
waste.type = "null"
"#;
    let graph = good(text, &[]);
    let tolerances: Vec<_> = graph
        .nodes
        .iter()
        .map(|node| node.sync.map(|sync| sync.tolerance_ns))
        .collect();
    let (default, stated) = (Some(10_000_000), Some(2_500_000));
    assert_eq!(tolerances, [None, None, default, stated, None, None]);
}

#[test]
fn limits_stand_in_braces_or_under_a_heading() {
    let none = good(TONE, &[]).limits;
    assert_eq!(
        (none.memory, none.latency_ns, none.picture),
        (None, None, (1920, 1080))
    );
    let braces = "limits = { memory = \"1.5 MiB\", latency = \"40 ms\", picture = \"640x360\" }\n";
    let heading = "[limits]\nmemory = \"1536KiB\"\nlatency = \"0.04 s\"\npicture = \"640x360\"\n";
    for text in [format!("{braces}{TONE}"), format!("{TONE}{heading}")] {
        let limits = good(&text, &[]).limits;
        assert_eq!(limits.memory.map(|limit| limit.value), Some(3 << 19));
        assert_eq!(limits.latency_ns.map(|limit| limit.value), Some(40_000_000));
        assert_eq!(limits.picture, (640, 360));
    }
    let node = "links = [\"limits -> meter\"]\n[nodes]\n\
                limits = { type = \"test-audio\" }\nmeter = { type = \"level\" }\n";
    assert_eq!(good(node, &[]).nodes[0].name, "limits");
}

#[test]
fn chains_take_the_port_of_the_side_it_is_on() {
    let text = |chain: &str| TONE.replace("tone -> louder -> meter", chain);
    for chain in [
        "tone->louder->meter",
        " tone.out -> louder.in -> meter.in ",
        "tone -> louder.out -> meter",
    ] {
        let graph = good(&text(chain), &[]);
        assert_eq!(
            links(&graph),
            ["tone.out -> louder.in", "louder.out -> meter.in"],
            "{chain}"
        );
    }
}

#[test]
fn one_output_may_feed_several_links() {
    let text =
        TONE.replace("-> meter\"", "-> meter\", \"tone -> waste\"") + "waste.type = \"null\"\n";
    assert_eq!(good(&text, &[]).links.len(), 3);
}

#[test]
fn every_notation_of_toml_makes_the_same_graph() {
    let long = "name = 'tone'\nlinks = [\n  '''tone -> louder''', # a comment\n  \
                \"lo\\u0075der -> meter\",\n]\nnodes.tone.type = \"test-audio\"\n\
                [nodes.louder]\ntype = \"gain\"\nparams.db = 6.0\n\
                [nodes.meter]\ntype = \"level\"\nscope = \"session\"\n";
    let short = good(TONE, &[]);
    for text in [
        long.to_owned(),
        long.replace('\n', "\r\n"),
        format!("\u{feff}{long}"),
    ] {
        let graph = good(&text, &[]);
        assert_eq!(links(&graph), links(&short));
        let params = |graph: &Graph| -> Vec<_> {
            graph
                .nodes
                .iter()
                .map(|node| (node.name.clone(), node.params.clone()))
                .collect()
        };
        assert_eq!(params(&graph), params(&short));
    }
}

#[test]
fn plugins_are_listed_with_their_paths() {
    let text = format!("{TONE}[plugins]\nb = {{ path = \"../b\" }}\na = {{ lib = \"a.so\" }}\n");
    let document = parse("g.toml", &text);
    let plugins: Vec<_> = document
        .plugins
        .iter()
        .map(|plugin| (plugin.name.as_str(), plugin.source.clone()))
        .collect();
    assert_eq!(
        plugins,
        [
            (
                "b",
                PluginSource::Crate {
                    path: "../b".into()
                }
            ),
            (
                "a",
                PluginSource::Library {
                    path: "a.so".into()
                }
            ),
        ]
    );
    assert_eq!(document.plugins[0].source_place.to_string(), "g.toml:9:15");
}

#[test]
fn a_plugin_that_failed_is_one_problem_at_its_path_in_the_order_of_the_file() {
    let text = r#"nmae = "x"
links = ["tone -> low"]
[plugins]
eq = { lib = "libeq.so" }
[nodes]
low = { type = "eq-low" }
tone = { type = "test-audio", params = { frequency = 1.0 } }
"#;
    let mut document = parse("g.toml", text);
    document.plugin_failed(0, "there is no file \"libeq.so\"", "build the plugin first");
    let problems = validate(&document, &catalog(), &[]).expect_err("the plugin is missing");
    let told: Vec<String> = problems
        .into_iter()
        .map(|p| format!("{}: {}", p.place, p.cause))
        .collect();
    assert_eq!(
        told,
        [
            "g.toml:1:1: \"nmae\" is not a key of a graph file",
            "g.toml:4:15: there is no file \"libeq.so\"",
            "g.toml:7:54: param \"frequency\" of \"tone\" (test-audio) is 1 Hz, which is too low",
        ]
    );
}

#[test]
fn a_plugin_that_failed_may_have_brought_the_converter_that_a_link_lacks() {
    let text = r#"links = ["browser.video -> window", "browser.data -> window2"]
[plugins]
h264 = { lib = "libh264.so" }
[nodes]
browser = { type = "webrtc-source" }
window  = { type = "window" }
window2 = { type = "window" }
"#;
    let mut document = parse("g.toml", text);
    document.plugin_failed(0, "the file is damaged", "build it again");
    let problems = validate(&document, &catalog(), &[]).expect_err("the plugin is missing");
    let told: Vec<String> = problems
        .into_iter()
        .map(|p| format!("{}: {}", p.place, p.cause))
        .collect();
    let [data, plugin] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert!(data.contains("browser.data -> window2"), "{data}");
    assert_eq!(plugin, "g.toml:3:17: the file is damaged");
}

#[test]
fn problems_are_also_json() {
    let problems = judge(&TONE.replace("\"gain\"", "\"gian\""), &["what"])
        .expect_err("there are two mistakes");
    let json = serde_json::to_value(&problems).expect("problems serialize");
    assert_eq!(
        json,
        serde_json::json!([
            {
                "file": "g.toml", "line": 6, "column": 20,
                "cause": "there is no node type \"gian\"", "remedy": "write \"gain\""
            },
            {
                "file": "--set what", "line": null, "column": null,
                "cause": "this is not node.param=value",
                "remedy": "write it as --set louder.db=6"
            },
        ])
    );
}

#[test]
fn a_file_that_is_not_utf8_is_told_where() {
    let document = parse_bytes("g.toml", b"name = \"a\"\nlinks = [\"\xff\xfe\"]\n");
    assert_eq!(
        validate(&document, &catalog(), &[])
            .expect_err("it is no text")
            .to_string(),
        "g.toml:2:11: the file is not UTF-8 text; name a TOML file, or save it as UTF-8\n \
         2 | links = [\"\u{fffd}\u{fffd}\"]\n   |           ^\n\n1 problem"
    );
    assert!(parse_bytes("g.toml", TONE.as_bytes()).problems().is_empty());
}

#[test]
fn files_nodes_and_links_beyond_the_limits_are_refused() {
    let only = |text: &str| -> String {
        let problems = judge(text, &[]).expect_err("it is too large");
        assert_eq!(problems.len(), 1, "{problems}");
        problems.as_slice()[0].cause.clone()
    };
    let long = format!("{TONE}# {}\n", "x".repeat(MAX_FILE_BYTES));
    assert_eq!(only(&long), format!("the file has {} bytes", long.len()));

    let node = |n: usize| format!("n{n} = {{ type = \"probe\" }}\n");
    let chain: Vec<String> = (0..=MAX_NODES).map(|n| format!("n{n}")).collect();
    let nodes: String = (0..=MAX_NODES).map(node).collect();
    let text = format!("links = [\"{}\"]\n[nodes]\n{nodes}", chain.join(" -> "));
    assert_eq!(only(&text), "the graph has 1025 nodes");

    let links = "\"tone -> louder\",".repeat(MAX_LINKS + 1);
    let text = TONE.replace("\"tone -> louder -> meter\"", &links);
    assert_eq!(only(&text), "the graph has 4097 links");
}

#[test]
fn the_largest_graph_is_accepted() {
    let last = MAX_NODES - 1;
    let nodes: String = (0..last)
        .map(|n| format!("n{n} = {{ type = \"probe\" }}\n"))
        .collect();
    let chain: Vec<String> = (0..last).map(|n| format!("n{n}")).collect();
    let text = format!(
        "links = [\"tone -> {}\"]\n[nodes]\ntone = {{ type = \"test-audio\" }}\n{nodes}",
        chain.join(" -> ")
    );
    assert_eq!(good(&text, &[]).links.len(), last);

    let circle = text.replace("\"tone ->", "\"n0 -> tone\", \"tone ->");
    assert!(judge(&circle, &[]).is_err());
}

#[test]
fn problems_without_number_are_counted_and_not_kept() {
    let keys: String = (0..5000).map(|n| format!("k{n} = 1\n")).collect();
    let problems = judge(&format!("{keys}{TONE}"), &[]).expect_err("the keys are unknown");
    assert_eq!(
        (problems.len(), problems.as_slice().len()),
        (5000, MAX_PROBLEMS)
    );
    assert!(
        problems
            .to_string()
            .ends_with("5000 problems, of which the first 256 are shown")
    );
}

#[test]
fn code_makes_the_same_graph_as_a_file() {
    let mut builder = GraphBuilder::new("tone");
    builder.node("tone", "test-audio");
    builder.node("louder", "gain").param("db", 1).param("db", 6);
    builder.node("meter", "level");
    builder
        .link("tone -> louder")
        .link_with("louder -> meter", Some(Policy::Latest), Some(2));
    let graph = builder
        .build(&catalog())
        .unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(links(&graph), links(&good(TONE, &[])));
    assert_eq!(param(&graph, "louder", "db"), ParamValue::Float(6.0));
    assert_eq!(
        (graph.links[1].policy, graph.links[1].capacity),
        (Policy::Latest, 2)
    );
    assert_eq!(graph.nodes[0].place.to_string(), "pipeline");
}

#[test]
fn code_makes_feedback_links_too() {
    let graph = |back: fn(&mut GraphBuilder)| {
        let mut builder = GraphBuilder::new("echo");
        builder.node("tone", "test-audio");
        builder.node("mix", "mix");
        builder.node("late", "probe");
        builder.link("tone -> mix.left").link("mix -> late");
        back(&mut builder);
        builder.build(&catalog())
    };
    let good = graph(|builder| {
        builder.feedback("late -> mix.right", None, Some(4));
    });
    let good = good.unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        (
            good.links[2].feedback,
            good.links[2].policy,
            good.links[2].capacity
        ),
        (true, Policy::DropOldest, 4)
    );
    let bad = graph(|builder| {
        builder.link("late -> mix.right");
    });
    assert_eq!(
        bad.expect_err("the link is not marked").to_string(),
        "pipeline: the links form a cycle: mix -> late -> mix; remove one of them, or, if frames are \
         to come round again, add the link that leads back, \"late.out -> mix.right\", by \
         GraphBuilder::feedback\n\n1 problem"
    );
}

#[test]
fn mistakes_of_code_are_all_told_too() {
    let mut builder = GraphBuilder::new("My Graph");
    builder
        .node("tone", "test-audio")
        .param("frequency", "high");
    builder.node("tone", "gain");
    builder.node("meter", "levle");
    builder
        .link("tone - meter")
        .link_with("tone -> meter", None, Some(0));
    let problems = builder.build(&catalog()).expect_err("there are mistakes");
    assert_eq!(
        problems.to_string(),
        "pipeline: \"My Graph\" is not a graph name; use lower-case letters, digits, \"_\" and \
         \"-\", as in \"my-graph\"\n\n\
         pipeline: there are two nodes named \"tone\"; rename one of them\n\n\
         pipeline: \"tone - meter\" has no arrow, so it links nothing; write \"->\" for \"-\"\n\n\
         pipeline: a link cannot hold 0 frames; choose a capacity from 1 to 4096\n\n\
         pipeline: there is no node type \"levle\"; write \"level\"\n\n\
         pipeline: param \"frequency\" of \"tone\" (test-audio) takes a number from 20 to 20000 Hz, not \
         \"high\"; write frequency = 440.0\n\n\
         6 problems"
    );
}

/// The examples of the reference are graphs, and the one that it prints a problem for has it.
#[test]
fn the_examples_of_the_reference_hold() {
    let page = include_str!("../../../docs/graph-file.md");
    let blocks: Vec<&str> = page
        .split("```")
        .skip(1)
        .step_by(2)
        .filter_map(|block| block.strip_prefix("toml\n"))
        .collect();
    assert!(
        blocks.len() >= 4,
        "only {} examples were found",
        blocks.len()
    );
    let mut faulty = 0;
    for text in blocks {
        if let Err(problems) = judge(text, &[]) {
            faulty += 1;
            let told = problems.to_string().replace("g.toml", "voice.toml");
            assert!(page.contains(&told), "{text}\n{told}");
        }
    }
    assert_eq!(faulty, 1);
}
