//! Counts, measures and logs the frames that pass, and changes nothing.

use std::collections::BTreeMap;

use levada_plugin::prelude::*;
use tracing::{debug, info};

/// Streams beyond this many are counted together.
const MAX_STREAMS: usize = 64;

/// Looks at every frame on its way.
///
/// **Inputs** `in`: any format, read-only. **Outputs** `out`: the same frames, untouched. **Params**
/// `every`: seconds between two lines of figures for each stream in the log (level info), 0 for one
/// line at the end; 0 to 3600.
struct Probe {
    every_ns: i64,
    next: i64,
    name: String,
    streams: BTreeMap<u16, Stream>,
}

#[derive(Default)]
struct Stream {
    label: String,
    format: u32,
    encoding: String,
    frames: u64,
    bytes: u64,
    keyframes: u64,
    first_ns: i64,
    last_ns: i64,
    last_pts: i64,
    /// Longest time between two frames' coming in.
    longest_gap_ns: i64,
    backwards: u64,
}

impl Probe {
    fn look(&mut self, frame: &Frame, now: i64, ctx: &Context) {
        let id = if self.streams.len() < MAX_STREAMS || self.streams.contains_key(&frame.stream()) {
            frame.stream()
        } else {
            u16::MAX
        };
        let stream = self.streams.entry(id).or_insert_with(|| Stream {
            label: ctx.stream_label(id).unwrap_or_default(),
            first_ns: now,
            last_ns: now,
            last_pts: frame.pts(),
            ..Stream::default()
        });
        if stream.format != frame.format_id() {
            stream.format = frame.format_id();
            let format = ctx.format(frame.format_id()).unwrap_or_default();
            stream.encoding = format.encoding.clone();
            info!(node = self.name, stream = id, label = stream.label, %format, "stream has this format");
        }
        stream.frames += 1;
        stream.bytes += frame.payload().len() as u64;
        stream.keyframes += u64::from(frame.has(flags::KEYFRAME));
        stream.longest_gap_ns = stream.longest_gap_ns.max(now - stream.last_ns);
        stream.last_ns = now;
        stream.backwards += u64::from(frame.pts() < stream.last_pts);
        stream.last_pts = frame.pts();
        debug!(
            node = self.name,
            stream = id,
            pts_ns = frame.pts(),
            bytes = frame.payload().len(),
            keyframe = frame.has(flags::KEYFRAME),
            "frame"
        );
    }

    fn say(&self) {
        for (id, s) in &self.streams {
            let seconds = (s.last_ns - s.first_ns) as f64 / 1e9;
            let rate = |count: u64| {
                if seconds > 0.0 {
                    count as f64 / seconds
                } else {
                    0.0
                }
            };
            info!(
                node = self.name,
                stream = id,
                label = s.label,
                encoding = s.encoding,
                frames = s.frames,
                per_second = format_args!("{:.1}", rate(s.frames.saturating_sub(1))),
                kbit_per_second = format_args!("{:.0}", rate(s.bytes) * 8.0 / 1000.0),
                keyframes = s.keyframes,
                longest_gap_ms = format_args!("{:.1}", s.longest_gap_ns as f64 / 1e6),
                pts_backwards = s.backwards,
                "passed"
            );
        }
    }
}

impl Node for Probe {
    const NAME: &'static str = "probe";
    const SUMMARY: &'static str = "Counts, measures and logs the frames that pass";
    const PORTS: &'static [Port] = &[
        Port::input("in").read_only().forwards_to(1),
        Port::output("out"),
    ];
    const PARAMS: &'static [Param] = &[Param::float("every", 0.0)
        .range(0.0, 3600.0)
        .unit("s")
        .help("Time between two lines of figures in the log; 0 writes one at the end")];

    fn create(config: &Config) -> Result<Self> {
        Ok(Probe {
            every_ns: (config.float("every")? * 1e9) as i64,
            next: 0,
            name: config.name().to_owned(),
            streams: BTreeMap::new(),
        })
    }

    fn observe(&mut self, _port: usize, frames: &[Frame], ctx: &mut Context) -> Result {
        let now = ctx.now();
        for frame in frames {
            self.look(frame, now, ctx);
        }
        if self.every_ns > 0 && now >= self.next {
            if self.next > 0 {
                self.say();
            }
            self.next = now + self.every_ns;
        }
        Ok(())
    }

    fn drain(&mut self, _ctx: &mut Context) -> Result {
        self.say();
        Ok(())
    }
}

levada_plugin::export_plugin!(Probe);

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::Harness;

    #[test]
    fn frames_pass_untouched() -> Result {
        let mut probe = Harness::<Probe>::new(&[])?;
        let frame = Frame::from_bytes(Kind::Data, "hello".into())
            .with_pts(7)
            .with_stream(3);
        let at = frame.payload().as_ptr();
        let out = probe.push(0, vec![frame])?;
        assert_eq!(out.len(), 1);
        assert_eq!((out[0].0, out[0].1.pts(), out[0].1.stream()), (1, 7, 3));
        assert_eq!(out[0].1.payload().as_ptr(), at);
        Ok(())
    }

    #[test]
    fn a_flood_of_streams_stays_bounded() -> Result {
        let mut probe = Harness::<Probe>::new(&[])?;
        for stream in 0..1000 {
            let frame = Frame::from_bytes(Kind::Data, "x".into()).with_stream(stream);
            assert_eq!(probe.push(0, vec![frame])?.len(), 1);
        }
        probe.drain()?;
        Ok(())
    }
}
