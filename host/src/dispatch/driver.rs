//! The loop around the core: reads the clocks, runs calls and writes, feeds their ends back.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, bail};
use tokio::{
    sync::{mpsc, watch},
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until, timeout_at},
};

use super::{Action, Call, Core, Event, Note, Now, Options, Outcome, Patch, Rule, Rules, Spared, Writer};
use crate::{
    catalog::{Live, Snapshot},
    sandbox::{Evaluated, Evaluation},
};

/// How many events are taken in before actions are carried out, so that one burst of the watch does not delay calls.
const BATCH: usize = 256;
/// How often the loop comes by at least, ...
const HEARTBEAT: Duration = Duration::from_secs(1);
/// ... and how late it is when the process stood still.
const STALLED: Duration = Duration::from_secs(1);
/// How long writes in flight may take to end after a stop.
const GRACE: Duration = Duration::from_secs(4);

/// Told what happens, for metrics, logs and `dev`'s table. Called on the driver's task, so it must not block.
pub trait Observer: Send + 'static {
    /// A call ended: after `took` from being let in.
    fn answered(&mut self, call: &Call, ended: &Evaluated, took: Duration);
    /// A write ended.
    fn wrote(&mut self, patch: &Patch, outcome: &Outcome, took: Duration);
    /// Something happened that people should hear of.
    fn noted(&mut self, note: &Note);
    /// A call was not made.
    fn spared(&mut self, _: &Spared) {}
    /// A batch of events has been worked off, or the time that [`Observer::again`] named has come.
    fn changed(&mut self, core: &Core);
    /// When to call [`Observer::changed`] again even though nothing happens.
    fn again(&self) -> Option<Instant> {
        None
    }
}

/// What the driver runs on.
#[derive(Debug)]
pub struct Inputs<W> {
    /// The live checks.
    pub catalog: watch::Receiver<Arc<Snapshot>>,
    /// The pods.
    pub events: mpsc::Receiver<Event>,
    /// Carries writes out.
    pub writer: W,
    /// For the core.
    pub options: Options,
}

/// What the loop woke up for.
#[expect(clippy::large_enum_variant, reason = "one lives at a time, for the length of a match")]
enum Woken {
    Stopped,
    Done(Result<Done, JoinError>),
    /// A call waits for an answer from outside.
    Outside(u64),
    Catalog(Result<(), watch::error::RecvError>),
    Events(usize),
    Timer,
}

enum Done {
    Call(Call, Evaluated, Duration),
    Write(Patch, Outcome, Duration),
}

/// Works until `stop`, then lets writes in flight end, for at most 4 s.
///
/// # Errors
/// When the catalog or the source of pods ends by itself, or a call or a write panics: each is a defect, and the
/// process should end visibly.
pub async fn drive<W: Writer>(
    inputs: Inputs<W>,
    mut observer: impl Observer,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Inputs { mut catalog, mut events, writer, options } = inputs;
    let start = Instant::now();
    let now = || Now { mono: start.elapsed(), wall: wall() };
    let mut core = Core::new(options);
    let mut tasks = JoinSet::new();
    let (waits, mut waiting) = mpsc::unbounded_channel();
    let mut batch = Vec::with_capacity(BATCH);
    let mut snapshot = catalog.borrow_and_update().clone();
    core.handle(Event::Rules(rules(&snapshot)), now());
    tokio::pin!(stop);
    let mut beat = Instant::now();
    loop {
        core.advance(now());
        for action in core.actions() {
            match action {
                Action::Call(call) => start_call(&mut tasks, &snapshot, call, &waits)?,
                Action::Patch(patch) => start_write(&mut tasks, &writer, patch),
                Action::Note(note) => observer.noted(&note),
                Action::Spared(spared) => observer.spared(&spared),
            }
        }
        observer.changed(&core);
        let wake = core.next_wake().map(|at| start + at).into_iter().chain(observer.again()).min();
        let wake = wake.map_or(beat + HEARTBEAT, |wake| wake.min(beat + HEARTBEAT));
        let woken = tokio::select! {
            biased;
            () = &mut stop => Woken::Stopped,
            Some(done) = tasks.join_next() => Woken::Done(done),
            Some(id) = waiting.recv() => Woken::Outside(id),
            changed = catalog.changed() => Woken::Catalog(changed),
            count = events.recv_many(&mut batch, BATCH) => Woken::Events(count),
            () = sleep_until(wake) => Woken::Timer,
        };
        // Before anything that came in meanwhile: a call that the standstill cut off looks like any other that is late.
        if beat.elapsed() > HEARTBEAT + STALLED {
            tracing::warn!(seconds = beat.elapsed().as_secs(), "stood still: what is known of the pods may be old");
            core.handle(Event::Stalled, now());
        }
        beat = Instant::now();
        match woken {
            Woken::Stopped => break,
            Woken::Done(done) => {
                take(&mut core, &mut observer, done, now())?;
                while let Some(done) = tasks.try_join_next() {
                    take(&mut core, &mut observer, done, now())?;
                }
            }
            Woken::Outside(id) => {
                core.handle(Event::Outside { id }, now());
                while let Ok(id) = waiting.try_recv() {
                    core.handle(Event::Outside { id }, now());
                }
            }
            Woken::Catalog(changed) => {
                changed.context("the catalog ended")?;
                snapshot = catalog.borrow_and_update().clone();
                core.handle(Event::Rules(rules(&snapshot)), now());
            }
            Woken::Events(0) => bail!("the source of pods ended"),
            Woken::Events(_) => {
                // What is told of pods may rest on checks that have just come into force.
                if catalog.has_changed().context("the catalog ended")? {
                    snapshot = catalog.borrow_and_update().clone();
                    core.handle(Event::Rules(rules(&snapshot)), now());
                }
                for event in batch.drain(..) {
                    core.handle(event, now());
                }
            }
            Woken::Timer => {}
        }
    }
    let deadline = Instant::now() + GRACE;
    while core.writing() > 0
        && let Ok(Some(done)) = timeout_at(deadline, tasks.join_next()).await
    {
        take(&mut core, &mut observer, done, now())?;
    }
    Ok(())
}

fn start_call(
    tasks: &mut JoinSet<Done>,
    snapshot: &Snapshot,
    call: Call,
    waits: &mpsc::UnboundedSender<u64>,
) -> anyhow::Result<()> {
    let checks = if call.key.dry_run { &snapshot.dry_runs } else { &snapshot.checks };
    let live = checks.get(&call.key.gate).context("a call for a gate without a check")?;
    let plugin = live.plugin.clone();
    let evaluation = Evaluation {
        check: call.check.clone(),
        pod: call.pod.clone(),
        config: live.check.config.clone(),
        now: call.now,
        timeout: live.check.timeout,
        grant: live.grant.clone(),
        kept: call.kept.clone(),
    };
    let (id, waits) = (call.id, waits.clone());
    let waits = Arc::new(move || {
        // Nobody hears it where the loop has ended.
        let _ = waits.send(id);
    });
    tasks.spawn(async move {
        let begin = Instant::now();
        let ended = plugin.evaluate_telling(evaluation, waits).await;
        Done::Call(call, ended, begin.elapsed())
    });
    Ok(())
}

fn start_write<W: Writer>(tasks: &mut JoinSet<Done>, writer: &W, patch: Patch) {
    let writer = writer.clone();
    tasks.spawn(async move {
        let begin = Instant::now();
        let outcome = writer.write(patch.clone()).await;
        Done::Write(patch, outcome, begin.elapsed())
    });
}

fn take(core: &mut Core, observer: &mut impl Observer, done: Result<Done, JoinError>, now: Now) -> anyhow::Result<()> {
    match done.context("a call or a write panicked")? {
        Done::Call(call, ended, took) => {
            observer.answered(&call, &ended, took);
            let Evaluated { answer, keep, reads, .. } = ended;
            core.handle(Event::Answered { id: call.id, answer, keep, reads }, now);
        }
        Done::Write(patch, outcome, took) => {
            observer.wrote(&patch, &outcome, took);
            core.handle(Event::Wrote { id: patch.id, outcome }, now);
        }
    }
    Ok(())
}

fn rules(snapshot: &Snapshot) -> Rules {
    let rule = |(gate, live): (&Arc<str>, &Arc<Live>)| {
        let Live { check, generation, plugin, .. } = &**live;
        let (select, policy) = (check.select.clone(), check.policy.clone());
        let memory = plugin.description().memory_version.as_deref().map(Into::into);
        (gate.clone(), Arc::new(Rule { check: check.name.clone(), generation: *generation, select, policy, memory }))
    };
    Rules {
        scanned: snapshot.generation > 0,
        live: snapshot.checks.iter().map(rule).collect(),
        dry_run: snapshot.dry_runs.iter().map(rule).collect(),
    }
}

/// Unix milliseconds. A clock before 1970 reads 0.
fn wall() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
