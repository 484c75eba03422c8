//! Plugins' log records, handed to this process's `tracing` subscriber.
//!
//! `tracing` wants static metadata for each call site. A plugin's call site gets its own here the
//! first time it asks, with its target, file and line, so that filters and formatters see it as they
//! see the host's. The metadata is leaked, like the library it describes, up to a bound; sites beyond
//! it share one entry for each level.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use levada_abi::{LogSite, level};
use tracing_core::{
    Callsite, Event, Interest, Kind, Level, Metadata, callsite::Identifier, dispatcher,
    field::FieldSet, identify_callsite,
};

/// Call sites that get metadata of their own.
const MAX_SITES: usize = 4096;

struct Site {
    metadata: OnceLock<Metadata<'static>>,
}

impl Callsite for Site {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        // `make` sets it before anybody else sees the site.
        self.metadata
            .get()
            .expect("a site is published with its metadata")
    }
}

type Key = (u32, u32, String, String);

fn sites() -> &'static Mutex<HashMap<Key, &'static Site>> {
    static SITES: OnceLock<Mutex<HashMap<Key, &'static Site>>> = OnceLock::new();
    SITES.get_or_init(Mutex::default)
}

fn level_of(level: u32) -> Level {
    match level {
        level::ERROR => Level::ERROR,
        level::WARN => Level::WARN,
        level::INFO => Level::INFO,
        level::DEBUG => Level::DEBUG,
        _ => Level::TRACE,
    }
}

fn make(level: u32, target: String, file: String, line: u32) -> &'static Site {
    let site: &'static Site = Box::leak(Box::new(Site {
        metadata: OnceLock::new(),
    }));
    let (target, file): (&'static str, &'static str) = (target.leak(), file.leak());
    let id: Identifier = identify_callsite!(site);
    let place = (!file.is_empty()).then_some(file);
    let metadata = Metadata::new(
        "plugin event",
        target,
        level_of(level),
        place,
        place.map(|_| line),
        Some(target),
        FieldSet::new(&["message"], id),
        Kind::EVENT,
    );
    site.metadata.get_or_init(|| metadata);
    site
}

/// Longest target or file name of a site, in bytes.
const MAX_NAME: usize = 256;

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_NAME);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// # Safety
/// The texts of `site` must be valid.
unsafe fn find(site: &LogSite) -> &'static Site {
    // SAFETY: the caller vouches for the texts.
    let (target, file) = unsafe { (site.target.as_str(), site.file.as_str()) };
    let mut sites = sites().lock().unwrap_or_else(PoisonError::into_inner);
    // Levels beyond the known ones count as the nearest, and texts are cut, so that the keys are few.
    let level = site.level.clamp(level::ERROR, level::TRACE);
    let (target, file) = (cut(target), cut(file));
    let mut key = (level, site.line, target.to_owned(), file.to_owned());
    if sites.len() >= MAX_SITES && !sites.contains_key(&key) {
        key = (level, 0, "plugin".to_owned(), String::new());
    }
    sites
        .entry(key)
        .or_insert_with_key(|(level, line, target, file)| {
            make(*level, target.clone(), file.clone(), *line)
        })
}

/// Whether this process's subscriber wants records of a site. The texts of `site` are valid, as the
/// contract of `HostVTable` says.
pub(crate) fn is_enabled(site: &LogSite) -> bool {
    // SAFETY: the callers, the functions of the host vtable, are promised valid texts.
    let site = unsafe { find(site) };
    dispatcher::get_default(|dispatch| dispatch.enabled(site.metadata()))
}

/// Hands a record to this process's subscriber. As [`is_enabled`].
pub(crate) fn record(site: &LogSite, message: &str) {
    // SAFETY: as in `is_enabled`.
    let site = unsafe { find(site) };
    dispatcher::get_default(|dispatch| {
        let metadata = site
            .metadata
            .get()
            .expect("a site is published with its metadata");
        if dispatch.enabled(metadata) {
            let fields = metadata.fields();
            let field = fields.field("message").expect("the only field of a site");
            let message: &dyn tracing_core::field::Value = &format_args!("{message}");
            dispatch.event(&Event::new(
                metadata,
                &fields.value_set(&[(&field, Some(message))]),
            ));
        }
    });
}
