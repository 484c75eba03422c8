//! Opens a plugin library by one of its two doors.

use std::path::Path;

use abi_stable::{
    StableAbi,
    abi_stability::abi_checking::check_layout_compatibility,
    library::{AbiHeaderRef, ROOT_MODULE_LOADER_NAME},
};
use levada_abi::{C_ENTRY, CEntry, PluginModuleRef};
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

use super::{
    error::LoadError,
    validate::{self, Valid},
};

/// Opens the library `copy` and checks its description; `path` is named in errors. The library
/// stays open for ever, whatever the outcome: closing one that has run code crashes too easily.
///
/// # Safety
/// Runs the library's code. It must have passed inspection, and its functions keep the contract.
pub(super) unsafe fn open(
    path: &Path,
    copy: &Path,
    has_root_module: bool,
) -> Result<Valid, LoadError> {
    let failed = |error: libloading::Error| LoadError::Open {
        path: path.to_owned(),
        // The loader's own words are the cause behind "dlopen failed".
        reason: match std::error::Error::source(&error) {
            Some(cause) => one_line(&cause.to_string(), copy, path),
            None => error.to_string(),
        },
    };
    // All symbols now: with lazy binding a missing one ends the process at the first call.
    // SAFETY: the caller vouches for the library's constructors.
    let library = unsafe { Library::open(Some(copy), RTLD_NOW | RTLD_LOCAL) }.map_err(failed)?;
    let library: &'static Library = Box::leak(Box::new(library));
    let desc = if has_root_module {
        // SAFETY: a symbol of this name is an abi_stable header, and `upgrade` checks that.
        let header = unsafe { library.get::<AbiHeaderRef>(ROOT_MODULE_LOADER_NAME) };
        root_module(path, *header.map_err(failed)?)?.plugin()()
    } else {
        // SAFETY: a symbol of this name is a function of this type (contract).
        let entry = unsafe { library.get::<CEntry>(C_ENTRY) }.map_err(failed)?;
        // SAFETY: the caller vouches for the function.
        unsafe { entry() }
    };
    // SAFETY: the entry's answer is a static description (contract).
    unsafe { validate::plugin(path, desc) }
}

/// Checks the layout of every type in the contract, and answers the root module.
fn root_module(path: &Path, header: AbiHeaderRef) -> Result<PluginModuleRef, LoadError> {
    let differs = |reason: String| LoadError::Layout {
        path: path.to_owned(),
        reason,
    };
    let header = header
        .upgrade()
        .map_err(|e| differs(first_sentence(&e.to_string())))?;
    let ours = <PluginModuleRef as StableAbi>::LAYOUT;
    let theirs = header
        .layout()
        .ok_or_else(|| differs("it comes without the layout of its types".into()))?;
    // abi_stable accepts growth in one direction only: an older plugin fits a newer host when the
    // check passes with the roles exchanged.
    if let Err(error) = check_layout_compatibility(ours, theirs)
        && check_layout_compatibility(theirs, ours).is_err()
    {
        return Err(differs(innermost_difference(&error.to_string())));
    }
    // SAFETY: the layouts have just been compared.
    unsafe { header.init_root_module_with_unchecked_layout::<PluginModuleRef>() }
        .map_err(|e| differs(first_sentence(&e.to_string())))
}

/// Condenses abi_stable's report, which prints every type in full (57 KB for ours), to the innermost
/// difference, which comes last, and the field that it is about.
fn innermost_difference(report: &str) -> String {
    let Some((before, difference)) = report.rsplit_once("Error:") else {
        return first_sentence(report);
    };
    let difference = first_sentence(difference);
    match before.rsplit_once("field_name:") {
        Some((_, field)) => {
            let field = field.lines().next().unwrap_or_default();
            format!("field {}: {difference}", field.trim())
        }
        None => difference,
    }
}

/// The words of a text up to its first empty line, at most 200 characters of them.
fn first_sentence(text: &str) -> String {
    let paragraph = text
        .split("\n\n")
        .find(|p| !p.trim().is_empty())
        .unwrap_or_default();
    let words: Vec<&str> = paragraph.split_whitespace().collect();
    words.join(" ").chars().take(200).collect()
}

/// A loader's message in one line, with the file's own name in place of the copy's.
fn one_line(message: &str, copy: &Path, path: &Path) -> String {
    let message = message.replace(&*copy.to_string_lossy(), &path.to_string_lossy());
    first_sentence(&message.replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    mod theirs {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub struct Thing {
            pub first: u32,
            pub second: u64,
        }
    }

    mod ours {
        #[repr(C)]
        #[derive(abi_stable::StableAbi)]
        pub struct Thing {
            pub first: u32,
            pub second: i32,
        }
    }

    #[test]
    fn a_layout_that_differs_is_told_in_a_few_words() {
        let report = check_layout_compatibility(
            <ours::Thing as StableAbi>::LAYOUT,
            <theirs::Thing as StableAbi>::LAYOUT,
        )
        .expect_err("the types differ")
        .to_string();
        let short = innermost_difference(&report);
        assert_eq!(
            short,
            "field second: mismatched type Expected: i32 Found: u64"
        );
    }
}
