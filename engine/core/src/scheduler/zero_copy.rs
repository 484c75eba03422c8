//! [`Watch`]: finds the node that copies a payload without saying so.
//!
//! A watch stands beside one node. Before each call it is shown the frames that the node is given, after
//! it all that the node lets out: what it emitted and what it left to be forwarded. Memory is *known* to
//! the node when it was given it, in this call or before; a node may hold frames for as long as it likes
//! and let them out more than once. What leaves in other memory is *made* by the node, which is a copy
//! as far as anyone can tell, and has to be declared ([`copied`](levada_abi::HostVTable::copied)): what
//! a node has made so far may not exceed what it has declared so far.
//!
//! A loan of the pool is known by itself, whatever part of it a frame shows. So a block that a node
//! gives up and is loaned again is not mistaken for what was in it before. Other memory is known by its
//! addresses.
//!
//! Sources are not watched: nothing comes in that they could have copied. Neither are frames without
//! payload. A watch remembers the last [`MAX_KNOWN`] frames; a node that lets out one that is older than
//! that is accused wrongly.
#![forbid(unsafe_code)]

use std::{collections::VecDeque, ops::Range};

use levada_abi::{Frame, Status};

use crate::{
    frame::pool::{LoanId, Pool},
    graph::PortRef,
    plugin::{instance::Failed, outputs::Outputs},
    session::Session,
};

/// Frames that a watch remembers.
const MAX_KNOWN: usize = 4096;

/// See the module's documentation.
#[derive(Default)]
pub(crate) struct Watch {
    /// The newest last.
    known: VecDeque<Memory>,
    /// Bytes of payload in memory that the node was not given.
    made: u64,
}

/// A payload in memory that the node was not given, and has not declared to have copied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The output port where it left.
    pub port: usize,
    /// Its frame's presentation time in ns.
    pub pts: i64,
    /// Its length in bytes.
    pub len: u64,
    /// Bytes that the node has made so far, these included.
    pub made: u64,
    /// Bytes that it has declared so far.
    pub declared: u64,
}

struct Memory {
    /// Addresses of the payload.
    at: Range<usize>,
    loan: Option<LoanId>,
}

impl Memory {
    /// `None` when there is no payload.
    fn of(pool: &Pool, frame: &Frame) -> Option<Memory> {
        let payload = frame.buffer.as_slice().as_ptr_range();
        let at = payload.start.addr()..payload.end.addr();
        (!at.is_empty()).then(|| Memory {
            at,
            loan: pool.loan_id(&frame.buffer),
        })
    }

    fn contains(&self, other: &Memory) -> bool {
        match (self.loan, other.loan) {
            (Some(mine), Some(theirs)) => mine == theirs,
            _ => self.at.start <= other.at.start && other.at.end <= self.at.end,
        }
    }
}

impl Watch {
    /// Remembers what the node is about to be given.
    pub fn before(&mut self, pool: &Pool, given: &[Frame]) {
        for memory in given.iter().filter_map(|frame| Memory::of(pool, frame)) {
            self.know(memory);
        }
    }

    /// Looks at what a call let out, each frame with its output port. `declared` is what the node has
    /// declared so far, in bytes.
    ///
    /// # Errors
    /// The first frame that lies in undeclared memory.
    pub fn after<'f>(
        &mut self,
        pool: &Pool,
        declared: u64,
        out: impl IntoIterator<Item = (usize, &'f Frame)>,
    ) -> Result<(), Violation> {
        for (port, frame) in out {
            let Some(memory) = Memory::of(pool, frame) else {
                continue;
            };
            // What was given last is what mostly comes out.
            if self.known.iter().rev().any(|known| known.contains(&memory)) {
                continue;
            }
            let len = memory.at.len() as u64;
            self.made = self.made.saturating_add(len);
            if self.made > declared {
                return Err(Violation {
                    port,
                    pts: frame.pts,
                    len,
                    made: self.made,
                    declared,
                });
            }
            // One copy may leave in several frames and at several ports.
            self.know(memory);
        }
        Ok(())
    }

    fn know(&mut self, memory: Memory) {
        // A frame that comes again, as those of a filter's feedback do, takes no second place.
        if self.known.back().is_some_and(|last| last.contains(&memory)) {
            return;
        }
        if self.known.len() == MAX_KNOWN {
            self.known.pop_front();
        }
        self.known.push_back(memory);
    }
}

/// Shows a node's watch what a call let out: what it emitted, and what it left in its batch for an output.
/// Sets the node's error when there is a copy that was not declared.
pub(crate) fn after(
    watch: &mut Watch,
    session: &Session,
    node: usize,
    outputs: &Outputs,
    left: Option<(usize, &[Frame])>,
) -> Result<(), Failed> {
    let left = left.into_iter();
    let left = left.flat_map(|(port, frames)| frames.iter().map(move |frame| (port, frame)));
    let out = outputs.frames().chain(left);
    let declared = session.block.nodes[node].bytes_copied.get();
    watch
        .after(session.pool(), declared, out)
        .map_err(|violation| {
            let port = violation.port;
            let link = session.plan.way_out(PortRef { node, port });
            session.set_error(node, violation.cause(&link));
            Failed(Status::FAILED)
        })
}

impl Violation {
    /// What the node did wrong and what to do about it, for a message that names the node already.
    /// `link` names where the frame went, as `link "a.out -> b.in"`.
    pub fn cause(&self, link: &str) -> String {
        let Violation {
            pts,
            len,
            made,
            declared,
            ..
        } = self;
        format!(
            "it copied without saying so: on {link} the payload of {len} bytes at pts {pts} ns lies in memory that \
             the node was not given; of {made} such bytes so far it declared {declared}; edit payloads in place \
             (Context::make_writable does, and declares a copy where it needs one), or declare copies with \
             Host::copied"
        )
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use bytes::Bytes;
    use levada_abi::Buffer;
    use levada_plugin::Kind;

    use super::*;

    fn pool() -> Pool {
        Pool::new(1 << 20)
    }

    fn loan(pool: &Pool, pts: i64) -> Frame {
        Frame {
            buffer: pool.loan(1000).expect("room"),
            pts,
            ..Frame::default()
        }
    }

    fn of_bytes(bytes: &Bytes) -> Frame {
        levada_plugin::Frame::from_bytes(Kind::Data, bytes.clone()).into_abi()
    }

    fn as_bytes(frame: &Frame) -> Bytes {
        levada_plugin::Frame::from_abi(frame.clone())
            .expect("a frame")
            .into_bytes()
    }

    fn window(frame: &Frame, range: Range<usize>) -> Frame {
        let buffer = frame.buffer.clone().narrow(range).expect("it fits");
        Frame {
            buffer,
            ..frame.clone()
        }
    }

    /// A call that was given `given` and let out `out` at port 1.
    fn call(
        watch: &mut Watch,
        pool: &Pool,
        declared: u64,
        given: &[Frame],
        out: &[Frame],
    ) -> Result<(), Violation> {
        watch.before(pool, given);
        watch.after(pool, declared, out.iter().map(|frame| (1, frame)))
    }

    #[test]
    fn what_is_passed_on_or_narrowed_is_no_copy() {
        let (pool, mut watch) = (pool(), Watch::default());
        for given in [loan(&pool, 1), of_bytes(&Bytes::from(vec![1; 1000]))] {
            let out = [
                given.clone(),
                window(&given, 0..500),
                window(&given, 400..1000),
            ];
            assert_eq!(call(&mut watch, &pool, 0, &[given], &out), Ok(()));
        }
    }

    #[test]
    fn a_copy_is_found_and_told_with_port_pts_and_length() {
        let (pool, mut watch) = (pool(), Watch::default());
        let (given, copy) = (loan(&pool, 20), loan(&pool, 20));
        let found = Violation {
            port: 1,
            pts: 20,
            len: 1000,
            made: 1000,
            declared: 0,
        };
        let out = [given.clone(), copy];
        assert_eq!(call(&mut watch, &pool, 0, &[given], &out), Err(found));
        let text = found.cause("link \"a.out -> b.in\"");
        for part in [
            "link \"a.out -> b.in\"",
            "1000 bytes at pts 20 ns",
            "of 1000 such bytes so far it declared 0",
            "Context::make_writable",
            "Host::copied",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn a_copy_of_bytes_into_bytes_is_found() {
        let (pool, mut watch) = (pool(), Watch::default());
        let given = of_bytes(&Bytes::from(vec![1; 64]));
        let copy = of_bytes(&Bytes::copy_from_slice(given.buffer.as_slice()));
        assert!(call(&mut watch, &pool, 0, &[given], &[copy]).is_err());
    }

    #[test]
    fn a_declared_copy_may_leave_and_a_second_one_is_to_be_declared_too() {
        let (pool, mut watch) = (pool(), Watch::default());
        let copies = [loan(&pool, 1), loan(&pool, 2)];
        let given = loan(&pool, 0);
        assert_eq!(
            call(&mut watch, &pool, 1000, &[given], &copies[..1]),
            Ok(())
        );
        let found = call(&mut watch, &pool, 1999, &[], &copies[1..]).expect_err("1 byte short");
        assert_eq!((found.pts, found.made, found.declared), (2, 2000, 1999));
    }

    #[test]
    fn one_copy_that_leaves_several_times_is_declared_once() {
        let (pool, mut watch) = (pool(), Watch::default());
        let copy = loan(&pool, 0);
        let out = [copy.clone(), window(&copy, 10..20), copy];
        assert_eq!(call(&mut watch, &pool, 1000, &[], &out), Ok(()));
    }

    #[test]
    fn frames_may_be_held_over_calls_and_let_out_again_and_again() {
        let (pool, mut watch) = (pool(), Watch::default());
        let held: Vec<Frame> = (0..100).map(|pts| loan(&pool, pts)).collect();
        for frame in &held {
            let given = std::slice::from_ref(frame);
            assert_eq!(call(&mut watch, &pool, 0, given, &[]), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(call(&mut watch, &pool, 0, &[], &held), Ok(()));
        }
    }

    #[test]
    fn a_payload_may_leave_as_bytes_that_keep_it() {
        let (pool, mut watch) = (pool(), Watch::default());
        let given = loan(&pool, 0);
        let out = of_bytes(&as_bytes(&given).slice(10..90));
        assert_eq!(call(&mut watch, &pool, 0, &[given], &[out]), Ok(()));
    }

    #[test]
    fn a_block_that_is_loaned_again_is_new_memory_at_the_same_address() {
        let (pool, mut watch) = (pool(), Watch::default());
        let given = loan(&pool, 0);
        let at = given.buffer.raw().ptr;
        watch.before(&pool, std::slice::from_ref(&given));
        drop(given);
        let again = loan(&pool, 0);
        assert_eq!(again.buffer.raw().ptr, at);
        assert!(watch.after(&pool, 0, [(1, &again)]).is_err());
    }

    #[test]
    fn a_frame_without_payload_is_nothing_to_copy() {
        let (pool, mut watch) = (pool(), Watch::default());
        let out = [
            of_bytes(&Bytes::new()),
            window(&loan(&pool, 0), 5..5),
            Frame {
                buffer: Buffer::EMPTY,
                ..Frame::default()
            },
        ];
        assert_eq!(call(&mut watch, &pool, 0, &[], &out), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (pool, mut watch) = (pool(), Watch::default());
        let payloads = Bytes::from(vec![0; MAX_KNOWN + 1]);
        let frame = |at: usize| of_bytes(&payloads.slice(at..=at));
        for at in 0..=MAX_KNOWN {
            watch.before(&pool, &[frame(at)]);
        }
        assert_eq!(watch.known.len(), MAX_KNOWN);
        assert!(watch.after(&pool, 0, [(0, &frame(1))]).is_ok());
        assert!(watch.after(&pool, 0, [(0, &frame(0))]).is_err(), "too old");
    }
}
