//! A plugin's `tracing` events, forwarded to the host.
//!
//! A cdylib has a `tracing` dispatcher of its own. [`install`] sets it to a subscriber that asks the
//! host once for each call site whether it wants records from there, and hands over the finished
//! text. A call site that the host does not want costs one load afterwards. Spans carry nothing.

use std::fmt::Write;

use levada_abi::{HostVTable, LogSite, Status, Text, level};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
    subscriber::Interest,
};

/// Records are cut at this many bytes.
const MAX_RECORD: usize = 8192;

struct ToHost(&'static HostVTable);

/// Sets this library's dispatcher. Called by the code that [`export_plugin!`](crate::export_plugin)
/// generates.
///
/// # Safety
/// `host` must be a host's vtable, and live for ever.
#[doc(hidden)]
pub unsafe extern "C" fn install(host: *const HostVTable) -> Status {
    // SAFETY: the caller vouches for it.
    let host = unsafe { &*host };
    // A second call finds the first one's subscriber in place, which serves as well.
    let _ = tracing::subscriber::set_global_default(ToHost(host));
    Status::OK
}

fn site(metadata: &Metadata<'_>) -> LogSite {
    LogSite {
        level: match *metadata.level() {
            Level::ERROR => level::ERROR,
            Level::WARN => level::WARN,
            Level::INFO => level::INFO,
            Level::DEBUG => level::DEBUG,
            Level::TRACE => level::TRACE,
        },
        line: metadata.line().unwrap_or(0),
        target: Text::new(metadata.target()),
        file: metadata.file().map_or(Text::EMPTY, Text::new),
    }
}

impl ToHost {
    fn wants(&self, metadata: &Metadata<'_>) -> bool {
        let site = site(metadata);
        // SAFETY: `site` is valid for the call.
        metadata.is_event() && unsafe { (self.0.log_enabled)(self.0.host, &raw const site) } != 0
    }
}

impl Subscriber for ToHost {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.wants(metadata) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.wants(metadata)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Line(String::new());
        event.record(&mut text);
        let mut end = text.0.len().min(MAX_RECORD);
        while !text.0.is_char_boundary(end) {
            end -= 1;
        }
        let site = site(event.metadata());
        // SAFETY: `site` and the text are valid for the call.
        unsafe { (self.0.log)(self.0.host, &raw const site, Text::new(&text.0[..end])) };
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

/// Writes the message first, then `name=value` for each field.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String does not fail; a failing Debug leaves what it wrote.
        if field.name() == "message" {
            let rest = std::mem::take(&mut self.0);
            let _ = write!(self.0, "{value:?}{rest}");
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.insert_str(0, value);
        } else {
            let _ = write!(self.0, " {}={value:?}", field.name());
        }
    }
}
