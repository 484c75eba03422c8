//! [`Sink`]: a node with inputs only.

use levada_plugin::prelude::*;

use super::nodes::{COSTS, Common, integer, params};

/// Two inputs. With `LOOKS` both are read-only.
pub struct Sink<const COST: usize, const LOOKS: bool> {
    common: Common,
    /// Raise an event each so many calls; 0 for never.
    asks: u64,
    calls: u64,
}

impl<const COST: usize, const LOOKS: bool> Sink<COST, LOOKS> {
    fn ask(&mut self, port: usize) {
        self.calls += 1;
        if self.asks > 0 && self.calls.is_multiple_of(self.asks) {
            let kinds = [event::kind::KEYFRAME_REQUEST, event::kind::BITRATE];
            let event = Event {
                kind: kinds[self.calls as usize % 2],
                stream: (self.calls % 3) as u32,
                value: 0,
            };
            self.common.scribe.host.raise(port, event);
        }
    }
}

impl<const COST: usize, const LOOKS: bool> Node for Sink<COST, LOOKS> {
    const NAME: &'static str = [
        ["sink-light", "sink-heavy", "sink-blocking"],
        ["watch-light", "watch-heavy", "watch-blocking"],
    ][LOOKS as usize][COST];
    const SUMMARY: &'static str = "Takes frames";
    const PORTS: &'static [Port] = if LOOKS {
        &[
            Port::optional_input("in0").read_only(),
            Port::optional_input("in1").read_only(),
        ]
    } else {
        &[Port::optional_input("in0"), Port::optional_input("in1")]
    };
    const PARAMS: &'static [Param] = params![integer("asks", 0)];
    const COST: Cost = COSTS[COST];

    fn create(config: &Config) -> Result<Self> {
        Ok(Sink {
            common: Common::new(config)?,
            asks: config.integer("asks")? as u64,
            calls: 0,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.common.start()
    }

    fn process(&mut self, port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        let scribe = &mut self.common.scribe;
        scribe.received(port, frames.len());
        scribe.page().consumed.add(frames.len());
        for frame in frames.drain() {
            scribe.check(port, frame.stream(), frame.pts());
        }
        self.ask(port);
        self.common.work("process")
    }

    fn observe(&mut self, port: usize, frames: &[Frame], _ctx: &mut Context) -> Result {
        let scribe = &mut self.common.scribe;
        scribe.received(port, frames.len());
        scribe.page().consumed.add(frames.len());
        for frame in frames {
            scribe.check(port, frame.stream(), frame.pts());
        }
        self.ask(port);
        self.common.work("process")
    }

    fn event(&mut self, port: usize, event: Event, _ctx: &mut Context) -> Result<bool> {
        self.common.scribe.heard(port, event);
        Ok(false)
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        self.common.drain()
    }

    fn stop(&mut self) {
        self.common.scribe.stopped();
    }
}
