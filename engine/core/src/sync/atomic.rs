//! Loom's atomics, of whose accesses every order is tried.
//!
//! Of one atomic loom remembers only who used it last, a load included. So in its own search a thread
//! that loads a value and then exchanges it hides that another thread had loaded it before: that the
//! exchange might have come first is never tried (tokio-rs/loom, issues 166 and 392), and a loop around an
//! exchange is hardly tried at all. Here each access begins with a signal that nobody waits for. Signals
//! order no memory, and loom takes any two of the same condition for dependent, so it tries the accesses
//! behind them in every order.
#![forbid(unsafe_code)]

use loom::sync::{
    Condvar,
    atomic::{self, Ordering},
};

macro_rules! atomic {
    ($name:ident $(<$of:ident>)?, $inner:ty, $value:ty) => {
        #[derive(Default)]
        pub(crate) struct $name $(<$of>)? {
            turn: Condvar,
            value: $inner,
        }

        // The standard types have all of these; what stands for them here need not be used whole.
        #[allow(dead_code)]
        impl $(<$of>)? $name $(<$of>)? {
            pub fn new(value: $value) -> Self {
                Self {
                    turn: Condvar::new(),
                    value: <$inner>::new(value),
                }
            }

            fn value(&self) -> &$inner {
                self.turn.notify_one();
                &self.value
            }

            pub fn load(&self, order: Ordering) -> $value {
                self.value().load(order)
            }

            pub fn store(&self, value: $value, order: Ordering) {
                self.value().store(value, order);
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                self.value().swap(value, order)
            }

            pub fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                done: Ordering,
                not: Ordering,
            ) -> Result<$value, $value> {
                self.value().compare_exchange(from, to, done, not)
            }

            pub fn compare_exchange_weak(
                &self,
                from: $value,
                to: $value,
                done: Ordering,
                not: Ordering,
            ) -> Result<$value, $value> {
                self.value().compare_exchange_weak(from, to, done, not)
            }
        }
    };
}

macro_rules! counting {
    ($name:ident, $value:ty) => {
        #[allow(dead_code)]
        impl $name {
            pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                self.value().fetch_add(value, order)
            }

            pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
                self.value().fetch_sub(value, order)
            }
        }
    };
}

atomic!(AtomicBool, atomic::AtomicBool, bool);
atomic!(AtomicU32, atomic::AtomicU32, u32);
atomic!(AtomicU64, atomic::AtomicU64, u64);
atomic!(AtomicUsize, atomic::AtomicUsize, usize);
atomic!(AtomicPtr<T>, atomic::AtomicPtr<T>, *mut T);
counting!(AtomicU32, u32);
counting!(AtomicU64, u64);
counting!(AtomicUsize, usize);
