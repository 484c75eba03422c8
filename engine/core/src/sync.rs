//! What the lock-free parts are made of, under one name each.
//!
//! In a normal build these are the standard library's and crossbeam's own types, re-exported. In this
//! crate's unit tests under `--cfg loom` they are loom's ([`atomic`]), and small containers on top of loom's
//! ([`model`]), so that the models in [`channel`](crate::channel), [`scheduler`](crate::scheduler) and
//! [`frame::pool`](crate::frame::pool) try every interleaving and every reordering that the memory model allows:
//! `RUSTFLAGS="--cfg loom" cargo test -p levada-engine --release --lib loom`.
//!
//! What must hold: a container of [`model`] synchronises no more than the one it stands for, so that a
//! fence that is missing here is missing there as well.
#![cfg_attr(not(all(test, loom)), forbid(unsafe_code))]

#[cfg(not(all(test, loom)))]
pub(crate) use {
    crossbeam::{
        deque::{Injector, Steal},
        queue::ArrayQueue,
        sync::{Parker, Unparker},
    },
    ring::{pop_many, push_many, ring_buffer},
    rtrb::{Consumer, Producer},
    std::{
        alloc::{alloc_zeroed, dealloc},
        sync::{
            Arc, Mutex, MutexGuard,
            atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
        },
    },
};

#[cfg(all(test, loom))]
pub(crate) use {
    atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize},
    loom::{
        alloc::{alloc_zeroed, dealloc},
        sync::{
            Arc, Mutex, MutexGuard,
            atomic::{Ordering, fence},
        },
    },
    model::{
        ArrayQueue, Consumer, Injector, Parker, Producer, Steal, Unparker, pop_many, push_many,
        ring_buffer,
    },
};

#[cfg(not(all(test, loom)))]
mod ring;

#[cfg(all(test, loom))]
mod atomic;
#[cfg(all(test, loom))]
pub(crate) mod model;
