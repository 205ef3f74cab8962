//! How a check decides: the vocabulary of a Kubernetes probe, and what a careful operator would add to it.

use std::time::Duration;

/// When a gate turns and when it does not. The defaults of the fields that a probe has are a probe's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// `spec.periodSeconds`: how long after an answer the gate is due again. Default 10 s, at least 1 s.
    pub period: Duration,
    /// `spec.initialDelaySeconds`: how long after [`Policy::start_when`] came to hold the gate is first asked. Default 0.
    pub initial_delay: Duration,
    /// `spec.successThreshold`: met answers in a row before a gate that is not True turns True. Default 1, at least 1.
    pub success_threshold: u32,
    /// `spec.failureThreshold`: other answers in a row before a True gate turns. Default 3, at least 1.
    pub failure_threshold: u32,
    /// `spec.startWhen`: from when on a gate is asked. Default containersReady.
    pub start_when: StartWhen,
    /// `spec.onFault`: what faults do to a gate that has a verdict. Default hold.
    pub on_fault: OnFault,
    /// `spec.maxStaleSeconds`: how long a condition is held without a verdict before it becomes Unknown. Default never,
    /// at least 1 s.
    pub max_stale: Option<Duration>,
    /// `spec.mode`. Default continuous.
    pub mode: Mode,
    /// `spec.maxUnready`: how many pods of one owner may be held not-True after they had been True. Default 50%.
    pub max_unready: MaxUnready,
    /// `spec.maxFlapsPerMinute`: how often a gate may turn from True to not-True in a minute. Default 6, 1 to 6000.
    pub max_flaps: u32,
    /// `spec.override`: whether an override annotation on a pod counts for this check's gates. Default true.
    pub overridable: bool,
}

/// From when on a gate is asked; until then its condition is Unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartWhen {
    /// The pod's `ContainersReady` is True.
    ContainersReady,
    /// The pod's `PodScheduled` is True.
    Scheduled,
    /// From the pod's creation on.
    Always,
}

/// What faults do to a gate that has a verdict. There is no True: it would lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFault {
    /// The condition stays.
    Hold,
    /// Faults count as unmet answers; the condition becomes False.
    False,
    /// Faults count as unmet answers; the condition becomes Unknown.
    Unknown,
}

/// For how long a True counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Until the check says otherwise.
    Continuous,
    /// For the life of the pod's containers and IP.
    Bootstrap,
}

/// A number of pods, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaxUnready {
    /// So many; at least 1.
    Count(u32),
    /// So many in a hundred, rounded up; 1 to 100. 100 is no limit.
    Percent(u32),
}

impl MaxUnready {
    /// How many of `pods` that is; at least 1.
    pub fn of(self, pods: usize) -> usize {
        match self {
            Self::Count(count) => count as usize,
            Self::Percent(percent) => (pods * percent as usize).div_ceil(100),
        }
        .max(1)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(10),
            initial_delay: Duration::ZERO,
            success_threshold: 1,
            failure_threshold: 3,
            start_when: StartWhen::ContainersReady,
            on_fault: OnFault::Hold,
            max_stale: None,
            mode: Mode::Continuous,
            max_unready: MaxUnready::Percent(50),
            max_flaps: 6,
            overridable: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_up_and_never_nothing() {
        let half = MaxUnready::Percent(50);
        assert_eq!([0, 1, 2, 3, 10].map(|pods| half.of(pods)), [1, 1, 1, 2, 5]);
        assert_eq!([1, 10].map(|pods| MaxUnready::Percent(100).of(pods)), [1, 10]);
        assert_eq!(MaxUnready::Count(3).of(2), 3);
    }
}
