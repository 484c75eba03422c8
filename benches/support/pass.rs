//! [`Pass`]: the node that every chain is made of.

use levada_plugin::prelude::*;

/// Lets frames through, and looks at the time stamp of each, as the least that a node does.
#[derive(Default)]
pub struct Pass {
    sum: i64,
}

impl Pass {
    /// The work of one frame, the same wherever a bench calls it from.
    #[inline]
    pub fn look(&mut self, pts: i64) {
        self.sum = self.sum.wrapping_add(pts);
    }
}

impl Node for Pass {
    const NAME: &'static str = "pass";
    const SUMMARY: &'static str = "Lets frames through";
    const PORTS: &'static [Port] = &[Port::input("in").forwards_to(1), Port::output("out")];

    fn create(_config: &Config) -> Result<Self> {
        Ok(Pass::default())
    }

    fn process(&mut self, _port: usize, frames: &mut Frames, _ctx: &mut Context) -> Result {
        for frame in frames.iter_mut() {
            self.look(frame.pts());
        }
        Ok(())
    }
}
