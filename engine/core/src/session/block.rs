//! [`Block`]: what a session has for each of its segments, nodes and links, in one piece of memory.
//!
//! *Layout.* [`BlockLayout`] is made once, with the plan. What a frame touches on its way lies together,
//! so that a session that has been out of the cache for a while costs few cache lines: the latter half of
//! the segment's task, its instances, the counts of frames, the nodes' states. The states of one segment's
//! nodes share cache lines, because one thread at a time runs them; where there are several segments, each
//! begins on another one. What is looked at now and then comes last.
//!
//! *Ownership.* A [`Row`] owns the values in its part of the memory, as a boxed slice does, but not the
//! memory. The block drops what its rows hold, then frees it.
//!
//! What must hold: the parts of a layout do not overlap, and one row stands for each.

use std::{
    alloc::Layout,
    ffi::c_void,
    marker::PhantomData,
    ops::{Deref, DerefMut, Range},
    ptr::NonNull,
    sync::atomic::AtomicBool,
};

use levada_abi::NodeHandle;

use super::{NodeState, handles};
use crate::{
    channel::{Ingress, Inlet, Outlet},
    graph::{Plan, PlanSegment},
    observe::Counter,
    plugin::instance::{self, Instance},
    scheduler::{flag::Flag, segment::Segment, task::Task},
};

/// Bytes of a cache line.
const LINE: usize = 64;
/// Cache lines of a segment that are fetched ahead.
const MAX_LINES: usize = 8;

/// A segment with its task, on cache lines of its own. A run without channels reads the second of them.
#[repr(C, align(64))]
pub(crate) struct SegmentTask {
    pub task: Task<Segment>,
    /// An event or a tick waits for one of its nodes.
    pub called: Flag,
    /// Its root is a source and has said that no frame follows.
    pub finished: AtomicBool,
}

#[cfg(all(target_pointer_width = "64", not(loom)))]
const _: () = assert!(size_of::<SegmentTask>() == 2 * LINE);

/// Values one behind the other in a block, up to a number that is fixed.
pub(crate) struct Row<T> {
    start: NonNull<T>,
    len: u32,
    capacity: u32,
}

// SAFETY: a row owns its values, as a vector does.
unsafe impl<T: Send> Send for Row<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Row<T> {}

impl<T> Row<T> {
    /// Adds a value behind the others.
    ///
    /// # Panics
    /// When the row is full: the layout is not this plan's.
    pub fn push(&mut self, value: T) {
        assert!(
            self.len < self.capacity,
            "a row of the session's block is full"
        );
        // SAFETY: there is room for one more value, which is this row's alone.
        unsafe { self.start.add(self.len as usize).write(value) };
        self.len += 1;
    }

    fn fill(&mut self)
    where
        T: Default,
    {
        while self.len < self.capacity {
            self.push(T::default());
        }
    }

    /// Drops the values, the first one first.
    pub fn clear(&mut self) {
        let len = std::mem::take(&mut self.len) as usize;
        // SAFETY: so many values are there, and none is looked at again.
        unsafe { NonNull::slice_from_raw_parts(self.start, len).drop_in_place() };
    }
}

impl<T> Drop for Row<T> {
    fn drop(&mut self) {
        self.clear();
    }
}

impl<T> Deref for Row<T> {
    type Target = [T];
    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: so many values are there, and whoever borrows the row shares them.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }
}

impl<T> DerefMut for Row<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and nobody else borrows it.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len as usize) }
    }
}

impl<'a, T> IntoIterator for &'a Row<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Where a block has room for values of one kind.
struct Part<T> {
    offset: usize,
    count: u32,
    kind: PhantomData<fn() -> T>,
}

impl<T> Part<T> {
    /// Offsets in the block.
    fn reach(&self) -> Range<usize> {
        self.offset..self.offset + self.count as usize * size_of::<T>()
    }
}

impl<T> Default for Part<T> {
    /// Room for nothing.
    fn default() -> Part<T> {
        let kind = PhantomData;
        Part {
            offset: 0,
            count: 0,
            kind,
        }
    }
}

/// Where the parts of a plan's sessions lie in their blocks.
#[derive(Default)]
pub(crate) struct BlockLayout {
    whole: Extent,
    tasks: Part<SegmentTask>,
    /// By segment, as are outlets and inlets.
    instances: Box<[Part<Instance>]>,
    passed: Part<Counter>,
    /// By node: the offset of its state.
    states: Box<[usize]>,
    state_bytes: usize,
    outlets: Box<[Part<Outlet>]>,
    inlets: Box<[Part<Inlet>]>,
    nodes: Part<NodeState>,
    dropped: Part<Counter>,
    arrived: Part<Counter>,
    ingress: Part<Ingress>,
    /// By segment: the offsets of the cache lines that a run touches, the first few.
    lines: Box<[Box<[usize]>]>,
}

impl BlockLayout {
    /// Lays out the sessions of a plan, all else of which is settled. `None` beyond the address space.
    pub fn new(plan: &Plan) -> Option<BlockLayout> {
        let mut at = Extent::default();
        // At least one, because memory of no size cannot be allocated.
        let tasks = at.part(plan.segments.len().max(1))?;
        let instances = plan.segments.iter().map(|s| at.part(s.nodes.len()));
        let instances = instances.collect::<Option<Box<[Part<Instance>]>>>()?;
        let passed = at.part(plan.routes.len() + plan.runs.len())?;
        let begin = at.0.size();
        let mut states = vec![0; plan.nodes.len()];
        for segment in &plan.segments {
            // The counts of all segments lie in front.
            if plan.segments.len() > 1 {
                at.next_line()?;
            }
            for &node in &segment.nodes {
                states[node] = at.put(instance::state_layout(&plan.types[node])?)?;
            }
        }
        let state_bytes = at.0.size() - begin;
        let (mut outlets, mut inlets) = (vec![], vec![]);
        for segment in &plan.segments {
            // The ends of a channel are written by different threads.
            if segment.outlets + segment.inlets > 0 {
                at.next_line()?;
            }
            outlets.push(at.part(segment.outlets)?);
            inlets.push(at.part(segment.inlets)?);
        }
        let lines = |(index, segment): (usize, &PlanSegment)| {
            let task = tasks.reach().start + index * size_of::<SegmentTask>();
            let first = [task + LINE..task + 2 * LINE, instances[index].reach()];
            let state = |node: &usize| {
                let begin = states[*node];
                begin..begin + plan.types[*node].desc().state_size
            };
            let parts = first.into_iter().chain([passed.reach()]);
            let parts = parts.chain(segment.nodes.iter().map(state));
            let mut lines: Vec<usize> = parts
                .flat_map(|part| part.start / LINE..part.end.div_ceil(LINE))
                .collect();
            lines.dedup();
            lines.truncate(MAX_LINES);
            lines.into_iter().map(|line| line * LINE).collect()
        };
        let lines = plan.segments.iter().enumerate().map(lines).collect();
        Some(BlockLayout {
            lines,
            tasks,
            instances,
            passed,
            states: states.into(),
            state_bytes,
            outlets: outlets.into(),
            inlets: inlets.into(),
            nodes: at.part(plan.nodes.len())?,
            dropped: at.part(plan.routes.len())?,
            arrived: at.part(plan.channels.len())?,
            ingress: at.part(plan.ingress.len())?,
            whole: at,
        })
    }

    /// What the nodes' states take, in bytes.
    pub fn state_bytes(&self) -> usize {
        self.state_bytes
    }
}

/// What is laid out so far.
struct Extent(Layout);

impl Default for Extent {
    fn default() -> Extent {
        Extent(Layout::new::<()>())
    }
}

impl Extent {
    fn put(&mut self, part: Layout) -> Option<usize> {
        let offset;
        (self.0, offset) = self.0.extend(part).ok()?;
        Some(offset)
    }

    fn part<T>(&mut self, count: usize) -> Option<Part<T>> {
        Some(Part {
            offset: self.put(Layout::array::<T>(count).ok()?)?,
            count: u32::try_from(count).ok()?,
            kind: PhantomData,
        })
    }

    fn next_line(&mut self) -> Option<()> {
        self.put(Layout::from_size_align(0, LINE).ok()?).map(|_| ())
    }
}

/// See the module's documentation. What every frame needs comes first.
#[repr(C)]
pub(crate) struct Block {
    pub tasks: Row<SegmentTask>,
    /// By link: frames that were put in. Then by run of the plan: frames that went all the way, which are
    /// not counted on its links.
    pub passed: Row<Counter>,
    pub nodes: Row<NodeState>,
    /// By link: frames that never arrived.
    pub dropped: Row<Counter>,
    /// By channel: frames that its consumer has taken.
    pub arrived: Row<Counter>,
    pub ingress: Row<Ingress>,
    layout: Layout,
}

// SAFETY: the memory is the block's own, and what its rows hold may move between threads.
unsafe impl Send for Block {}
// SAFETY: what its rows hold may be shared; the memory of the states is touched by its instances alone.
unsafe impl Sync for Block {}

impl Block {
    /// Makes the block of a session whose nodes have these handles, without the instances.
    pub fn new(plan: &Plan, handles: &[NodeHandle]) -> Block {
        let layout = &plan.block;
        let whole = layout.whole.0;
        // SAFETY: there is room for one task at least, so the size is not zero.
        let memory = unsafe { std::alloc::alloc(whole) };
        let Some(memory) = NonNull::new(memory) else {
            std::alloc::handle_alloc_error(whole)
        };
        // SAFETY: the parts are of this layout, and each is used once, here and below.
        let mut block = unsafe {
            Block {
                tasks: row(memory, &layout.tasks),
                passed: row(memory, &layout.passed),
                nodes: row(memory, &layout.nodes),
                dropped: row(memory, &layout.dropped),
                arrived: row(memory, &layout.arrived),
                ingress: row(memory, &layout.ingress),
                layout: whole,
            }
        };
        block.passed.fill();
        block.dropped.fill();
        block.arrived.fill();
        block.ingress.fill();
        for handle in handles {
            block.nodes.push(NodeState::new(*handle));
        }
        for (index, segment) in plan.segments.iter().enumerate() {
            let root = handles[segment.nodes[0]];
            // SAFETY: as above.
            let (nodes, outlets, inlets) = unsafe {
                (
                    row(memory, &layout.instances[index]),
                    row(memory, &layout.outlets[index]),
                    row(memory, &layout.inlets[index]),
                )
            };
            let segment = Segment::new(index, nodes, outlets, inlets);
            block.tasks.push(SegmentTask {
                task: Task::new(handles::gate(root), root.generation, segment),
                called: Flag::default(),
                finished: AtomicBool::new(false),
            });
        }
        block
    }

    /// The tasks are the first thing in it.
    fn memory(&self) -> NonNull<u8> {
        self.tasks.start.cast()
    }

    /// Has the processor fetch, all at once, what a run of a segment is about to touch.
    #[inline]
    pub fn prefetch(&self, layout: &BlockLayout, segment: usize) {
        for line in &layout.lines[segment] {
            prefetch(self.memory().as_ptr().wrapping_add(*line));
        }
    }

    /// Where the state of a node lies, in a block of this layout.
    pub fn state(&self, layout: &BlockLayout, node: usize) -> *mut c_void {
        let state = self.memory().as_ptr().wrapping_add(layout.states[node]);
        state.cast()
    }
}

/// Has the processor fetch a cache line, where it is known how to; the address need not be valid.
#[inline]
pub(super) fn prefetch(line: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch has no effect that the program could see, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = line;
}

/// A row in a block's memory.
///
/// # Safety
/// The part must be of the memory's layout, no other row stand for it, and the row be dropped or cleared
/// before the memory is freed.
unsafe fn row<T>(memory: NonNull<u8>, part: &Part<T>) -> Row<T> {
    Row {
        // SAFETY: the offset lies inside the memory, or at its end.
        start: unsafe { memory.add(part.offset) }.cast(),
        len: 0,
        capacity: part.count,
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // The instances with them, whose states lie in the memory.
        self.tasks.clear();
        self.passed.clear();
        self.nodes.clear();
        self.dropped.clear();
        self.arrived.clear();
        self.ingress.clear();
        // SAFETY: allocated in `new` with this layout, and no row holds anything any more.
        unsafe { std::alloc::dealloc(self.memory().as_ptr(), self.layout) };
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::rc::Rc;

    use levada_plugin::{Builtin, Cost, prelude::*};

    use super::*;
    use crate::{graph::GraphBuilder, plugin::Registry, session::Session};

    /// A node whose state begins with bytes of this kind.
    macro_rules! node_type {
        ($name:ident, $text:literal, $state:ty, $ports:expr, $cost:expr) => {
            struct $name($state);
            impl Node for $name {
                const NAME: &'static str = $text;
                const SUMMARY: &'static str = "Does nothing";
                const PORTS: &'static [Port] = $ports;
                const COST: Cost = $cost;
                fn create(_config: &Config) -> Result<Self> {
                    Ok($name(Default::default()))
                }
            }
            impl Drop for $name {
                fn drop(&mut self) {
                    std::hint::black_box(&self.0);
                }
            }
        };
    }

    /// Asks for cache lines of its own.
    #[derive(Default)]
    #[repr(align(64))]
    struct Apart(#[allow(dead_code, reason = "it only takes up room")] u8);

    const FILTER: &[Port] = &[Port::input("in"), Port::output("out")];
    node_type!(Source, "source", u64, &[Port::output("out")], Cost::Light);
    node_type!(Filter, "filter", [u8; 3], FILTER, Cost::Light);
    node_type!(Lined, "lined", Apart, FILTER, Cost::Light);
    node_type!(Coder, "coder", u64, FILTER, Cost::Heavy);
    node_type!(Sink, "sink", u64, &[Port::input("in")], Cost::Light);

    /// The plan of a straight line of nodes of these types.
    fn line(types: &[&str]) -> Plan {
        let plugin = Builtin::new("test", "1.0.0")
            .with::<Source>()
            .with::<Filter>()
            .with::<Lined>()
            .with::<Coder>()
            .with::<Sink>();
        let mut registry = Registry::default();
        registry.add(&plugin.into_plugin());
        let mut graph = GraphBuilder::new("test");
        for (index, node_type) in types.iter().enumerate() {
            graph.node(&format!("n{index}"), node_type);
        }
        for index in 1..types.len() {
            graph.link(&format!("n{} -> n{index}", index - 1));
        }
        let graph = graph.build(&registry).unwrap_or_else(|e| panic!("{e}"));
        Plan::new(graph, &registry).unwrap_or_else(|e| panic!("{e}"))
    }

    fn reach<T>(part: &Part<T>) -> Range<usize> {
        assert_eq!(part.offset % align_of::<T>(), 0);
        part.offset..part.offset + part.count as usize * size_of::<T>()
    }

    #[test]
    fn the_parts_of_a_block_lie_apart_and_within_it() {
        let types = ["source", "filter", "coder", "lined", "filter", "coder"];
        for count in 1..=types.len() {
            let plan = line(&[&types[..count], &["sink"]].concat());
            let BlockLayout {
                whole: Extent(whole),
                tasks,
                instances,
                passed,
                states,
                state_bytes: _,
                outlets,
                inlets,
                nodes,
                dropped,
                arrived,
                ingress,
                lines: _,
            } = &plan.block;
            let mut all = vec![
                reach(tasks),
                reach(passed),
                reach(nodes),
                reach(dropped),
                reach(arrived),
                reach(ingress),
            ];
            all.extend(instances.iter().map(reach));
            all.extend(outlets.iter().map(reach));
            all.extend(inlets.iter().map(reach));
            for (state, node_type) in states.iter().zip(&plan.types) {
                assert_eq!(state % node_type.desc().state_align.max(8), 0);
                all.push(*state..state + node_type.desc().state_size);
            }
            all.sort_by_key(|part| (part.start, part.end));
            assert!(all.last().is_some_and(|part| part.end <= whole.size()));
            let apart = all.windows(2).all(|two| two[0].end <= two[1].start);
            assert!(apart, "{all:?}");
            let counts = [instances.len(), outlets.len(), inlets.len()];
            assert_eq!(counts, [plan.segments.len(); 3]);
            let of = |part: &Part<Instance>| part.count as usize;
            assert_eq!(instances.iter().map(of).sum::<usize>(), plan.nodes.len());
        }
    }

    #[test]
    fn states_share_cache_lines_within_a_segment_unless_they_ask_for_their_own() {
        let plan = line(&[
            "source", "filter", "filter", "coder", "filter", "lined", "sink",
        ]);
        let line_of = |node: usize| plan.block.states[node] / LINE;
        assert_eq!(plan.segments.len(), 3);
        assert_eq!(line_of(0), line_of(1));
        assert!(line_of(2) < line_of(3) && line_of(3) < line_of(4));
        assert!(line_of(4) < line_of(5) && line_of(5) < line_of(6));
    }

    #[test]
    fn a_run_of_four_light_nodes_touches_few_cache_lines_of_its_block() {
        let plan = line(&["source", "filter", "filter", "sink"]);
        // The task, the instances, and for counts and states of 128 bytes two or three.
        assert!((4..=5).contains(&plan.block.lines[0].len()));
        let plan = line(&["source", "filter", "coder", "sink"]);
        for (segment, lines) in plan.block.lines.iter().enumerate() {
            let of_others = |other: usize| {
                plan.segments[other]
                    .nodes
                    .iter()
                    .map(|n| plan.block.states[*n])
            };
            let others = (0..plan.segments.len()).filter(|other| *other != segment);
            for state in others.flat_map(of_others) {
                assert!(
                    !lines.contains(&(state / LINE * LINE)),
                    "a line of another thread's"
                );
            }
        }
    }

    #[test]
    fn a_session_of_four_light_nodes_leaves_half_of_two_kilobytes_to_timers_and_handles() {
        let plan = line(&["source", "filter", "filter", "sink"]);
        let bytes = size_of::<Session>() + plan.block.whole.0.size();
        assert!(bytes <= 1024, "{bytes}");
    }

    #[test]
    fn a_row_drops_each_of_its_values_once() {
        let layout = Layout::new::<[Rc<()>; 3]>();
        // SAFETY: the layout is not of size zero.
        let memory = NonNull::new(unsafe { std::alloc::alloc(layout) }).expect("a few bytes");
        let part = Part {
            offset: 0,
            count: 3,
            kind: PhantomData,
        };
        // SAFETY: the only row there, and it is cleared before the memory is freed.
        let mut row = unsafe { row(memory, &part) };
        let value = Rc::new(());
        for count in 1..=3 {
            row.push(value.clone());
            assert_eq!((row.len(), Rc::strong_count(&value)), (count, count + 1));
        }
        row.clear();
        assert_eq!((row.len(), Rc::strong_count(&value)), (0, 1));
        row.push(value.clone());
        drop(row);
        assert_eq!(Rc::strong_count(&value), 1);
        // SAFETY: allocated above.
        unsafe { std::alloc::dealloc(memory.as_ptr(), layout) };
    }

    #[test]
    #[should_panic(expected = "a row of the session's block is full")]
    fn a_full_row_takes_no_more() {
        let part = Part::default();
        // SAFETY: it has room for nothing.
        unsafe { row(NonNull::<u64>::dangling().cast(), &part) }.push(0_u64);
    }
}
