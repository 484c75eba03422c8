//! `queue`: lets what comes before it go on while what comes behind it works.

use levada_plugin::prelude::*;

/// Passes every frame on, on a worker's thread of its own turn, so that the nodes before it need not wait for those
/// behind it.
///
/// Nodes in a row run in one call where they are light; one that takes long, such as an encoder, begins a row of its own
/// by itself. A queue makes that cut by hand. What waits, waits in the link into it, whose `capacity` and `policy` say how
/// much and what is dropped when it is full; the node keeps nothing.
///
/// **Inputs** `in`: any format. **Outputs** `out`: the same frames. **Params** none. **Example**
/// `links = [{ from = "camera", to = "wait", capacity = 32, policy = "drop-oldest" }, "wait -> screen"]`
/// with `wait = { type = "queue" }`.
pub struct Queue;

impl Node for Queue {
    const NAME: &'static str = "queue";
    const SUMMARY: &'static str =
        "Lets what comes before it go on while what comes behind it works";
    const PORTS: &'static [Port] = &[Port::input("in").forwards_to(1), Port::output("out")];
    // What is heavy runs on a worker, behind a channel.
    const COST: Cost = Cost::Heavy;

    fn create(_config: &Config) -> Result<Self> {
        Ok(Queue)
    }

    fn process(&mut self, _port: usize, _frames: &mut Frames, _ctx: &mut Context) -> Result {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use levada_plugin::harness::Harness;

    #[test]
    fn frames_pass_where_they_lie() -> Result {
        let mut queue = Harness::<Queue>::new(&[])?;
        let frames: Vec<Frame> = (0..3)
            .map(|n| Frame::from_bytes(Kind::Data, "payload".into()).with_pts(n))
            .collect();
        let out = queue.push(0, frames)?;
        let times: Vec<_> = out.iter().map(|(port, f)| (*port, f.pts())).collect();
        assert_eq!(times, [(1, 0), (1, 1), (1, 2)]);
        assert_eq!(queue.bytes_copied(), 0);
        Ok(())
    }
}
