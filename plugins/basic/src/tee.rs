//! `tee`: gives what comes in to several outputs.

use levada_plugin::prelude::*;

const OUTPUTS: std::ops::RangeInclusive<usize> = 1..=4;

/// Gives each frame to every output that is linked, by reference: the payload is not copied.
///
/// An output of any node may have several links, which does the same. A tee is for graphs that want a name for the
/// place where they branch, or that link and unlink branches by hand.
///
/// **Inputs** `in`: any format. **Outputs** `out1` to `out4`: the same frames. A node behind it that edits frames in
/// place copies those that another branch still holds. **Params** none. **Example**
/// `links = ["camera -> both", "both.out1 -> screen", "both.out2 -> tape.video"]` with `both = { type = "tee" }`.
pub struct Tee {
    linked: Vec<usize>,
}

impl Node for Tee {
    const NAME: &'static str = "tee";
    const SUMMARY: &'static str = "Gives what comes in to several outputs, without a copy";
    // Nothing forwards, so that in-band events go on to all outputs.
    const PORTS: &'static [Port] = &[
        Port::input("in"),
        Port::output("out1"),
        Port::output("out2"),
        Port::output("out3"),
        Port::output("out4"),
    ];

    fn create(config: &Config) -> Result<Self> {
        Ok(Tee {
            linked: OUTPUTS.filter(|port| config.is_linked(*port)).collect(),
        })
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        let Some((last, others)) = self.linked.split_last() else {
            return Ok(());
        };
        for frame in frames.drain() {
            for port in others {
                ctx.emit(*port, frame.clone())?;
            }
            ctx.emit(*last, frame)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::Harness;

    #[test]
    fn every_linked_output_gets_the_same_memory_in_order() -> Result {
        // The input, the first output and the third.
        let mut tee = Harness::<Tee>::with_linked_ports(&[], 0b01011)?;
        let frames: Vec<Frame> = (0..3)
            .map(|n| Frame::from_bytes(Kind::Data, "payload".into()).with_pts(n))
            .collect();
        let at: Vec<_> = frames.iter().map(|f| f.payload().as_ptr()).collect();
        let out = tee.push(0, frames)?;
        for port in [1, 3] {
            let of_port = out.iter().filter(|(p, _)| *p == port);
            let got: Vec<_> = of_port
                .map(|(_, f)| (f.pts(), f.payload().as_ptr()))
                .collect();
            assert_eq!(got, [(0, at[0]), (1, at[1]), (2, at[2])]);
        }
        assert_eq!((out.len(), tee.bytes_copied()), (6, 0));
        Ok(())
    }

    #[test]
    fn without_outputs_frames_are_released() -> Result {
        let mut tee = Harness::<Tee>::with_linked_ports(&[], 1)?;
        let frame = Frame::new(Kind::Data, tee.loan(100)?);
        assert!(tee.push(0, vec![frame])?.is_empty());
        Ok(())
    }
}
