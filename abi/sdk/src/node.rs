//! [`Node`]: what a plugin author implements.

use std::path::Path;

use levada_abi::{self as abi, NodeConfig, ParamValue, cost, param_kind, type_flags};

use crate::{
    describe::{Param, Port},
    error::{Error, Result},
    frame::{Frame, Frames},
    host::{Context, Host},
};

/// How much a node costs to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Up to some tens of microseconds a frame: runs inline with its neighbours, on any thread.
    Light,
    /// More than that: runs on the workers.
    Heavy,
    /// May wait (files, devices): runs on threads set aside for that.
    Blocking,
}

impl Cost {
    pub(crate) const fn to_abi(self) -> u32 {
        match self {
            Cost::Light => cost::LIGHT,
            Cost::Heavy => cost::HEAVY,
            Cost::Blocking => cost::BLOCKING,
        }
    }
}

/// Says what a port of a node with these params will offer or accept: patterns as the port's own and within
/// them, `audio/aac;rate=48000;channels=2`. `None` where that cannot be said: then what the port states stands.
///
/// The host asks before it negotiates, for each port that is linked; [`Config::host`] offers nothing then: no
/// buffer, no format. It may read a file for it, a bounded part of it. An error becomes a problem of the graph, at
/// the node's place: cause and remedy, with `; ` between them.
pub type Offers = fn(&Config, usize) -> Result<Option<String>>;

/// Judges the params of a node, those that do not fit together or name a file that is not there. The host asks when a
/// graph is checked, as for [`Offers`] and under the same rules, and before each [`Node::create`], which need not look again.
pub type Check = fn(&Config) -> Result;

/// A node type: implement it, name it in [`export_plugin!`](crate::export_plugin), and graphs can
/// use it.
///
/// The host calls one function of an instance at a time, from any of its threads. A panic or an
/// error ends the instance's session and no other. Life cycle: `create`, `start`, then `process`,
/// `observe`, `tick` and `event` in any order, `drain`, `stop`, drop.
pub trait Node: Send + Sized + 'static {
    /// Name, `[a-z0-9_-]+`.
    const NAME: &'static str;
    /// One sentence: a verb and the result.
    const SUMMARY: &'static str;
    /// Ports, numbered from 0, inputs and outputs together.
    const PORTS: &'static [Port];
    /// Params.
    const PARAMS: &'static [Param] = &[];
    /// How much the node costs to run.
    const COST: Cost = Cost::Light;
    /// A source that cannot be paused: what its links cannot take is lost, and counted.
    const LIVE: bool = false;
    /// The node belongs to one peer, so that its graph is a template for sessions.
    const PEER: bool = false;
    /// The engine may insert a node of this type by itself where the ends of a link do not agree. It has
    /// one input and one output, and makes of what comes in what its output states. Params named `rate`,
    /// `channels`, `width`, `height` and `encoding` then say what is wanted, as the output states these
    /// keys: a value, or 0, where the param takes it, to keep what comes in; 0 for one of `width` and
    /// `height` alone keeps the shape of the picture. A frame that is as wanted already stays where it is
    /// and goes on untouched.
    const CONVERTER: bool = false;
    /// Time from a frame's coming in to its going out, beyond the time of the call.
    const LATENCY_NS: u64 = 0;
    /// Says what a port will carry where that follows from the params; see [`Offers`].
    const OFFERS: Option<Offers> = None;
    /// Judges the params before there is an instance; see [`Check`].
    const CHECK: Option<Check> = None;

    /// Makes an instance.
    ///
    /// # Errors
    /// When the params do not fit together or a resource cannot be had; the session does not start.
    fn create(config: &Config) -> Result<Self>;

    /// Begins work; from here on the node may ingest and set timers. It cannot emit
    /// yet; events that it sends come before its first frame. The first tick of a source may come much later, when
    /// the peer that its frames go to is there: what is paced counts from that tick.
    ///
    /// # Errors
    /// Ends the session.
    fn start(&mut self, ctx: &mut Context) -> Result {
        let _ = ctx;
        Ok(())
    }

    /// Takes a batch at an input port. Frames that are left where they are go on to the output that
    /// the port forwards to.
    ///
    /// # Errors
    /// Ends the session; what is left of the batch is released and counted.
    fn process(&mut self, port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        let _ = (port, frames, ctx);
        Ok(())
    }

    /// Looks at a batch at a [read-only](Port::read_only) input port.
    ///
    /// # Errors
    /// Ends the session.
    fn observe(&mut self, port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        let _ = (port, frames, ctx);
        Ok(())
    }

    /// Called after [`Host::wake`], or when a deadline set by [`Host::wake_at`] has come.
    ///
    /// # Errors
    /// Ends the session.
    fn tick(&mut self, ctx: &mut Context) -> Result {
        let _ = ctx;
        Ok(())
    }

    /// Takes an event at a port. `false` lets an upstream event travel on.
    ///
    /// # Errors
    /// Ends the session.
    fn event(&mut self, port: usize, event: abi::Event, ctx: &mut Context) -> Result<bool> {
        let _ = (port, event, ctx);
        Ok(false)
    }

    /// Emits what is still held: every input has ended, or the source is asked to end.
    ///
    /// # Errors
    /// Ends the session.
    fn drain(&mut self, ctx: &mut Context) -> Result {
        let _ = ctx;
        Ok(())
    }

    /// Ends the node's own threads and late calls; returns when there are none left.
    fn stop(&mut self) {}
}

pub(crate) const fn type_flags_of<N: Node>() -> u32 {
    (if N::LIVE { type_flags::LIVE } else { 0 })
        | (if N::PEER { type_flags::PEER } else { 0 })
        | (if N::CONVERTER {
            type_flags::CONVERTER
        } else {
            0
        })
}

/// What a new instance is told: its name, its session and its params.
pub struct Config<'a> {
    raw: &'a NodeConfig,
    params: &'static [Param],
    values: &'a [ParamValue],
    host: Host,
}

impl<'a> Config<'a> {
    /// Wraps the host's own struct.
    ///
    /// # Safety
    /// `raw` must keep the contract of [`NodeConfig`].
    pub(crate) unsafe fn new(raw: &'a NodeConfig, params: &'static [Param]) -> Config<'a> {
        // SAFETY: the caller vouches for `raw`.
        let (values, host) = unsafe {
            let values: &[ParamValue] = if raw.params.is_null() {
                &[]
            } else {
                std::slice::from_raw_parts(raw.params, raw.params_len)
            };
            (values, Host::new(raw.host, raw.node))
        };
        Config {
            raw,
            params,
            values,
            host,
        }
    }

    pub(crate) fn data(&self) -> *const std::ffi::c_void {
        self.raw.data
    }

    /// The node's name in the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        // SAFETY: valid during `create` (contract of `NodeConfig`), which `self` does not outlive.
        unsafe { self.raw.name.as_str() }
    }

    /// The session that the instance belongs to.
    #[must_use]
    pub fn session(&self) -> u64 {
        self.raw.session
    }

    /// Whether a port is linked in the graph.
    #[must_use]
    pub fn is_linked(&self, port: usize) -> bool {
        port < 64 && self.raw.linked_ports & (1 << port) != 0
    }

    /// What a port will carry, as the engine negotiated it: patterns like those that the port states and
    /// within them, separated by spaces, as a rule one for each kind of media: `audio/f32;rate=48000`.
    /// Empty for a port that is not linked, and where nothing was negotiated, as in a trial.
    ///
    /// It is a promise about the encoding; a rate or a size that is not stated shows with the first
    /// frame, and may change between two frames.
    #[must_use]
    pub fn formats(&self, port: usize) -> &str {
        // A host that was built before these fields were says so by its size.
        let has_them = self.raw.size >= size_of::<NodeConfig>();
        if !has_them || self.raw.formats.is_null() || port >= self.raw.formats_len {
            return "";
        }
        // SAFETY: so many texts are valid during `create` (contract of `NodeConfig`), which `self` does
        // not outlive.
        unsafe { (*self.raw.formats.add(port)).as_str() }
    }

    /// Whether a port will carry this encoding, such as `video/h264`, by what was
    /// [negotiated](Config::formats).
    #[must_use]
    pub fn carries(&self, port: usize, encoding: &str) -> bool {
        let mut words = self.formats(port).split_ascii_whitespace();
        words.any(|word| word.split(';').next() == Some(encoding))
    }

    /// The engine's services, to keep.
    #[must_use]
    pub fn host(&self) -> Host {
        self.host
    }

    fn value(&self, name: &str, kinds: &[u32]) -> Result<&ParamValue> {
        self.params
            .iter()
            .zip(self.values)
            // SAFETY: names of params are static text.
            .find(|(p, _)| unsafe { p.0.name.as_str() } == name && kinds.contains(&p.0.kind))
            .map(|(_, value)| value)
            .ok_or_else(|| {
                Error::new(format_args!(
                    "param \"{name}\" of this kind is not declared in PARAMS"
                ))
            })
    }

    /// The value of a float param.
    ///
    /// # Errors
    /// When no param of this name and kind is declared.
    pub fn float(&self, name: &str) -> Result<f64> {
        Ok(self.value(name, &[param_kind::FLOAT])?.float)
    }

    /// The value of an integer param.
    ///
    /// # Errors
    /// When no param of this name and kind is declared.
    pub fn integer(&self, name: &str) -> Result<i64> {
        Ok(self.value(name, &[param_kind::INTEGER])?.integer)
    }

    /// The value of a bool param.
    ///
    /// # Errors
    /// When no param of this name and kind is declared.
    pub fn bool(&self, name: &str) -> Result<bool> {
        Ok(self.value(name, &[param_kind::BOOL])?.integer != 0)
    }

    /// Whether a text holds `{session}` or `{time}`, as it does in [`Check`] and [`Offers`] before there is a session: it names
    /// nothing yet.
    ///
    /// # Errors
    /// As [`text`](Config::text).
    pub fn is_open(&self, name: &str) -> Result<bool> {
        Ok(abi::is_open(self.text(name)?))
    }

    /// A text with its [open](Config::is_open) places filled in by something, to judge what lies around them.
    ///
    /// # Errors
    /// As [`text`](Config::text).
    pub fn filled(&self, name: &str) -> Result<String> {
        let text = self.text(name)?.replace(abi::SESSION_PLACE, "1");
        Ok(text.replace(abi::TIME_PLACE, "1"))
    }

    /// Refuses the path of a file whose folder is not there; of one that is [open](Config::is_open), the folder that it lies in
    /// whatever is filled in.
    ///
    /// # Errors
    /// That, or as [`text`](Config::text).
    pub fn check_folder(&self, name: &str) -> Result {
        let path = self.text(name)?;
        let is_closed = |folder: &&Path| !folder.to_str().is_some_and(abi::is_open);
        let folders = Path::new(path).ancestors().skip(1);
        let Some(folder) = folders.into_iter().find(is_closed) else {
            return Ok(());
        };
        if folder == Path::new("") || folder.is_dir() {
            return Ok(());
        }
        Err(Error::new(format_args!(
            "{name} = \"{path}\": there is no folder \"{}\"; make it, or give another path",
            folder.display()
        )))
    }

    /// The value of a text, choice or path param.
    ///
    /// # Errors
    /// When no param of this name and kind is declared.
    pub fn text(&self, name: &str) -> Result<&str> {
        let kinds = [param_kind::TEXT, param_kind::CHOICE, param_kind::PATH];
        let value = self.value(name, &kinds)?;
        // SAFETY: valid during `create` (contract of `NodeConfig`), which `self` does not outlive.
        Ok(unsafe { value.text.as_str() })
    }
}
