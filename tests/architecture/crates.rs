//! The crates of the workspace and which of them depend on which, read from their manifests.

use std::{collections::BTreeMap, fs, path::PathBuf};

use super::source::root;

pub type Table = toml::Table;

/// One crate of the workspace.
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Relative to the repository; empty for the host.
    pub folder: String,
    /// Names of the workspace's crates that it depends on, whether to run, to build or to test.
    pub local: Vec<String>,
}

/// Reads the `Cargo.toml` of a folder.
pub fn manifest(folder: &str) -> Table {
    let path = root().join(folder).join("Cargo.toml");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    text.parse()
        .unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A table within a table.
pub fn table<'a>(of: &'a Table, key: &str) -> Option<&'a Table> {
    of.get(key)?.as_table()
}

/// All dependencies of a manifest: name, and what is said of it.
fn dependencies(manifest: &Table) -> Vec<(&String, &toml::Value)> {
    let targets = table(manifest, "target")
        .into_iter()
        .flat_map(Table::values);
    let places = targets.filter_map(toml::Value::as_table).chain([manifest]);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    places
        .flat_map(|place| kinds.iter().filter_map(|kind| table(place, kind)))
        .flatten()
        .collect()
}

/// All crates of the workspace.
pub fn crates() -> Vec<Crate> {
    let workspace = manifest("");
    let shared = table(&workspace, "workspace")
        .and_then(|w| table(w, "dependencies"))
        .expect("the workspace has dependencies");
    let mut folders: Vec<String> = vec![String::new()];
    for folder in ["abi", "abi/sdk", "engine/core", "signaling"] {
        folders.push(folder.into());
    }
    for entry in fs::read_dir(root().join("plugins")).expect("there are plugins") {
        let path: PathBuf = entry.expect("the folder can be read").path();
        if path.join("Cargo.toml").is_file() {
            let name = path.file_name().expect("it has a name").to_string_lossy();
            folders.push(format!("plugins/{name}"));
        }
    }
    let manifests: Vec<Table> = folders.iter().map(|folder| manifest(folder)).collect();
    let name = |manifest: &Table| -> String {
        let package = table(manifest, "package").expect("it is a package");
        package["name"].as_str().expect("a name is text").to_owned()
    };
    // A dependency is known by its folder, whatever the manifest calls it.
    let by_folder: BTreeMap<&str, String> = folders
        .iter()
        .zip(&manifests)
        .map(|(folder, manifest)| (folder.as_str(), name(manifest)))
        .collect();
    let local = |folder: &str, key: &String, value: &toml::Value| -> Option<String> {
        let own = value.as_table();
        let from_workspace = own.is_some_and(|t| t.contains_key("workspace"));
        let (said, base) = match from_workspace {
            true => (shared.get(key)?.as_table(), ""),
            false => (own, folder),
        };
        let path = said?.get("path")?.as_str()?;
        let full = root().join(base).join(path).canonicalize().ok()?;
        let relative = full
            .strip_prefix(root().canonicalize().ok()?)
            .ok()?
            .to_owned();
        let known = by_folder.get(relative.to_str()?);
        Some(
            known
                .unwrap_or_else(|| panic!("{folder}: {key} is at {path}, where no crate is"))
                .clone(),
        )
    };
    folders
        .iter()
        .zip(&manifests)
        .map(|(folder, manifest)| Crate {
            name: name(manifest),
            folder: folder.clone(),
            local: dependencies(manifest)
                .into_iter()
                .filter_map(|(key, value)| local(folder, key, value))
                .collect(),
        })
        .collect()
}
