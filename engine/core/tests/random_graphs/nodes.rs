//! The node types of random graphs: what all have in common. What a node does is in its params; see
//! [`super::spec`].

use levada_plugin::prelude::*;

use super::{
    filter::Filter,
    ledger::Scribe,
    sink::Sink,
    sources::{Handed, Ticker},
};

pub const COSTS: [Cost; 3] = [Cost::Light, Cost::Heavy, Cost::Blocking];

pub const fn integer(name: &'static str, default: i64) -> Param {
    Param::integer(name, default)
}

/// When and how a node goes wrong; the words of the param `fault`.
pub const FAULTS: &str = "none create start process-error process-panic drain-error drain-panic";

/// Params that every type has.
macro_rules! params {
    ($($more:expr),* $(,)?) => {
        &[
            $crate::nodes::integer("index", 0),
            Param::choice("fault", $crate::nodes::FAULTS, "none"),
            // The number of the call that goes wrong.
            $crate::nodes::integer("fault-at", 0),
            // Rounds of a loop that each call goes through, so that it takes time.
            $crate::nodes::integer("spin", 0),
            $($more),*
        ]
    };
}

pub(crate) use params;

/// What every node has.
pub struct Common {
    pub scribe: Scribe,
    fault: String,
    calls_left: i64,
    spin: i64,
}

impl Common {
    pub fn new(config: &Config) -> Result<Common> {
        let fault = config.text("fault")?.to_owned();
        if fault == "create" {
            return Err(Error::new("told to fail"));
        }
        Ok(Common {
            scribe: Scribe::new(config)?,
            fault,
            calls_left: config.integer("fault-at")?,
            spin: config.integer("spin")?,
        })
    }

    pub fn start(&mut self) -> Result {
        if self.fault == "start" {
            return Err(Error::new("told to fail"));
        }
        self.scribe.started();
        Ok(())
    }

    /// Goes wrong if this is the call that is to.
    pub fn work(&mut self, what: &str) -> Result {
        for _ in 0..self.spin {
            std::hint::spin_loop();
        }
        let Some(how) = self.fault.strip_prefix(what) else {
            return Ok(());
        };
        self.calls_left -= 1;
        if self.calls_left >= 0 {
            return Ok(());
        }
        self.scribe.page().faults.add(1);
        assert!(how != "-panic", "told to panic");
        Err(Error::new("told to fail"))
    }

    pub fn drain(&mut self) -> Result {
        self.scribe.drained();
        self.work("drain")
    }
}

/// All types.
pub fn plugin() -> levada_plugin::Plugin {
    Builtin::new("random", "1.0.0")
        .with::<Filter<0, false>>()
        .with::<Filter<1, false>>()
        .with::<Filter<2, false>>()
        .with::<Filter<0, true>>()
        .with::<Filter<1, true>>()
        .with::<Filter<2, true>>()
        .with::<Sink<0, false>>()
        .with::<Sink<1, false>>()
        .with::<Sink<2, false>>()
        .with::<Sink<0, true>>()
        .with::<Sink<1, true>>()
        .with::<Sink<2, true>>()
        .with::<Ticker<0>>()
        .with::<Ticker<1>>()
        .with::<Ticker<2>>()
        .with::<Handed<0>>()
        .with::<Handed<1>>()
        .with::<Handed<2>>()
        .into_plugin()
}
