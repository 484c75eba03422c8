//! `select`: lets one of several inputs through.

use levada_plugin::prelude::*;

const INPUTS: usize = 4;
const OUT: usize = INPUTS;

/// Lets the frames of one input through and drops those of the others, which are counted.
///
/// **Inputs** `in1` to `in4`: any format; the one that is chosen has to be linked. **Outputs** `out`: its frames,
/// untouched. Keyframe requests and bitrates from behind go to that input alone. **Params** `input`: which one; it is
/// chosen when the session starts, so `levada run --set which.input=2` tries another. **Example**
/// `links = ["camera -> which.in1", "clip -> which.in2", "which -> screen"]` with
/// `which = { type = "select", params = { input = 2 } }`.
pub struct Select {
    chosen: usize,
}

impl Node for Select {
    const NAME: &'static str = "select";
    const SUMMARY: &'static str = "Lets one of several inputs through";
    const PORTS: &'static [Port] = &[
        Port::optional_input("in1").forwards_to(OUT as u32),
        Port::optional_input("in2").forwards_to(OUT as u32),
        Port::optional_input("in3").forwards_to(OUT as u32),
        Port::optional_input("in4").forwards_to(OUT as u32),
        Port::output("out"),
    ];
    const PARAMS: &'static [Param] = &[Param::integer("input", 1)
        .range(1.0, INPUTS as f64)
        .help("Which input passes")];

    fn create(config: &Config) -> Result<Self> {
        let input = config.integer("input")?;
        // The range above keeps it from 1 on.
        let chosen = input as usize - 1;
        if !config.is_linked(chosen) {
            return Err(Error::new(format_args!(
                "input = {input}, and in{input} is not linked; link it, or choose an input that is"
            )));
        }
        Ok(Select { chosen })
    }

    fn process(&mut self, port: usize, frames: &mut Frames, ctx: &mut Context) -> Result {
        if port != self.chosen {
            let dropped = frames.drain().count();
            ctx.dropped(dropped as u64);
        }
        Ok(())
    }

    fn event(&mut self, port: usize, event: Event, ctx: &mut Context) -> Result<bool> {
        if port == OUT {
            ctx.raise(self.chosen, event);
            return Ok(true);
        }
        // What the others say of their frames does not hold for those that pass.
        Ok(port != self.chosen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::{Harness, Value};

    fn frame(pts: i64) -> Frame {
        Frame::from_bytes(Kind::Data, "x".into()).with_pts(pts)
    }

    #[test]
    fn the_chosen_input_passes_in_place_and_the_others_are_counted() -> Result {
        let mut select = Harness::<Select>::new(&[("input", Value::Integer(2))])?;
        for port in 0..INPUTS {
            let out = select.push(port, vec![frame(0), frame(1)])?;
            let passed: Vec<_> = out.iter().map(|(to, f)| (*to, f.pts())).collect();
            let wanted: &[_] = if port == 1 {
                &[(OUT, 0), (OUT, 1)]
            } else {
                &[]
            };
            assert_eq!(passed, wanted);
        }
        assert_eq!((select.dropped(), select.bytes_copied()), (6, 0));
        Ok(())
    }

    #[test]
    fn events_go_to_and_come_from_the_chosen_input_alone() -> Result {
        let mut select = Harness::<Select>::new(&[("input", Value::Integer(3))])?;
        let event = |kind| Event {
            kind,
            stream: event::ALL_STREAMS,
            value: 0,
        };
        let request = event(event::kind::KEYFRAME_REQUEST);
        assert!(select.event(OUT, request)?);
        assert_eq!(select.take_raised(), [(2, request)]);
        let flush = event(event::kind::FLUSH);
        assert!(!select.event(2, flush)?, "it goes on");
        assert!(select.event(0, flush)?, "it does not");
        Ok(())
    }

    #[test]
    fn an_input_that_is_not_linked_is_refused_with_a_remedy() {
        let two = [("input", Value::Integer(2))];
        let refused = Harness::<Select>::with_linked_ports(&two, 0b10001).err();
        assert!(refused.is_some_and(|e| e.to_string().contains("in2 is not linked; link it")));
    }
}
