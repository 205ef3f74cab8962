//! How many Events: a bucket for the host, and one for each pod.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

/// Of the host: a burst and then ten a second, so that a fleet that turns at once does not fill etcd.
const HOST: Rate = Rate { burst: 100.0, every: Duration::from_millis(100) };
/// Of one pod: what Kubernetes' own components allow themselves.
const POD: Rate = Rate { burst: 25.0, every: Duration::from_mins(5) };
/// Pods that are remembered.
const PODS: usize = 4096;

#[derive(Clone, Copy)]
struct Rate {
    burst: f64,
    /// A new one comes after this long.
    every: Duration,
}

struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { left: rate.burst, at: now }
    }

    fn fill(&mut self, rate: Rate, now: Instant) {
        let new = now.saturating_duration_since(self.at).as_secs_f64() / rate.every.as_secs_f64();
        self.left = (self.left + new).min(rate.burst);
        self.at = now;
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        self.fill(rate, now);
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }
}

/// Says which Events may be written.
pub(super) struct Limit {
    host: Bucket,
    pods: HashMap<Arc<str>, Bucket>,
}

impl Limit {
    pub(super) fn new(now: Instant) -> Self {
        Self { host: Bucket::full(HOST, now), pods: HashMap::new() }
    }

    /// Whether a new Event on this pod may be written now; it counts as written then.
    pub(super) fn create(&mut self, pod: &Arc<str>, now: Instant) -> bool {
        if self.pods.len() >= PODS && !self.pods.contains_key(pod) {
            self.forget(now);
        }
        let bucket = self.pods.entry(pod.clone()).or_insert_with(|| Bucket::full(POD, now));
        bucket.fill(POD, now);
        // A pod that may not takes nothing from the host, and the other way round.
        bucket.left >= 1.0 && self.host.take(HOST, now) && bucket.take(POD, now)
    }

    /// Whether an Event that is there may be counted up now.
    pub(super) fn repeat(&mut self, now: Instant) -> bool {
        self.host.take(HOST, now)
    }

    /// Lets go of the pods that have written nothing for longest.
    fn forget(&mut self, now: Instant) {
        let mut quiet: Vec<_> = self.pods.values().map(|bucket| now.saturating_duration_since(bucket.at)).collect();
        quiet.sort_unstable();
        let middle = quiet.get(quiet.len() / 2).copied().unwrap_or_default();
        let mut left = PODS / 2;
        self.pods.retain(|_, bucket| {
            let stays = left > 0 && now.saturating_duration_since(bucket.at) <= middle;
            left -= usize::from(stays);
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn created(limit: &mut Limit, pod: &str, tries: usize, now: Instant) -> usize {
        (0..tries).filter(|_| limit.create(&pod.into(), now)).count()
    }

    #[test]
    fn one_pod_has_a_burst_and_then_one_in_five_minutes_and_takes_nothing_from_others() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        assert_eq!(created(&mut limit, "noisy", 1000, start), 25);
        assert_eq!(created(&mut limit, "quiet", 10, start), 10);
        let later = start + Duration::from_mins(5);
        assert_eq!(created(&mut limit, "noisy", 10, later - Duration::from_secs(1)), 0);
        assert_eq!(created(&mut limit, "noisy", 10, later), 1);
    }

    #[test]
    fn the_host_has_a_burst_and_then_ten_a_second() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        let pods = |limit: &mut Limit, now| (0..500).map(|n| created(limit, &n.to_string(), 1, now)).sum::<usize>();
        assert_eq!(pods(&mut limit, start), 100);
        assert_eq!(pods(&mut limit, start + Duration::from_secs(2)), 20);
        assert!(!limit.repeat(start + Duration::from_secs(2)));
        assert!(limit.repeat(start + Duration::from_secs(3)));
    }

    #[test]
    fn pods_come_and_go_and_what_is_remembered_does_not_grow() {
        let start = Instant::now();
        let mut limit = Limit::new(start);
        for n in 0..3 * PODS {
            let now = start + Duration::from_secs(u64::try_from(n).unwrap());
            assert_eq!(created(&mut limit, &n.to_string(), 1, now), 1);
            assert!(limit.pods.len() <= PODS);
        }
        assert!(limit.pods.contains_key((3 * PODS - 1).to_string().as_str()), "the newest stays");
    }
}
