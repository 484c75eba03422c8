//! `levada graph`: the negotiated graph as a picture, or as text for programs that draw.
//!
//! [`drawing`] takes from the plan what is to be seen; [`dot`] and [`mermaid`] write that as text and leave the
//! places to others; [`picture`] gives everything its place itself, and [`svg`] writes that.

mod dot;
mod drawing;
mod layers;
mod mermaid;
mod picture;
mod settle;
mod svg;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum, error::ErrorKind};
use levada::engine::graph::SetParam;

use self::drawing::Drawing;
use super::{Failure, Outcome, load, print, say, set_param};

/// Draws a graph as it will run.
///
/// Nodes and their types, in the segments that run them; the nodes that the engine inserted, dashed, and why;
/// links with what they carry, and those that are channels with policy and capacity.
///
/// An SVG picture needs no other program: any browser shows it. Pages in Markdown show Mermaid, and Graphviz
/// makes pictures of dot.
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub struct Graph {
    /// The graph file.
    graph: PathBuf,
    /// What to write. Without it the ending of the output's name says it: .dot or .gv, .mmd or .mermaid, .svg;
    /// and without an output it is mermaid.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Where to write it; stdout without it.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sets a param, as `node.param=value`; may be repeated.
    #[arg(long, value_parser = set_param, value_name = "NODE.PARAM=VALUE")]
    set: Vec<SetParam>,
}

const EXAMPLES: &str = "\
Examples:
  levada graph examples/mirror.toml -o mirror.svg
  levada graph examples/mirror.toml --format dot | dot -Tpng -o mirror.png";

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Format {
    /// For Graphviz
    Dot,
    /// For pages in Markdown
    Mermaid,
    /// A picture
    Svg,
}

impl Format {
    /// The format that a file's name says by its ending.
    fn of(path: &Path) -> Option<Format> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "dot" | "gv" => Some(Format::Dot),
            "mmd" | "mermaid" => Some(Format::Mermaid),
            "svg" => Some(Format::Svg),
            _ => None,
        }
    }
}

impl Graph {
    /// What to write; ends the program where nothing says it.
    fn format(&self) -> Format {
        match (self.format, &self.output) {
            (Some(format), _) => format,
            (None, None) => Format::Mermaid,
            (None, Some(path)) => Format::of(path).unwrap_or_else(|| {
                let wrong = format!(
                    "the ending of \"{}\" names no format: write a name that ends in .dot, .gv, .mmd, .mermaid or \
                     .svg, or state --format",
                    path.display()
                );
                Graph::augment_args(clap::Command::new("levada graph"))
                    .error(ErrorKind::InvalidValue, wrong)
                    .exit()
            }),
        }
    }
}

pub fn graph(args: &Graph) -> Outcome {
    let format = args.format();
    let plan = load(&args.graph, &args.set, false)?.plan;
    let drawing = Drawing::new(&plan);
    let text = match format {
        Format::Dot => dot::write(&drawing),
        Format::Mermaid => mermaid::write(&drawing),
        Format::Svg => svg::write(&drawing),
    };
    match &args.output {
        None => print(&text),
        Some(path) => write_file(path, &args.graph, &text),
    }
}

fn write_file(path: &Path, graph: &Path, text: &str) -> Outcome {
    // The same file by another name would be lost: what can be resolved is compared as such.
    if let (Ok(to), Ok(from)) = (path.canonicalize(), graph.canonicalize())
        && to == from
    {
        return Err(Failure::new(format!(
            "levada: {} is the graph file itself: name another file for the picture",
            path.display()
        )));
    }
    std::fs::write(path, text).map_err(|error| {
        Failure::new(format!(
            "levada: {} cannot be written: {error}; name a file in a folder that is there and may be written to",
            path.display()
        ))
    })?;
    say(&format!("levada: wrote {}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_of_a_name_says_the_format_in_either_case() {
        let of = |name: &str| Format::of(Path::new(name));
        assert_eq!(of("a/b.dot"), Some(Format::Dot));
        assert_eq!(of("b.GV"), Some(Format::Dot));
        assert_eq!(of("b.mmd"), Some(Format::Mermaid));
        assert_eq!(of("b.mermaid"), Some(Format::Mermaid));
        assert_eq!(of("b.Svg"), Some(Format::Svg));
        for name in ["b.png", "svg", ".svg", "b.", ""] {
            assert_eq!(of(name), None, "{name}");
        }
    }

    /// A name that tries what ends a text or means something in each of the formats.
    const HOSTILE: &str = "a\"];}|{<b>&amp;\\\n%%`#quot;*";

    fn hostile() -> Drawing {
        let node = |inputs: &[&str], outputs: &[&str]| drawing::Node {
            name: HOSTILE.into(),
            type_name: HOSTILE.into(),
            why: Some(HOSTILE.into()),
            inputs: inputs.iter().map(ToString::to_string).collect(),
            outputs: outputs.iter().map(ToString::to_string).collect(),
        };
        let end = |node| drawing::End { node, port: 0 };
        Drawing {
            name: HOSTILE.into(),
            summary: HOSTILE.into(),
            nodes: vec![node(&[], &[HOSTILE]), node(&[HOSTILE], &[])],
            segments: vec![drawing::Segment {
                caption: HOSTILE.into(),
                runs_on: HOSTILE,
                nodes: vec![0, 1],
            }],
            links: vec![drawing::Link {
                from: end(0),
                to: end(1),
                formats: HOSTILE.into(),
                media: None,
                channel: Some(HOSTILE.into()),
                feedback: false,
            }],
        }
    }

    /// The lines of a text without what stands in its quotation marks.
    fn outside_of_quotes(text: &str) -> String {
        let (mut inside, mut escaped) = (false, false);
        text.chars()
            .filter(|c| {
                let quote = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                inside ^= quote;
                !inside && !quote
            })
            .collect()
    }

    #[test]
    fn a_hostile_name_stays_a_name_in_every_format() {
        let drawing = hostile();
        let dot = outside_of_quotes(&dot::write(&drawing));
        assert!(
            dot.contains("  n0:o0:e -> n1:i0:w [label=, penwidth=2];\n}\n"),
            "{dot}"
        );
        assert!(!dot.contains("quot") && !dot.contains("<b"), "{dot}");

        let mermaid = mermaid::write(&drawing);
        let body = mermaid
            .split_once("flowchart LR\n")
            .expect("it has a body")
            .1;
        let lines: Vec<&str> = body.lines().collect();
        assert_eq!(lines.len(), 7, "{mermaid}");
        for wrong in ["];", "<b>&", "%%", "`", "*", "#quot;"] {
            assert!(!body.contains(wrong), "{wrong} in {body}");
        }

        let svg = svg::write(&drawing);
        let tags = svg.split('<').skip(1).map(|tag| {
            let name = tag.trim_start_matches('/');
            name.split([' ', '>', '/']).next().unwrap_or("")
        });
        for tag in tags {
            let known = ["svg", "title", "style", "rect", "text", "g", "path"];
            assert!(known.contains(&tag), "a tag {tag} in {svg}");
        }
        assert!(svg.contains("&lt;b&gt;&amp;amp;"), "{svg}");
    }
}
