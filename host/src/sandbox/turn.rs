//! Whose turn it is to compute: few calls at a time, and those that wait for an answer from outside are not among them.

use std::{future::poll_fn, pin::pin, sync::Arc};

use tokio::{
    sync::{AcquireError, OwnedSemaphorePermit, Semaphore},
    task::yield_now,
};

/// A call's right to compute, which is given up while a host function waits, or to exist.
#[derive(Debug)]
pub(super) struct Turn {
    /// That of the check's own calls, so that one check cannot take all of it, and that of all.
    check: Option<Arc<Semaphore>>,
    all: Arc<Semaphore>,
    held: [Option<OwnedSemaphorePermit>; 2],
}

impl Turn {
    /// Nothing is held yet.
    pub(super) fn new(check: Option<Arc<Semaphore>>, all: Arc<Semaphore>) -> Self {
        Self { check, all, held: [None, None] }
    }

    /// Waits for it, where it is not held: first within the check, then among all.
    pub(super) async fn take(&mut self) -> Result<(), AcquireError> {
        self.take_telling(|| {}).await
    }

    /// The same. Each time that it has to wait for others of its check, that is told.
    pub(super) async fn take_telling(&mut self, waits: impl Fn()) -> Result<(), AcquireError> {
        let Self { check, all, held } = self;
        let [own, among_all] = held;
        if among_all.is_some() {
            return Ok(());
        }
        if let Some(check) = check {
            let mut permit = pin!(check.clone().acquire_owned());
            let mut has_waited = false;
            let told = poll_fn(|cx| {
                let polled = permit.as_mut().poll(cx);
                if polled.is_pending() {
                    has_waited = true;
                    waits();
                }
                polled
            });
            *own = Some(told.await?);
            if has_waited {
                // A task that another one wakes is the next on its thread, before those that have been there for longer.
                waits();
                yield_now().await;
            }
        }
        *among_all = Some(all.clone().acquire_owned().await?);
        Ok(())
    }

    /// Waits for one among all alone, where nothing is held: a check may have as many of these as there are.
    pub(super) async fn take_among_all(&mut self) -> Result<(), AcquireError> {
        let [_, among_all] = &mut self.held;
        if among_all.is_none() {
            *among_all = Some(self.all.clone().acquire_owned().await?);
        }
        Ok(())
    }

    pub(super) fn give_up(&mut self) {
        self.held = [None, None];
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::Cell,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_check_takes_no_more_turns_than_its_own_and_one_that_is_given_up_is_free() {
        let (all, busy, calm) = (Arc::new(Semaphore::new(3)), Arc::new(Semaphore::new(2)), Arc::new(Semaphore::new(2)));
        let mut turns: Vec<_> = (0..3).map(|_| Turn::new(Some(busy.clone()), all.clone())).collect();
        assert!(poll(turns[0].take()).is_ready() && poll(turns[1].take()).is_ready());
        assert!(poll(turns[2].take()).is_pending());
        let mut other = Turn::new(Some(calm), all.clone());
        assert!(poll(other.take()).is_ready());
        assert_eq!(all.available_permits(), 0);
        turns[0].give_up();
        assert!(poll(turns[2].take()).is_ready());
        drop(turns);
        assert_eq!((all.available_permits(), busy.available_permits()), (2, 2));
    }

    #[test]
    fn whoever_has_waited_for_others_of_its_check_lets_those_go_first_that_are_there() {
        let (all, busy) = (Arc::new(Semaphore::new(2)), Arc::new(Semaphore::new(1)));
        let [mut first, mut second] = [(); 2].map(|()| Turn::new(Some(busy.clone()), all.clone()));
        assert!(poll(first.take()).is_ready(), "nobody was there");
        let told = Cell::new(0);
        let mut waits = pin!(second.take_telling(|| told.set(told.get() + 1)));
        let mut again = || waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(again().is_pending());
        first.give_up();
        assert!(again().is_pending(), "it is free, and others are there");
        assert!(again().is_ready());
        assert_eq!(told.get(), 2, "both times it was the check's own doing");
        assert_eq!((all.available_permits(), busy.available_permits()), (1, 0));
    }

    #[test]
    fn one_among_all_is_not_counted_within_the_check() {
        let (all, own) = (Arc::new(Semaphore::new(2)), Arc::new(Semaphore::new(1)));
        let mut turns: Vec<_> = (0..3).map(|_| Turn::new(Some(own.clone()), all.clone())).collect();
        assert!(turns[..2].iter_mut().all(|turn| poll(turn.take_among_all()).is_ready()));
        assert_eq!((all.available_permits(), own.available_permits()), (0, 1));
        assert!(poll(turns[2].take_among_all()).is_pending());
        assert!(poll(turns[0].take_among_all()).is_ready(), "it has it");
        turns[0].give_up();
        assert!(poll(turns[2].take_among_all()).is_ready());
    }
}
