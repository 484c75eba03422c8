//! Reads a Mach-O shared library of 64 bits (macOS).

use std::path::Path;

use abi_stable::library::ROOT_MODULE_LOADER_NAME;
use levada_abi::{C_ENTRY, NOTE_SECTION};
use object::{Architecture, File, Object, ObjectKind, ObjectSection, ObjectSegment};

use super::{
    error::LoadError,
    inspect::{Shape, damaged, in_file},
};

/// Reads the structure of `bytes`, which begin with Mach-O's magic number.
pub(super) fn read<'a>(path: &Path, bytes: &'a [u8]) -> Result<Shape<'a>, LoadError> {
    let other = |found: String| LoadError::OtherMachine {
        path: path.to_owned(),
        found,
        host: std::env::consts::ARCH,
    };
    if !cfg!(target_os = "macos") {
        return Err(other("macOS".into()));
    }
    let broken = |error| damaged(path, format!("its structure is not valid ({error})"));
    let file = File::parse(bytes).map_err(broken)?;
    let host = if cfg!(target_arch = "aarch64") {
        Architecture::Aarch64
    } else {
        Architecture::X86_64
    };
    if file.architecture() != host {
        return Err(other(format!("{:?}", file.architecture())));
    }
    if file.kind() != ObjectKind::Dynamic {
        return Err(LoadError::NotALibrary {
            path: path.to_owned(),
            found: "a Mach-O file of another kind",
            remedy: "set crate-type = [\"cdylib\"]",
        });
    }
    for segment in file.segments() {
        in_file(path, "segments", segment.file_range(), bytes.len())?;
    }
    let mut shape = Shape::default();
    for section in file.sections() {
        if let Some(range) = section.file_range() {
            in_file(path, "sections", range, bytes.len())?;
        }
        if section.name() == Ok(NOTE_SECTION) {
            shape.note = section.data().ok();
        }
    }
    for export in file.exports().map_err(broken)? {
        let export = export.map_err(broken)?;
        // C names get an underscore in front.
        let Some(name) = export.name().into_name().and_then(|n| n.strip_prefix(b"_")) else {
            continue;
        };
        shape.has_c_entry |= name == C_ENTRY.as_bytes();
        shape.has_root_module |= name == ROOT_MODULE_LOADER_NAME.as_bytes();
    }
    Ok(shape)
}
