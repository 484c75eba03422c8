//! [`Filter`]: a node with inputs and outputs.

use std::collections::VecDeque;

use levada_plugin::prelude::*;

use super::{
    ledger::{PORTS, Scribe},
    nodes::{COSTS, Common, integer, params},
};

/// What a filter makes of a frame; the words of the param `way`.
pub const WAYS: &str = "pass swallow double split delay half mix";

/// Three inputs and three outputs, none of which needs a link. With `LOOKS`, two inputs are read-only.
pub struct Filter<const COST: usize, const LOOKS: bool> {
    common: Common,
    way: String,
    delay: usize,
    held: VecDeque<Frame>,
    odd: bool,
    answers: bool,
    ticks_left: i64,
    period: i64,
}

/// Number of a filter's output 0.
const OUT: usize = PORTS;

impl<const COST: usize, const LOOKS: bool> Filter<COST, LOOKS> {
    /// By input: whether what is left goes on to output 0.
    const FORWARDS: [bool; PORTS] = if LOOKS {
        [true, false, true]
    } else {
        [true, true, false]
    };

    fn forward(&mut self, frames: &mut Frames, ctx: &mut Context) -> Result {
        let Filter {
            common: Common { scribe, .. },
            held,
            odd,
            ..
        } = self;
        let mut failed = None;
        let mut emit = |scribe: &mut Scribe, port: usize, out, frame| {
            failed = failed.take().or(scribe.emit(ctx, port, out, frame).err());
        };
        let (mut kept, mut gone) = (0, 0);
        match self.way.as_str() {
            "swallow" => gone = frames.drain().count(),
            "double" => {
                for frame in frames.drain() {
                    scribe.page().made.add(1);
                    emit(scribe, OUT, 0, frame.clone());
                    emit(scribe, OUT, 0, frame);
                }
            }
            "delay" => {
                for frame in frames.drain() {
                    held.push_back(frame);
                    if held.len() > self.delay
                        && let Some(frame) = held.pop_front()
                    {
                        emit(scribe, OUT, 0, frame);
                    }
                }
            }
            way => {
                // What is emitted goes before what is left, so it is stamped before.
                frames.replace_each(|frame| {
                    *odd = !*odd;
                    match way {
                        "split" => {
                            scribe.page().made.add(1);
                            emit(scribe, OUT + 1, 1, frame.clone());
                        }
                        "half" if *odd => {
                            gone += 1;
                            return None;
                        }
                        "mix" if *odd => {
                            emit(scribe, OUT, 0, frame);
                            return None;
                        }
                        _ => {}
                    }
                    kept += 1;
                    Some(frame)
                });
                frames.replace_each(|frame| Some(scribe.stamp(0, frame)));
            }
        }
        scribe.page().consumed.add(gone);
        scribe.page().put[0].add(kept);
        failed.map_or(Ok(()), Err)
    }
}

impl<const COST: usize, const LOOKS: bool> Node for Filter<COST, LOOKS> {
    const NAME: &'static str = [
        ["filter-light", "filter-heavy", "filter-blocking"],
        ["looks-light", "looks-heavy", "looks-blocking"],
    ][LOOKS as usize][COST];
    const SUMMARY: &'static str = "Does what its params say with frames";
    const PORTS: &'static [Port] = if LOOKS {
        &[
            Port::optional_input("in0").read_only().forwards_to(3),
            Port::optional_input("in1").read_only(),
            Port::optional_input("in2").forwards_to(3),
            Port::output("out0").max_out(2),
            Port::output("out1"),
            Port::output("out2"),
        ]
    } else {
        &[
            Port::optional_input("in0").forwards_to(3),
            Port::optional_input("in1").forwards_to(3),
            Port::optional_input("in2"),
            Port::output("out0").max_out(2),
            Port::output("out1"),
            Port::output("out2"),
        ]
    };
    const PARAMS: &'static [Param] = params![
        Param::choice("way", WAYS, "pass"),
        integer("delay", 0).range(0.0, 2.0),
        Param::bool("answers", false),
        integer("ticks", 0),
        integer("period", 0),
    ];
    const COST: Cost = COSTS[COST];

    fn create(config: &Config) -> Result<Self> {
        Ok(Filter {
            common: Common::new(config)?,
            way: config.text("way")?.to_owned(),
            delay: config.integer("delay")? as usize,
            held: VecDeque::new(),
            odd: false,
            answers: config.bool("answers")?,
            ticks_left: config.integer("ticks")?,
            period: config.integer("period")?,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        self.common.start()?;
        if self.ticks_left > 0 {
            ctx.wake_at(ctx.now() + self.period);
        }
        Ok(())
    }

    fn process(&mut self, port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        self.common.scribe.received(port, frames.len());
        for frame in frames.iter_mut() {
            let (stream, number) = (frame.stream(), frame.pts());
            self.common.scribe.check(port, stream, number);
        }
        self.common.work("process")?;
        if Self::FORWARDS[port] {
            return self.forward(frames, ctx);
        }
        // Half of the time the frames are left for the engine to release.
        self.odd = !self.odd;
        self.common.scribe.page().consumed.add(frames.len());
        if self.odd {
            frames.drain().for_each(drop);
        }
        Ok(())
    }

    fn observe(&mut self, port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        let scribe = &mut self.common.scribe;
        scribe.received(port, frames.len());
        for frame in frames {
            scribe.check(port, frame.stream(), frame.pts());
        }
        if Self::FORWARDS[port] {
            scribe.page().put[0].add(frames.len());
        } else {
            scribe.page().consumed.add(frames.len());
        }
        if self.way == "split" {
            for _ in frames {
                let frame = scribe.make();
                scribe.emit(ctx, OUT + 1, 1, frame)?;
            }
        }
        self.common.work("process")
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        self.common.scribe.ticked();
        self.ticks_left -= 1;
        let frame = self.common.scribe.make();
        self.common.scribe.emit(ctx, OUT + 2, 2, frame)?;
        if self.ticks_left > 0 {
            ctx.wake_at(ctx.now() + self.period);
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, ctx: &mut Context) -> Result<bool> {
        self.common.scribe.heard(port, event);
        if event.kind == event::kind::END_OF_STREAM || !self.answers {
            return Ok(false);
        }
        let frame = self.common.scribe.make();
        self.common.scribe.emit(ctx, OUT + 1, 1, frame)?;
        Ok(true)
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        self.common.drain()?;
        for frame in std::mem::take(&mut self.held) {
            self.common.scribe.emit(ctx, OUT, 0, frame)?;
        }
        Ok(())
    }

    fn stop(&mut self) {
        self.common.scribe.stopped();
    }
}
