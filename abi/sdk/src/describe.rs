//! Ports and params as constants: how a node type describes itself.

use levada_abi::{
    NOWHERE, ParamDesc, ParamValue, PortDesc, Text, direction, param_kind, port_flags,
};

/// A port of a node type, built in a constant: `Port::input("in").formats("audio/f32")`.
///
/// Ports are numbered from 0 in the order of [`Node::PORTS`](crate::Node::PORTS).
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Port(pub(crate) PortDesc);

impl Port {
    const fn new(name: &'static str, direction: u32, flags: u32) -> Port {
        Port(PortDesc {
            name: Text::new(name),
            direction,
            flags,
            formats: Text::new("*"),
            forwards_to: NOWHERE,
            max_out: 1,
        })
    }

    /// An input that a graph must link. It accepts every format until [`formats`](Port::formats)
    /// says less.
    #[must_use]
    pub const fn input(name: &'static str) -> Port {
        Port::new(name, direction::INPUT, port_flags::REQUIRED)
    }

    /// An input that may stay unlinked.
    #[must_use]
    pub const fn optional_input(name: &'static str) -> Port {
        Port::new(name, direction::INPUT, 0)
    }

    /// An output. A call emits at most one frame here for each frame that comes in, until
    /// [`max_out`](Port::max_out) says more.
    #[must_use]
    pub const fn output(name: &'static str) -> Port {
        Port::new(name, direction::OUTPUT, 0)
    }

    /// Patterns of formats that the port accepts or offers, separated by spaces, the preferred ones
    /// first: `*`, `audio/*`, `audio/f32 audio/s16`, `audio/f32;rate=48000;channels=1..2`,
    /// `video/i420;width=2..4096`.
    ///
    /// Sound has the keys `rate` and `channels`, pictures have `width`, `height` and `reordering`; a value is a number,
    /// a range `a..b` with both ends, or alternatives `a|b|c`. A key that is not stated: an input takes
    /// any value, an output of a filter leaves it as it came in, an output of a source may give any. A
    /// param named like a key that an output states says which value that is; 0 leaves it as it came in.
    #[must_use]
    pub const fn formats(mut self, patterns: &'static str) -> Port {
        self.0.formats = Text::new(patterns);
        self
    }

    /// Input: frames that `process` leaves where they are go on to the output with this number.
    #[must_use]
    pub const fn forwards_to(mut self, output: u32) -> Port {
        self.0.forwards_to = output;
        self
    }

    /// Input: the node only looks ([`Node::observe`](crate::Node::observe)); its frames are never
    /// cloned for it.
    #[must_use]
    pub const fn read_only(mut self) -> Port {
        self.0.flags |= port_flags::READ_ONLY;
        self
    }

    /// Output: how many frames at most one call puts out here for each frame that comes in,
    /// forwarded ones included.
    #[must_use]
    pub const fn max_out(mut self, frames: u32) -> Port {
        self.0.max_out = frames;
        self
    }
}

/// A param of a node type, built in a constant: `Param::float("db", 0.0).range(-60.0, 60.0)`.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Param(pub(crate) ParamDesc);

const NO_VALUE: ParamValue = ParamValue {
    float: 0.0,
    integer: 0,
    text: Text::EMPTY,
};

impl Param {
    const fn new(name: &'static str, kind: u32, default: ParamValue) -> Param {
        Param(ParamDesc {
            name: Text::new(name),
            kind,
            required: 0,
            default,
            min: f64::NEG_INFINITY,
            max: f64::INFINITY,
            choices: Text::EMPTY,
            unit: Text::EMPTY,
            help: Text::EMPTY,
        })
    }

    /// A number with its default.
    #[must_use]
    pub const fn float(name: &'static str, default: f64) -> Param {
        Param::new(
            name,
            param_kind::FLOAT,
            ParamValue {
                float: default,
                ..NO_VALUE
            },
        )
    }

    /// A whole number with its default.
    #[must_use]
    pub const fn integer(name: &'static str, default: i64) -> Param {
        Param::new(
            name,
            param_kind::INTEGER,
            ParamValue {
                integer: default,
                ..NO_VALUE
            },
        )
    }

    /// True or false with its default.
    #[must_use]
    pub const fn bool(name: &'static str, default: bool) -> Param {
        Param::new(
            name,
            param_kind::BOOL,
            ParamValue {
                integer: default as i64,
                ..NO_VALUE
            },
        )
    }

    /// Text with its default. `{session}` in a graph's value becomes the session's number, `{time}` the date and time when it
    /// began.
    #[must_use]
    pub const fn text(name: &'static str, default: &'static str) -> Param {
        Param::new(
            name,
            param_kind::TEXT,
            ParamValue {
                text: Text::new(default),
                ..NO_VALUE
            },
        )
    }

    /// The path of a file or a folder, empty when none is given: [`Config::text`](crate::Config::text)
    /// answers it. The host takes one that a graph file gives as relative to that file's folder, one of
    /// the command line or of code as relative to where the program runs.
    #[must_use]
    pub const fn path(name: &'static str) -> Param {
        Param::new(name, param_kind::PATH, NO_VALUE)
    }

    /// One of the words of `choices` (separated by spaces), with its default.
    #[must_use]
    pub const fn choice(name: &'static str, choices: &'static str, default: &'static str) -> Param {
        let mut param = Param::new(
            name,
            param_kind::CHOICE,
            ParamValue {
                text: Text::new(default),
                ..NO_VALUE
            },
        );
        param.0.choices = Text::new(choices);
        param
    }

    /// The graph must give a value; the default does not count.
    #[must_use]
    pub const fn required(mut self) -> Param {
        self.0.required = 1;
        self
    }

    /// Smallest and largest number allowed.
    #[must_use]
    pub const fn range(mut self, min: f64, max: f64) -> Param {
        self.0.min = min;
        self.0.max = max;
        self
    }

    /// Unit, such as `dB`.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Param {
        self.0.unit = Text::new(unit);
        self
    }

    /// One sentence that says what it does.
    #[must_use]
    pub const fn help(mut self, help: &'static str) -> Param {
        self.0.help = Text::new(help);
        self
    }
}
