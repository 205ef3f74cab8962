//! Answers on their way from the guests' threads to those who wait for them: several at once where many calls end, because
//! waking a thread on another core costs as much as a short call.
//!
//! An answer waits for as long as its thread goes on with other short calls, and not for long: it is handed over before
//! the thread goes to sleep, and before the next call and with the next answer where it has waited for a moment. Whoever
//! waits for a single answer gets it at once; and so does everybody while there are guests that compute for long, because
//! one of those might be what the thread goes on with.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer waits for others: some short calls.
const MOMENT: Duration = Duration::from_micros(200);

/// How many wait.
const MOST: usize = 64;

/// For how long after a guest has computed for long no answer waits.
const HASTE: Duration = Duration::from_secs(1);

/// What hands an answer over and wakes who waits for it.
type HandOver = Box<dyn FnOnce() + Send>;

/// The answers that are there and not yet handed over.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<Held>);

#[derive(Default)]
struct Held {
    answers: Vec<HandOver>,
    /// Since when the first of them is there.
    since: Option<Instant>,
    /// Until when none waits.
    haste: Option<Instant>,
}

impl Deliveries {
    /// Takes an answer, to be handed over soon.
    pub(super) fn add(&self, hand_over: impl FnOnce() + Send + 'static) {
        let now = Instant::now();
        let mut held = self.lock();
        held.since.get_or_insert(now);
        held.answers.push(Box::new(hand_over));
        hand_over_where(held, |held| held.is_due(now));
    }

    /// Hands all over if one has waited for a moment.
    pub(super) fn due(&self, now: Instant) {
        hand_over_where(self.lock(), |held| held.is_due(now));
    }

    /// Hands all over.
    pub(super) fn all(&self) {
        hand_over_where(self.lock(), |_| true);
    }

    /// Hands all over: a guest computes for long.
    pub(super) fn make_haste(&self, now: Instant) {
        let mut held = self.lock();
        held.haste = Some(now + HASTE);
        hand_over_where(held, |_| true);
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is_due(&self, now: Instant) -> bool {
        self.answers.len() >= MOST
            || self.since.is_some_and(|since| now.saturating_duration_since(since) >= MOMENT)
            || self.haste.is_some_and(|until| now < until)
    }
}

/// Not under the lock: waking takes a while.
fn hand_over_where(mut held: MutexGuard<'_, Held>, due: impl FnOnce(&Held) -> bool) {
    if held.answers.is_empty() || !due(&held) {
        return;
    }
    let answers = mem::take(&mut held.answers);
    held.since = None;
    drop(held);
    for hand_over in answers {
        hand_over();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use super::*;

    fn add(deliveries: &Deliveries, count: &Arc<AtomicUsize>) {
        let count = count.clone();
        deliveries.add(move || {
            count.fetch_add(1, SeqCst);
        });
    }

    #[test]
    fn an_answer_waits_for_a_moment_and_no_longer() {
        let (deliveries, count) = (Deliveries::default(), Arc::default());
        add(&deliveries, &count);
        let since = deliveries.lock().since.unwrap();
        deliveries.due(since + MOMENT / 2);
        assert_eq!(count.load(SeqCst), 0);
        deliveries.due(since + MOMENT);
        assert_eq!(count.load(SeqCst), 1);
        deliveries.due(since + 2 * MOMENT);
        assert_eq!(count.load(SeqCst), 1);
    }

    #[test]
    fn the_next_answer_takes_those_along_that_have_waited() {
        let (deliveries, count) = (Deliveries::default(), Arc::default());
        add(&deliveries, &count);
        deliveries.lock().since = Instant::now().checked_sub(MOMENT);
        add(&deliveries, &count);
        assert_eq!(count.load(SeqCst), 2);
    }

    #[test]
    fn no_more_than_so_many_wait() {
        let (deliveries, count) = (Deliveries::default(), Arc::default());
        for added in 1..=3 * MOST {
            add(&deliveries, &count);
            assert!(added - count.load(SeqCst) < MOST);
        }
        deliveries.all();
        assert_eq!(count.load(SeqCst), 3 * MOST);
    }

    #[test]
    fn nothing_waits_where_guests_compute_for_long() {
        let (deliveries, count) = (Deliveries::default(), Arc::default());
        add(&deliveries, &count);
        deliveries.make_haste(Instant::now());
        add(&deliveries, &count);
        assert_eq!(count.load(SeqCst), 2);
        deliveries.lock().haste = Some(Instant::now());
        add(&deliveries, &count);
        assert_eq!(count.load(SeqCst), 2);
    }
}
