//! Answers on their way from the guests' threads to those who wait for them: several at once where many calls end, because
//! waking a thread on another core costs as much as a short call.
//!
//! An answer waits for as long as its thread goes on with other short calls, and not for long: it is handed over before
//! the thread goes to sleep, and before the next call and with the next answer where it has waited for a moment. Whoever
//! waits for a single answer gets it at once; and so does everybody while there are guests that compute for long, because
//! one of those might be what the thread goes on with.
//!
//! Of several answers a guest's thread hands over the first, with the errand to hand over the others: whoever gets that
//! one is awake, and on its own runtime it wakes the others without a call of the system. Where that takes long, because
//! the first is not looked at, the ticker hands over the others.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// How long an answer waits for others: some short calls.
const MOMENT: Duration = Duration::from_micros(200);

/// How many wait.
const MOST: usize = 64;

/// For how long after a guest has computed for long no answer waits.
const HASTE: Duration = Duration::from_secs(1);

/// What hands an answer over and wakes who waits for it.
type HandOver = Box<dyn FnOnce(Option<Errand>) + Send>;

/// The answers that are there and not yet handed over.
#[derive(Default)]
pub(super) struct Deliveries(Mutex<Held>);

#[derive(Default)]
struct Held {
    answers: VecDeque<HandOver>,
    /// Since when the first of them is there, or the one before it is handed over.
    since: Option<Instant>,
    /// Until when none waits.
    haste: Option<Instant>,
}

/// There are more answers: whoever drops this hands them over.
#[must_use = "dropped at once, it wakes the others at once"]
pub(super) struct Errand(Arc<Deliveries>);

impl Drop for Errand {
    fn drop(&mut self) {
        self.0.all();
    }
}

impl Deliveries {
    /// Takes an answer, to be handed over soon.
    pub(super) fn add(self: &Arc<Self>, hand_over: impl FnOnce(Option<Errand>) + Send + 'static) {
        let now = Instant::now();
        let mut held = self.lock();
        held.since.get_or_insert(now);
        held.answers.push_back(Box::new(hand_over));
        if held.is_due(now) {
            self.first(held, now);
        }
    }

    /// Hands over the first, and with it the errand, if one has waited for a moment.
    pub(super) fn due(self: &Arc<Self>, now: Instant) {
        let held = self.lock();
        if held.is_due(now) {
            self.first(held, now);
        }
    }

    /// The same, however short it has waited: nobody may look again for a while.
    pub(super) fn rest(self: &Arc<Self>) {
        let held = self.lock();
        if !held.answers.is_empty() {
            self.first(held, Instant::now());
        }
    }

    /// Hands all over.
    pub(super) fn all(&self) {
        hand_all_over(self.lock());
    }

    /// Hands all over, if one has waited for a moment: whoever had the errand did not do it.
    pub(super) fn overdue(&self, now: Instant) {
        let held = self.lock();
        if held.is_due(now) {
            hand_all_over(held);
        }
    }

    /// Hands all over: a guest computes for long.
    pub(super) fn make_haste(&self, now: Instant) {
        let mut held = self.lock();
        held.haste = Some(now + HASTE);
        hand_all_over(held);
    }

    /// Not under the lock: waking takes a while.
    fn first(self: &Arc<Self>, mut held: MutexGuard<'_, Held>, now: Instant) {
        let Some(first) = held.answers.pop_front() else { return };
        let are_more = !held.answers.is_empty();
        held.since = are_more.then_some(now);
        drop(held);
        first(are_more.then(|| Errand(self.clone())));
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

/// Not under the lock, either.
fn hand_all_over(mut held: MutexGuard<'_, Held>) {
    let answers = mem::take(&mut held.answers);
    held.since = None;
    drop(held);
    for hand_over in answers {
        hand_over(None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        atomic::{AtomicUsize, Ordering::SeqCst},
        mpsc::{Receiver, channel},
    };

    use super::*;

    fn add(deliveries: &Arc<Deliveries>, count: &Arc<AtomicUsize>) {
        let count = count.clone();
        deliveries.add(move |errand| {
            drop(errand);
            count.fetch_add(1, SeqCst);
        });
    }

    /// Answers that are there, the first with its errand told, however long this thread is held up meanwhile.
    fn several(deliveries: &Deliveries, more: usize, count: &Arc<AtomicUsize>) -> Receiver<Option<Errand>> {
        let (sender, receiver) = channel();
        let mut held = deliveries.lock();
        held.since = Some(Instant::now());
        held.answers.push_back(Box::new(move |errand| sender.send(errand).unwrap()));
        for _ in 0..more {
            let count = count.clone();
            held.answers.push_back(Box::new(move |_| {
                count.fetch_add(1, SeqCst);
            }));
        }
        receiver
    }

    #[test]
    fn an_answer_waits_for_a_moment_and_no_longer() {
        let (deliveries, count) = (Arc::<Deliveries>::default(), Arc::default());
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
        let (deliveries, count) = (Arc::<Deliveries>::default(), Arc::default());
        add(&deliveries, &count);
        deliveries.lock().since = Instant::now().checked_sub(MOMENT);
        add(&deliveries, &count);
        assert_eq!(count.load(SeqCst), 2);
    }

    #[test]
    fn no_more_than_so_many_wait() {
        let (deliveries, count) = (Arc::<Deliveries>::default(), Arc::default());
        for added in 1..=3 * MOST {
            add(&deliveries, &count);
            assert!(added - count.load(SeqCst) < MOST);
        }
        deliveries.all();
        assert_eq!(count.load(SeqCst), 3 * MOST);
    }

    #[test]
    fn nothing_waits_where_guests_compute_for_long() {
        let (deliveries, count) = (Arc::<Deliveries>::default(), Arc::default());
        add(&deliveries, &count);
        deliveries.make_haste(Instant::now());
        add(&deliveries, &count);
        assert_eq!(count.load(SeqCst), 2);
        deliveries.lock().haste = Some(Instant::now());
        add(&deliveries, &count);
        assert_eq!(count.load(SeqCst), 2);
    }

    #[test]
    fn whoever_gets_the_first_hands_over_the_others() {
        let (deliveries, count) = (Arc::<Deliveries>::default(), Arc::default());
        let first = several(&deliveries, 2, &count);
        deliveries.rest();
        let errand = first.recv().unwrap();
        assert_eq!(count.load(SeqCst), 0, "they wait for whoever has the errand");
        drop(errand);
        assert_eq!(count.load(SeqCst), 2);
    }

    #[test]
    fn an_errand_that_nobody_does_holds_up_the_others_for_a_moment() {
        let (deliveries, count) = (Arc::<Deliveries>::default(), Arc::default());
        let _first = several(&deliveries, 3, &count);
        deliveries.rest();
        let since = deliveries.lock().since.unwrap();
        deliveries.overdue(since + MOMENT / 2);
        assert_eq!(count.load(SeqCst), 0);
        deliveries.overdue(since + MOMENT);
        assert_eq!(count.load(SeqCst), 3);
    }

    #[test]
    fn a_single_answer_has_no_errand() {
        let (deliveries, count) = (Arc::<Deliveries>::default(), Arc::default());
        let first = several(&deliveries, 0, &count);
        deliveries.rest();
        assert!(first.recv().unwrap().is_none());
        assert!(deliveries.lock().since.is_none());
    }
}
