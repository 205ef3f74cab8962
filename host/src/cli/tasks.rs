//! The tasks of a command: all in one set, ended together, and none of them ends unseen.

use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::sleep,
};

/// How long tasks may take to end after a stop.
const GRACE: Duration = Duration::from_millis(4_500);

/// Tells everybody who asks that the end has come.
#[derive(Clone, Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Resolves once the end has come.
    pub(super) async fn wait(&self) {
        // A sender that is gone means the same.
        let _ = self.0.clone().wait_for(|stopped| *stopped).await;
    }

    fn is_set(&self) -> bool {
        *self.0.borrow()
    }
}

/// Named tasks, each of which is expected to run until the stop.
#[derive(Debug)]
pub(super) struct Tasks {
    set: JoinSet<(&'static str, anyhow::Result<()>)>,
    stop: Stop,
    grace: Duration,
}

impl Tasks {
    /// A set that SIGTERM, SIGINT and SIGHUP stop.
    pub(super) fn new() -> anyhow::Result<Self> {
        let (sender, receiver) = watch::channel(false);
        let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be caught")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be caught")?;
        let mut hangup = signal(SignalKind::hangup()).context("SIGHUP cannot be caught")?;
        let mut tasks = Self { set: JoinSet::new(), stop: Stop(receiver), grace: GRACE };
        tasks.spawn("signals", async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                _ = hangup.recv() => {}
            }
            sender.send_replace(true);
            Ok(())
        });
        Ok(tasks)
    }

    pub(super) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    pub(super) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// Runs until the stop and then until the task `last` has ended, for at most the grace. A task that ends before the
    /// stop is an error, whatever it returned.
    pub(super) async fn finish(mut self, last: &'static str) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        let late = async {
            stop.wait().await;
            sleep(self.grace).await;
        };
        tokio::pin!(late);
        loop {
            let ended = tokio::select! {
                ended = self.set.join_next() => ended.context("no task is left")?,
                () = &mut late => {
                    tracing::warn!("{last} did not end in time and was cut off");
                    return Ok(());
                }
            };
            let (name, result) = ended.context("a task panicked")?;
            result.with_context(|| format!("{name} failed"))?;
            if !stop.is_set() {
                bail!("{name} ended by itself, which is a defect of gatehost");
            }
            if name == last {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;

    fn tasks() -> (watch::Sender<bool>, Tasks) {
        let (sender, receiver) = watch::channel(false);
        (sender, Tasks { set: JoinSet::new(), stop: Stop(receiver), grace: Duration::from_millis(50) })
    }

    #[tokio::test]
    async fn a_task_that_ends_before_the_stop_ends_everything_and_is_named() {
        let (_sender, mut tasks) = tasks();
        tasks.spawn("serving", pending());
        tasks.spawn("watching", async { Ok(()) });
        let error = tasks.finish("serving").await.unwrap_err();
        assert!(format!("{error:#}").starts_with("watching ended by itself"));
    }

    #[tokio::test]
    async fn after_the_stop_only_the_last_task_is_waited_for() {
        let (sender, mut tasks) = tasks();
        let stop = tasks.stop();
        tasks.spawn("serving", pending());
        tasks.spawn("dispatch", async move {
            stop.wait().await;
            Ok(())
        });
        sender.send_replace(true);
        tasks.finish("dispatch").await.unwrap();
    }

    #[tokio::test]
    async fn a_task_that_does_not_end_is_cut_off() {
        let (sender, mut tasks) = tasks();
        tasks.spawn("dispatch", pending());
        sender.send_replace(true);
        tasks.finish("dispatch").await.unwrap();
    }
}
