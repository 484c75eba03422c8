//! `log`: writes a line for the frames that pass.

use levada_plugin::prelude::*;
use tracing::info;

/// Lines in a second of the host's clock; what is beyond is told in one.
const MAX_LINES: u32 = 50;
const SECOND_NS: i64 = 1_000_000_000;
/// Streams that are counted each by itself; a session has no more.
const STREAMS: usize = 256;

/// Writes a line into the host's log (level info) for each frame that passes, or for each `every`th of its stream.
///
/// **Inputs** `in`: any format, read-only. **Outputs** `out`: the same frames, untouched. **Params** `every`: which
/// frames of a stream have a line, the first one and then each so many; `text`: what stands in front of each line. At
/// most 50 lines are written in a second; how many were left out is told with the next. The plugin `probe` writes sums
/// instead. **Example** `"browser.video -> seen -> screen.video"` with
/// `seen = { type = "log", params = { every = 30 } }`.
pub struct Log {
    name: String,
    text: String,
    every: u64,
    /// Frames so far, by stream.
    counts: Box<[u64]>,
    lines: Lines,
    /// The format that was looked up last.
    format: (u32, String),
}

/// Lets at most [`MAX_LINES`] pass in a second.
#[derive(Default)]
struct Lines {
    since_ns: i64,
    written: u32,
    left_out: u64,
}

impl Lines {
    /// Whether a line may be written now: how many were left out before it.
    fn allow(&mut self, now_ns: i64) -> Option<u64> {
        if self.written == 0 || now_ns.saturating_sub(self.since_ns) >= SECOND_NS {
            (self.since_ns, self.written) = (now_ns, 0);
        }
        if self.written >= MAX_LINES {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl Log {
    fn write(&mut self, frame: &Frame, number: u64, left_out: u64, ctx: &Context) {
        if frame.format_id() != self.format.0 || self.format.1.is_empty() {
            let format = ctx.format(frame.format_id());
            let text = format.map_or("none".to_owned(), |format| format.to_string());
            self.format = (frame.format_id(), text);
        }
        if left_out > 0 {
            info!(node = self.name, lines = left_out, "left out");
        }
        info!(
            node = self.name,
            stream = frame.stream(),
            frame = number,
            pts_ns = frame.pts(),
            duration_us = frame.duration_us(),
            bytes = frame.payload().len(),
            keyframe = frame.has(flags::KEYFRAME),
            format = self.format.1,
            "{}",
            self.text
        );
    }
}

impl Node for Log {
    const NAME: &'static str = "log";
    const SUMMARY: &'static str = "Writes a line into the log for frames that pass";
    const PORTS: &'static [Port] = &[
        Port::input("in").read_only().forwards_to(1),
        Port::output("out"),
    ];
    const PARAMS: &'static [Param] = &[
        Param::integer("every", 1)
            .range(1.0, 1e9)
            .unit("frames")
            .help("Which frames of a stream have a line: the first, and then each so many"),
        Param::text("text", "frame").help("What each line says in front of the figures"),
    ];

    fn create(config: &Config) -> Result<Self> {
        Ok(Log {
            name: config.name().to_owned(),
            text: config.text("text")?.to_owned(),
            // The range keeps it above 0.
            every: config.integer("every")? as u64,
            counts: vec![0; STREAMS].into(),
            lines: Lines::default(),
            format: (0, String::new()),
        })
    }

    fn observe(&mut self, _port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        for frame in frames {
            let stream = usize::from(frame.stream()).min(STREAMS - 1);
            let number = self.counts[stream];
            self.counts[stream] += 1;
            if number.is_multiple_of(self.every)
                && let Some(left_out) = self.lines.allow(ctx.now())
            {
                self.write(frame, number, left_out, ctx);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use levada_plugin::harness::{Harness, Value};
    use tracing::{Metadata, span};

    /// Counts lines.
    struct Count(Arc<AtomicUsize>);

    impl tracing::Subscriber for Count {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event()
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &tracing::Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    /// Pushes `frames` frames and answers how many lines they made.
    fn lines(log: &mut Harness<Log>, frames: i64, stream: u16) -> Result<usize> {
        let count = Arc::new(AtomicUsize::new(0));
        let pushed = tracing::subscriber::with_default(Count(count.clone()), || -> Result {
            for pts in 0..frames {
                let frame = Frame::from_bytes(Kind::Data, "hello".into());
                let at = frame.payload().as_ptr();
                let out = log.push(0, vec![frame.with_pts(pts).with_stream(stream)])?;
                assert_eq!((out.len(), out[0].0, out[0].1.pts()), (1, 1, pts));
                assert_eq!(out[0].1.payload().as_ptr(), at);
            }
            Ok(())
        });
        pushed.map(|()| count.load(Ordering::Relaxed))
    }

    #[test]
    fn every_nth_frame_of_a_stream_has_a_line_and_all_pass_untouched() -> Result {
        let mut log = Harness::<Log>::new(&[("every", Value::Integer(10))])?;
        assert_eq!(lines(&mut log, 25, 0)?, 3);
        assert_eq!(lines(&mut log, 1, 9)?, 1, "another stream's first");
        assert_eq!(lines(&mut log, 5, 0)?, 0);
        assert_eq!(lines(&mut log, 1, 0)?, 1, "the 31st");
        Ok(())
    }

    #[test]
    fn a_flood_writes_no_more_lines_than_the_limit_and_tells_what_was_left_out() -> Result {
        let mut log = Harness::<Log>::new(&[])?;
        log.tick(0)?;
        assert_eq!(lines(&mut log, 1000, 0)?, MAX_LINES as usize);
        log.tick(SECOND_NS)?;
        assert_eq!(
            lines(&mut log, 1, 0)?,
            2,
            "what was left out, and the frame"
        );
        Ok(())
    }
}
