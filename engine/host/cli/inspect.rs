//! `levada inspect`: node types, their ports and params.

use std::path::Path;

use clap::Args;
use levada::{
    engine::{
        graph::{TypeInfo, nearest},
        plugin::{self, Registry},
        services,
    },
    graph_file::{self, KnownPlugin, PLUGINS, VP8_ENCODER},
    report,
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
            print(&(report::types(all.into_iter()) + &more()))
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
            let names = registry.iter().map(|t| t.info().name.as_str());
            return Err(Failure::new(unknown(what, names)));
        }
    };
    if args.json {
        return print_json(&found);
    }
    let texts: Vec<String> = found.iter().map(report::node_type).collect();
    print(&texts.join("\n"))
}

/// The plugins that have node types beside those that are linked in.
fn more() -> String {
    let plugins = PLUGINS.map(|plugin| format!("{} ({})", plugin.name, plugin.types.join(", ")));
    format!(
        "Plugins have more: {}.\nName the library of one to see what they take, such as {}.\n",
        plugins.join(", "),
        library("gain")
    )
}

/// Where the library of a plugin of this repository lies, once it is built for a release.
fn library(plugin: &str) -> String {
    format!(
        "target/release/{}levada_{plugin}{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    )
}

/// What to do about a name that is that of no node type that is linked in, and of no file.
fn unknown<'a>(what: &str, linked_in: impl Iterator<Item = &'a str>) -> String {
    if what == "vp8-encoder" {
        return format!("\"{what}\" is not in this levada; {VP8_ENCODER}");
    }
    let offers = |plugin: &&KnownPlugin| plugin.types.contains(&what);
    if let Some(KnownPlugin { name, .. }) = PLUGINS.iter().find(offers) {
        return format!(
            "\"{what}\" is a node type of the plugin {name}: write levada inspect {}, which cargo build --release \
             -p levada-{name} makes, and into a graph [plugins] {name} = {{ path = \"../plugins/{name}\" }}",
            library(name)
        );
    }
    let of_plugins = PLUGINS.iter().flat_map(|plugin| plugin.types).copied();
    let remedy = match nearest(what, linked_in.chain(of_plugins)) {
        Some(near) => format!("write levada inspect {near}"),
        None => format!(
            "levada inspect lists them all; for those of a plugin name its library, such as {}",
            library("gain")
        ),
    };
    format!("\"{what}\" is no node type that is linked in, and no file; {remedy}")
}

fn is_file(what: &str) -> bool {
    what.contains(std::path::MAIN_SEPARATOR)
        || Path::new(what).exists()
        || Path::new(what)
            .extension()
            .is_some_and(|e| e == std::env::consts::DLL_EXTENSION)
}
