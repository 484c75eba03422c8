//! From a graph file to a [`Plan`]: reads it, builds and loads the plugins it names, validates it.

use std::{path::Path, sync::Arc};

use levada_engine::{
    graph::{
        self, Catalog, Document, ParamKind, ParamValue, Place, Plan, PluginSource, Problem,
        Problems, RawValue, SetParam,
    },
    plugin::Registry,
    services,
};

use crate::{plugin_build, template::Template};

/// A graph file that is fit to run.
pub struct GraphFile {
    /// How it will run.
    pub plan: Arc<Plan>,
    /// The same, and how it would run for peers that cannot do what the plan settles.
    pub template: Template,
    /// What a person may want to know, one line each: built-in node types that a plugin replaces.
    pub notices: Vec<String>,
}

/// The node types that are linked into the host.
#[must_use]
pub fn builtin_types() -> Registry {
    let mut registry = Registry::default();
    let plugins = [
        levada_basic::plugin(),
        levada_files::plugin(),
        levada_opus::plugin(),
        levada_video::plugin(),
        levada_vp8::plugin(),
        levada_webrtc::plugin(),
    ];
    for plugin in plugins {
        registry.add(&plugin);
    }
    hint_at_codecs(&mut registry, |plugin| {
        format!("name its plugin: [plugins] {plugin} = {{ path = \"../plugins/{plugin}\" }}")
    });
    registry
}

/// Lets problems say how to get the codecs that are not linked into the host, by the name of their plugin.
pub(crate) fn hint_at_codecs(registry: &mut Registry, hint: impl Fn(&str) -> String) {
    for plugin in &PLUGINS {
        for encoding in plugin.encodings {
            registry.add_hint(encoding, &hint(plugin.name));
        }
    }
    if !cfg!(feature = "vp8-encoder") {
        registry.add_hint("video/vp8", VP8_ENCODER);
    }
}

/// How to get the encoder that a host has only by a feature.
pub const VP8_ENCODER: &str =
    "build levada with --features vp8-encoder, where libvpx and its headers are installed";

/// A plugin of this repository that is not linked into the host.
pub struct KnownPlugin {
    /// Its name, and that of its folder in `plugins/`.
    pub name: &'static str,
    /// The node types that it offers.
    pub types: &'static [&'static str],
    /// What it decodes or encodes.
    encodings: &'static [&'static str],
}

/// The plugins of this repository that a graph has to name.
pub const PLUGINS: [KnownPlugin; 5] = [
    KnownPlugin {
        name: "aac",
        types: &["aac-decoder", "mp3-decoder"],
        encodings: &["audio/aac", "audio/mp3"],
    },
    KnownPlugin {
        name: "av1",
        types: &["av1-decoder"],
        encodings: &["video/av1"],
    },
    KnownPlugin {
        name: "gain",
        types: &["gain"],
        encodings: &[],
    },
    KnownPlugin {
        name: "h264",
        types: &["h264-decoder", "h264-encoder"],
        encodings: &["video/h264"],
    },
    KnownPlugin {
        name: "probe",
        types: &["probe"],
        encodings: &[],
    },
];

/// Reads, builds, loads, validates and plans. Paths in params are relative to the file's folder, those in
/// `overrides` to where the program runs. Plugin crates are built when their sources are newer
/// than their library, which may take a while and says so on stderr.
///
/// # Errors
/// Every problem at once, each with its place, cause and remedy.
pub fn load(path: &Path, overrides: &[SetParam]) -> Result<GraphFile, Problems> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let cause = format!("the graph file cannot be read: {error}");
        Problem::new(
            Place::Argument(name.clone()),
            cause,
            "name a graph file, such as examples/tone.toml",
        )
    })?;
    let mut document = graph::parse_bytes(&name, &bytes);
    let mut registry = builtin_types();
    let base = path.parent().unwrap_or(Path::new(""));
    let notices = load_plugins(&mut document, base, &mut registry);
    resolve_paths(&mut document, base, &registry);
    let overrides = overrides.to_vec();
    let template = Template::new(registry, move |catalog| {
        graph::validate(&document, catalog, &overrides)
    })?;
    Ok(GraphFile {
        plan: template.plan().clone(),
        template,
        notices,
    })
}

/// Makes relative paths that the file gives as params relative to where the program runs.
fn resolve_paths(document: &mut Document, base: &Path, registry: &Registry) {
    let mut problems = Vec::new();
    for node in &mut document.nodes {
        let info = node.type_name.as_ref().and_then(|t| registry.get(&t.value));
        let Some(info) = info else {
            continue;
        };
        for entry in &mut node.params {
            let is_it = |p: &&graph::ParamInfo| p.name == entry.name.value;
            let is_path = info.params.iter().find(is_it);
            let is_path = is_path.is_some_and(|param| param.kind == ParamKind::Path);
            let RawValue::Value(ParamValue::Text(path)) = &mut entry.value.value else {
                continue;
            };
            // No path at all stays none.
            if !is_path || path.is_empty() || Path::new(path.as_str()).is_absolute() {
                continue;
            }
            match base.join(path.as_str()).into_os_string().into_string() {
                Ok(resolved) => *path = resolved,
                Err(_) => problems.push(Problem::new(
                    entry.value.place.clone(),
                    "the path is relative to the graph file, whose folder has a name that is not UTF-8",
                    "rename that folder, or write the whole path",
                )),
            }
        }
    }
    for problem in problems {
        document.report(problem);
    }
}

fn load_plugins(document: &mut Document, base: &Path, registry: &mut Registry) -> Vec<String> {
    let mut notices = Vec::new();
    for index in 0..document.plugins.len() {
        let entry = document.plugins[index].clone();
        let library = match &entry.source {
            PluginSource::Library { path } => Ok(base.join(path)),
            PluginSource::Crate { path } => plugin_build::build(&entry.name, &base.join(path)),
        };
        let library = match library {
            Ok(library) => library,
            Err(error) => {
                document.plugin_failed(index, error.to_string(), error.remedy());
                continue;
            }
        };
        match levada_engine::plugin::load(&library, services::host()) {
            Ok(loaded) => {
                for (node_type, was_of) in registry.add(&loaded.plugin) {
                    notices.push(format!(
                        "node type \"{node_type}\" is the one of plugin {}, not that of {was_of}",
                        loaded.plugin.name()
                    ));
                }
            }
            Err(error) => {
                // One sentence: the file and the cause, then the remedy.
                let text = error.to_string();
                let (cause, remedy) = text
                    .rsplit_once("; ")
                    .unwrap_or((&text, "build the plugin again"));
                document.plugin_failed(index, cause, remedy);
            }
        }
    }
    notices
}
