//! The extension [`OFFERS`]: what a node's ports will carry, where that follows from its params.
//!
//! A node type states the formats that any of its nodes may offer or accept. Where a param decides, as
//! the path of a file does, its [`NodeVTable::get_ext`](crate::NodeVTable::get_ext) answers an
//! [`OffersVTable`] under the name [`OFFERS`], and the host asks before it negotiates, for each port
//! that is linked.

use std::ffi::c_void;

use crate::{NodeConfig, Status, Text};

/// Name of the extension; what it names is a static [`OffersVTable`].
pub const OFFERS: &str = "levada.offers/1";

/// What stands in a param's text for the number of a session, and is replaced before an instance is made.
pub const SESSION_PLACE: &str = "{session}";
/// The same for the date and time when it began.
pub const TIME_PLACE: &str = "{time}";

/// Whether a text has such a place.
#[must_use]
pub fn is_open(text: &str) -> bool {
    text.contains(SESSION_PLACE) || text.contains(TIME_PLACE)
}

/// Takes the text of an answer, which is valid during the call; a later one replaces it. At most 4096
/// bytes of UTF-8. `call` is what the asking function was given.
pub type Answer = unsafe extern "C" fn(call: *mut c_void, text: Text);

/// What `get_ext` answers under the name [`OFFERS`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct OffersVTable {
    /// Size of this struct in bytes as its maker knew it; later versions append fields.
    pub size: usize,
    /// Says what the port will offer or accept in a node with these params. May read files, and is
    /// called by any thread, several at once, without an instance; must not unwind.
    ///
    /// `OK`: the answer is patterns as in [`PortDesc::formats`](crate::PortDesc::formats) and within
    /// them. `UNSUPPORTED`: it cannot be said, so what the type states stands. Another failure: the node
    /// cannot be used like this, and the answer says why, cause and remedy with `; ` between them.
    ///
    /// `config` is valid during the call: params as an instance gets them, but with `{session}` and `{time}` as they are written, in
    /// which case only inputs are asked about; no formats, the bit of this
    /// port alone in `linked_ports`. Its host lives for ever and offers nothing: no buffer, no format,
    /// no log, and `node` is nobody's handle.
    pub formats: unsafe extern "C" fn(
        config: *const NodeConfig,
        port: u32,
        call: *mut c_void,
        answer: Answer,
    ) -> Status,
}
