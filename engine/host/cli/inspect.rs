//! `levada inspect`: node types, their ports and params.

use std::path::Path;

use clap::Args;
use levada::{
    engine::{
        graph::TypeInfo,
        plugin::{self, Registry},
        services,
    },
    graph_file, report,
};

use super::{Failure, Outcome, print, print_json};

/// Lists node types, or describes one or those of a plugin file.
#[derive(Args)]
pub struct Inspect {
    /// A node type, or the file of a plugin's library; without it all node types are listed.
    what: Option<String>,
    /// Prints JSON on stdout.
    #[arg(long)]
    json: bool,
}

pub fn inspect(args: &Inspect) -> Outcome {
    let mut registry = graph_file::builtin_types();
    let Some(what) = &args.what else {
        let all: Vec<&TypeInfo> = registry.iter().map(|t| t.info()).collect();
        return if args.json {
            print_json(&all)
        } else {
            print(&report::types(all.into_iter()))
        };
    };
    let found: Vec<TypeInfo> = match registry.node_type(what) {
        Some(node_type) => vec![node_type.info().clone()],
        None if is_file(what) => {
            let loaded = plugin::load(Path::new(what), services::host()).map_err(Failure::new)?;
            registry = Registry::default();
            registry.add(&loaded.plugin);
            registry.iter().map(|t| t.info().clone()).collect()
        }
        None => {
            let names: Vec<&str> = registry.iter().map(|t| t.info().name.as_str()).collect();
            return Err(Failure::new(format!(
                "\"{what}\" is no node type that is linked in, and no file; the node types are {}; \
                 for those of a plugin name its library, such as target/release/liblevada_gain.so",
                names.join(", ")
            )));
        }
    };
    if args.json {
        return print_json(&found);
    }
    let texts: Vec<String> = found.iter().map(report::node_type).collect();
    print(&texts.join("\n"))
}

fn is_file(what: &str) -> bool {
    what.contains(std::path::MAIN_SEPARATOR)
        || Path::new(what).exists()
        || Path::new(what)
            .extension()
            .is_some_and(|e| e == std::env::consts::DLL_EXTENSION)
}
