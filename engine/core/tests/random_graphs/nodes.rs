//! The node types of random graphs. What a node does is in its params; see [`super::spec`].

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use levada_plugin::prelude::*;

use super::{
    feed::{Feed, Step},
    ledger::{Maker, PORTS, Scribe, lock},
};

const COSTS: [Cost; 3] = [Cost::Light, Cost::Heavy, Cost::Blocking];

const fn integer(name: &'static str, default: i64) -> Param {
    Param::integer(name, default)
}

/// When and how a node goes wrong; the words of the param `fault`.
pub const FAULTS: &str = "none create start process-error process-panic drain-error drain-panic";

/// Params that every type has.
macro_rules! params {
    ($($more:expr),* $(,)?) => {
        &[
            integer("index", 0),
            Param::choice("fault", FAULTS, "none"),
            // The number of the call that goes wrong.
            integer("fault-at", 0),
            // Rounds of a loop that each call goes through, so that it takes time.
            integer("spin", 0),
            $($more),*
        ]
    };
}

/// What every node has.
struct Common {
    scribe: Scribe,
    fault: String,
    calls_left: i64,
    spin: i64,
}

impl Common {
    fn new(config: &Config) -> Result<Common> {
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

    fn start(&mut self) -> Result {
        if self.fault == "start" {
            return Err(Error::new("told to fail"));
        }
        self.scribe.started();
        Ok(())
    }

    /// Goes wrong if this is the call that is to.
    fn work(&mut self, what: &str) -> Result {
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

    fn drain(&mut self) -> Result {
        self.scribe.drained();
        self.work("drain")
    }
}

/// What a filter makes of a frame; the words of the param `way`.
pub const WAYS: &str = "pass swallow double split delay half mix";

/// Three inputs and three outputs, none of which needs a link. With `LOOKS`, two inputs are read-only.
struct Filter<const COST: usize, const LOOKS: bool> {
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

/// Two inputs. With `LOOKS` both are read-only.
struct Sink<const COST: usize, const LOOKS: bool> {
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

/// A source that emits when it is called: at a pace, or as fast as there is room.
struct Ticker<const COST: usize> {
    common: Common,
    burst: i64,
    count: i64,
    period: i64,
    due: i64,
}

impl<const COST: usize> Node for Ticker<COST> {
    const NAME: &'static str = ["ticker-light", "ticker-heavy", "ticker-blocking"][COST];
    const SUMMARY: &'static str = "Emits frames when it is called";
    const PORTS: &'static [Port] = &[
        Port::output("out0").max_out(4),
        Port::output("out1"),
        Port::output("out2"),
    ];
    const PARAMS: &'static [Param] = params![
        integer("burst", 1).range(0.0, 4.0),
        integer("count", 100),
        integer("period", 0),
    ];
    const COST: Cost = COSTS[COST];

    fn create(config: &Config) -> Result<Self> {
        Ok(Ticker {
            common: Common::new(config)?,
            burst: config.integer("burst")?,
            count: config.integer("count")?,
            period: config.integer("period")?,
            due: 0,
        })
    }

    fn start(&mut self, ctx: &mut Context) -> Result {
        self.common.start()?;
        self.due = ctx.now();
        ctx.wake();
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        self.common.scribe.ticked();
        self.common.work("process")?;
        if self.count == 0 {
            ctx.finish();
            return Ok(());
        }
        self.count -= 1;
        for _ in 0..self.burst {
            let frame = self.common.scribe.make();
            self.common.scribe.emit(ctx, 0, 0, frame)?;
        }
        if self.count % 2 == 0 {
            let frame = self.common.scribe.make();
            self.common.scribe.emit(ctx, 1, 1, frame)?;
        }
        if self.period == 0 {
            ctx.wake();
        } else {
            self.due += self.period;
            ctx.wake_at(self.due);
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, ctx: &mut Context) -> Result<bool> {
        self.common.scribe.heard(port, event);
        let frame = self.common.scribe.make();
        self.common.scribe.emit(ctx, 2, 2, frame)?;
        Ok(true)
    }

    fn drain(&mut self, ctx: &mut Context) -> Result {
        self.common.drain()?;
        let frame = self.common.scribe.make();
        self.common.scribe.emit(ctx, 2, 2, frame)
    }

    fn stop(&mut self) {
        self.common.scribe.stopped();
    }
}

/// A source whose frames are handed in: by a thread of its own, or by the test.
struct Handed<const COST: usize> {
    common: Common,
    feed: Option<Feed>,
    own_thread: bool,
    run: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl<const COST: usize> Node for Handed<COST> {
    const NAME: &'static str = ["handed-light", "handed-heavy", "handed-blocking"][COST];
    const SUMMARY: &'static str = "Hands frames in";
    const PORTS: &'static [Port] = &[
        Port::output("out0"),
        Port::output("out1"),
        Port::output("out2"),
    ];
    const PARAMS: &'static [Param] = params![
        integer("count", 100),
        integer("batch", 1).range(1.0, 64.0),
        Param::bool("drops", false),
        Param::bool("own-thread", false),
    ];
    const COST: Cost = COSTS[COST];

    fn create(config: &Config) -> Result<Self> {
        let common = Common::new(config)?;
        let (count, batch) = (config.integer("count")?, config.integer("batch")? as usize);
        let feed = Feed::new(Maker::new(config)?, count, batch, config.bool("drops")?);
        Ok(Handed {
            common,
            feed: Some(feed),
            own_thread: config.bool("own-thread")?,
            run: Arc::new(AtomicBool::new(true)),
            thread: None,
        })
    }

    fn start(&mut self, _ctx: &mut Context) -> Result {
        self.common.start()?;
        let Some(mut feed) = self.feed.take() else {
            return Ok(());
        };
        if !self.own_thread {
            lock(&self.common.scribe.ledger.clone().feeds).push(feed);
            return Ok(());
        }
        let run = self.run.clone();
        self.thread = Some(std::thread::spawn(move || {
            while run.load(Ordering::Relaxed) {
                match feed.step() {
                    Step::More => feed.maker.host.wake(),
                    Step::Full => std::thread::yield_now(),
                    Step::Done => return,
                }
            }
        }));
        Ok(())
    }

    fn tick(&mut self, ctx: &mut Context) -> Result {
        self.common.scribe.ticked();
        self.common.work("process")?;
        let frame = self.common.scribe.make();
        self.common.scribe.emit(ctx, 1, 1, frame)
    }

    fn event(&mut self, port: usize, event: Event, ctx: &mut Context) -> Result<bool> {
        self.common.scribe.heard(port, event);
        let frame = self.common.scribe.make();
        self.common.scribe.emit(ctx, 2, 2, frame)?;
        Ok(true)
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        self.common.drain()
    }

    fn stop(&mut self) {
        self.common.scribe.stopped();
        self.run.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            let ledger = &self.common.scribe.ledger;
            ledger.complain("the thread of a source panicked".into());
        }
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
