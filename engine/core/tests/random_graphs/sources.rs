//! [`Ticker`] and [`Handed`]: nodes with outputs only.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use levada_plugin::prelude::*;

use super::{
    feed::{Feed, Step},
    ledger::{Maker, lock},
    nodes::{COSTS, Common, integer, params},
};

/// A source that emits when it is called: at a pace, or as fast as there is room.
pub struct Ticker<const COST: usize> {
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
        Port::output("out0").formats("audio/f32").max_out(4),
        Port::output("out1").formats("audio/f32"),
        Port::output("out2").formats("audio/f32"),
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
pub struct Handed<const COST: usize> {
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
        Port::output("out0").formats("audio/f32"),
        Port::output("out1").formats("audio/f32"),
        Port::output("out2").formats("audio/f32"),
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
