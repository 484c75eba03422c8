//! The gate: how many connections are open, and who gives way when all places are taken.
//!
//! Every connection holds a [`Ticket`]. It is *idle* while it has asked for nothing: no whole request yet, between two
//! requests, or a WebSocket that has not joined. When all tickets are out, a newcomer takes the place of the
//! connection that has been idle for longest, so thousands of connections that say nothing cannot shut anybody out.
//! If all are busy, the newcomer is turned away.
//!
//! What must hold: at most `max` tickets count at any time. One whose place was taken no longer counts, and its
//! connection, which waits on [`Ticket::evicted`], ends at its next step.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
pub(super) struct Gate {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Every ticket that counts, with its place among the idle ones if it is idle.
    open: HashMap<u64, Option<u64>>,
    /// The idle tickets, longest idle first.
    idle: BTreeMap<u64, (u64, Arc<Notify>)>,
}

/// One open connection. Dropping it frees the place.
#[derive(Debug)]
pub(super) struct Ticket {
    id: u64,
    gate: Arc<Gate>,
    evicted: Arc<Notify>,
}

impl Gate {
    pub(super) fn new(max: usize) -> Gate {
        Gate {
            max,
            state: Mutex::default(),
        }
    }

    /// Gives an idle ticket; `None` if all are out and busy.
    pub(super) fn admit(self: &Arc<Gate>) -> Option<Ticket> {
        let mut state = self.lock();
        if state.open.len() >= self.max {
            let (_, (id, evicted)) = state.idle.pop_first()?;
            state.open.remove(&id);
            evicted.notify_one();
        }
        let id = state.next;
        state.next += 1;
        let ticket = Ticket {
            id,
            gate: self.clone(),
            evicted: Arc::default(),
        };
        state.open.insert(id, None);
        state.set_idle(&ticket);
        Some(ticket)
    }

    /// Counts the open connections.
    pub(super) fn open(&self) -> usize {
        self.lock().open.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing here panics half-way: a poisoned state is a whole one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn set_idle(&mut self, ticket: &Ticket) {
        let place = self.next;
        self.next += 1;
        if let Some(slot @ None) = self.open.get_mut(&ticket.id) {
            *slot = Some(place);
            self.idle.insert(place, (ticket.id, ticket.evicted.clone()));
        }
    }
}

impl Ticket {
    /// Says that this connection is at work; it keeps its place.
    pub(super) fn busy(&self) {
        let mut state = self.gate.lock();
        if let Some(place) = state.open.get_mut(&self.id).and_then(Option::take) {
            state.idle.remove(&place);
        }
    }

    /// Says that this connection waits for its client; it gives way to a newcomer.
    pub(super) fn idle(&self) {
        self.gate.lock().set_idle(self);
    }

    /// Waits until another connection has taken this one's place.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
        // Whoever else waits (the connection hands over to the WebSocket) must learn of it too.
        self.evicted.notify_one();
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.busy();
        self.gate.lock().open.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn is_evicted(ticket: &Ticket) -> bool {
        ticket.evicted().now_or_never().is_some()
    }

    #[test]
    fn a_newcomer_takes_the_place_of_the_longest_idle() {
        let gate = Arc::new(Gate::new(3));
        let [a, b, c] = [(); 3].map(|()| gate.admit().unwrap());
        a.busy();
        let d = gate.admit().unwrap();
        assert_eq!(
            [&a, &b, &c, &d].map(is_evicted),
            [false, true, false, false]
        );
        assert_eq!(gate.open(), 3);
        assert!(is_evicted(&b), "the news stays for whoever asks next");
    }

    #[test]
    fn when_all_are_busy_the_newcomer_is_turned_away() {
        let gate = Arc::new(Gate::new(2));
        let [a, b] = [(); 2].map(|()| gate.admit().unwrap());
        a.busy();
        b.busy();
        assert!(gate.admit().is_none());
        a.idle();
        assert!(gate.admit().is_some());
        assert!(is_evicted(&a));
        assert!(!is_evicted(&b));
    }

    #[test]
    fn idle_again_means_last_in_line() {
        let gate = Arc::new(Gate::new(2));
        let [a, b] = [(); 2].map(|()| gate.admit().unwrap());
        a.busy();
        a.idle();
        let _c = gate.admit().unwrap();
        assert!(is_evicted(&b));
        assert!(!is_evicted(&a));
    }

    #[test]
    fn a_ticket_counts_once_whatever_happens_to_it() {
        let gate = Arc::new(Gate::new(1));
        let a = gate.admit().unwrap();
        let b = gate.admit().unwrap();
        drop(a);
        assert_eq!(gate.open(), 1);
        b.busy();
        b.busy();
        b.idle();
        b.idle();
        drop(b);
        assert_eq!(gate.open(), 0);
        assert!(gate.lock().idle.is_empty());
    }
}
