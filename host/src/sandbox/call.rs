//! One call of a guest: a fresh store, a deadline, an answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{Mutex, Semaphore},
    task::{JoinSet, yield_now},
    time::timeout_at,
};
use wasmtime::{
    Store, UpdateDeadline,
    component::{InstancePre, ResourceTable},
};
use wasmtime_wasi::WasiCtx;

use super::{
    ConfigError, Description, Evaluated, Evaluation,
    bindings::{self, PluginIndices, gatehost::check::types},
    engine::Shared,
    fault::{Ended, Had, fault},
    grant::{Grant, Granted},
    limits::{Allowance, CONFIG_ERRORS, Exceeded, LOAD_TIMEOUT, Limiter},
    load::{LoadError, Loaded},
    memory::Kept,
    output::Output,
    reach::{Asked, Reach, Refusal, Refusals, Waits},
    source::Reads,
    spent::Spent,
    ticker::TICK,
    turn::Turn,
    wasi,
};
use crate::{
    check::Limit,
    decide::{Blame, Fault, FaultKind, Status, Verdict, sanitize},
};

/// No timeout is longer.
const LONGEST: Duration = Duration::from_hours(24);

/// The call that is for a check and a pod.
const EVALUATE: &str = "evaluate";

/// What the host functions of one call work on.
pub(super) struct State {
    pub(super) wasi: WasiCtx,
    pub(super) table: ResourceTable,
    pub(super) now: u64,
    pub(super) output: Output,
    pub(super) reach: Reach,
    /// What it reads of the cluster's objects.
    pub(super) reads: Reads,
    turn: Turn,
    /// Held while it goes on computing for longer than a moment.
    long: Arc<Mutex<Turn>>,
    /// What was kept before the call, nothing where it is about no gate, ...
    pub(super) kept: Option<Kept>,
    /// ... and what is to be kept instead, if it ends with a verdict.
    pub(super) keep: Option<Arc<[u8]>>,
    limiter: Limiter,
    spent: Spent,
}

impl State {
    /// Waits for something outside, for this long; nothing where it took longer. Meanwhile others may compute.
    pub(super) async fn outside<T>(
        &mut self,
        time: Duration,
        work: impl Future<Output = T> + Send,
    ) -> wasmtime::Result<Option<T>> {
        let Self { reach, turn, long, .. } = self;
        long.lock().await.give_up();
        turn.give_up();
        let done = reach.wait(time, work).await;
        turn.take().await?;
        Ok(done)
    }
}

/// Types only: there is nothing to call.
impl types::Host for State {}

/// Code that is ready to be instantiated.
pub(super) struct Code {
    pre: InstancePre<State>,
    indices: PluginIndices,
}

/// A call without an answer: how it ended, and what is told of it.
struct Failed {
    ended: Ended,
    fault: Fault,
}

/// Who is asked, when, for how long, and what it may reach.
#[derive(Clone)]
struct Call<'a> {
    name: &'static str,
    check: &'a str,
    pod: String,
    now: u64,
    chance: u64,
    timeout: Duration,
    /// What the guest may reach, and what it did in vain.
    grant: Grant,
    asked: Asked,
    kept: Option<Kept>,
    refusals: Refusals,
    reads: Reads,
    waits: Option<Waits>,
}

/// Asks a plugin that is being loaded what it is.
pub(super) async fn describe(shared: &Arc<Shared>, code: &Arc<Code>) -> Result<types::Description, LoadError> {
    let call = Call::at_load("describe", shared.chance.of("describe"));
    let answer = run(shared, code, call, |mut store, plugin| async move {
        plugin.gatehost_check_gate().call_describe(&mut store).await
    });
    answer.await.map_err(|failed| match failed.ended {
        Ended::Failed(error) if error.is::<WrongTypes>() => LoadError::Mismatch(error.into_boxed_dyn_error()),
        _ => LoadError::Describe(failed.fault),
    })
}

pub(super) async fn validate(plugin: &Loaded, config: Arc<str>) -> Result<Vec<ConfigError>, Fault> {
    let call = Call::at_load("validate", plugin.shared.chance.of(&config));
    let answer = run(&plugin.shared, &plugin.code, call, |mut store, plugin| async move {
        plugin.gatehost_check_gate().call_validate(&mut store, &config).await
    });
    let answer = answer.await.map_err(|failed| failed.fault)?;
    let wrong = answer.err().unwrap_or_default();
    let mut told: Vec<_> = wrong.iter().take(CONFIG_ERRORS).map(config_error).collect();
    if let more @ 1.. = wrong.len().saturating_sub(CONFIG_ERRORS) {
        told.push(ConfigError { path: String::new(), message: format!("{more} more things are wrong") });
    }
    Ok(told)
}

pub(super) async fn evaluate(plugin: &Loaded, evaluation: Evaluation, waits: Option<Waits>) -> Evaluated {
    let Evaluation { check, pod, config, now, timeout, grant, kept } = evaluation;
    let pod = pod.open();
    let (refusals, reads) = (Refusals::default(), Reads::default());
    let call = Call {
        name: EVALUATE,
        check: &check,
        pod: format!("{}/{}", pod.namespace, pod.name),
        now: now.try_into().unwrap_or(0),
        chance: plugin.shared.chance.of((&pod.uid, &config, now)),
        timeout,
        grant: grant.clone(),
        asked: Asked::about(&pod),
        kept: Some(kept),
        refusals: refusals.clone(),
        reads: reads.clone(),
        waits,
    };
    let ended = run(&plugin.shared, &plugin.code, call, |mut store, plugin| async move {
        let pod = store.data_mut().table.push(pod)?;
        let answer = plugin.gatehost_check_gate().call_evaluate(&mut store, pod, &config).await?;
        Ok((answer, store.data_mut().keep.take()))
    });
    let (answer, keep) = match ended.await {
        Ok((answer, keep)) => (answer.as_ref().map(verdict).map_err(guest_fault), keep),
        Err(failed) => (Err(failed.fault), None),
    };
    let refusals = refusals.take();
    tell(&grant, &check, &refusals);
    Evaluated { keep: keep.filter(|_| answer.is_ok()), answer, refusals, reads: reads.take() }
}

/// Logs refusals, each once for each version of a check.
fn tell(grant: &Grant, check: &str, refusals: &[Refusal]) {
    for refusal in refusals {
        let Refusal { import, message } = refusal;
        if grant.is_news(refusal) {
            tracing::warn!(check, import, "refused: {message}");
        }
    }
}

/// The functions that a component exports are not those of the contract.
#[derive(Debug, thiserror::Error)]
#[error("an export has the wrong type")]
struct WrongTypes;

impl Code {
    pub(super) fn new(pre: InstancePre<State>) -> wasmtime::Result<Self> {
        Ok(Self { indices: PluginIndices::new(&pre)?, pre })
    }
}

impl Call<'_> {
    fn at_load(name: &'static str, chance: u64) -> Self {
        Self {
            name,
            check: "",
            pod: String::new(),
            now: 0,
            chance,
            timeout: LOAD_TIMEOUT,
            grant: Grant::default(),
            asked: Asked::default(),
            kept: None,
            refusals: Refusals::default(),
            reads: Reads::default(),
            waits: None,
        }
    }
}

/// Makes an instance on the guests' runtime and lets `ask` ask it. The deadline counts from here: waiting for a turn
/// and starting the instance are part of it.
async fn run<T, F, A>(shared: &Arc<Shared>, code: &Arc<Code>, call: Call<'_>, ask: F) -> Result<T, Failed>
where
    T: Send + 'static,
    F: FnOnce(Store<State>, bindings::Plugin) -> A + Send + 'static,
    A: Future<Output = wasmtime::Result<T>> + Send,
{
    let deadline = Instant::now() + call.timeout.min(LONGEST);
    let granted = call.grant.0.clone();
    let allowance = granted.as_deref().map_or(shared.ceilings, |granted| granted.allowance);
    let (output, spent) = (Output::new(&allowance), Spent::new());
    let task = {
        let (shared, code, output, spent) = (shared.clone(), code.clone(), output.clone(), spent.clone());
        let Call { now, chance, grant, asked, kept, refusals, reads, waits, .. } = call.clone();
        let own = |line: fn(&Granted) -> &Arc<Semaphore>| grant.0.as_deref().map(|granted| line(granted).clone());
        let mut place = Turn::new(own(|granted| &granted.places), shared.places.clone());
        let mut turn = Turn::new(own(|granted| &granted.computing), shared.turns.clone());
        let long = Arc::new(Mutex::new(Turn::new(own(|granted| &granted.long), shared.long.clone())));
        let reach = Reach::new(grant.0, asked, deadline, refusals, waits);
        async move {
            // Whoever waits outside keeps its place, so there are more of these than turns. Who has a turn has a place.
            place.take().await?;
            turn.take().await?;
            let _running = shared.ticker.running();
            let wasi = wasi::context(now, chance, &shared.chance, &output);
            let (keep, table, limiter) = (None, table(&allowance), Limiter::new(allowance));
            let state = State { wasi, table, now, output, reach, reads, turn, long, kept, keep, limiter, spent };
            let mut store = store(&shared, state, &allowance, deadline);
            let instance = code.pre.instantiate_async(&mut store).await?;
            let plugin = code.indices.load(&mut store, &instance).map_err(|error| error.context(WrongTypes))?;
            let answer = ask(store, plugin).await;
            drop(place);
            answer
        }
    };
    let answer = supervise(shared.guests(), deadline, spent.clone().watch(task)).await;
    let rate = granted.as_deref().map_or(&shared.log, |granted| &granted.log);
    output.log(call.name, call.check, &call.pod, rate);
    answer.map_err(|ended| {
        tracing::debug!(call = call.name, check = call.check, pod = call.pod, ?ended, "a call ended without an answer");
        let (timeout, ceilings, for_check) = (call.timeout, shared.ceilings, call.name == EVALUATE);
        let fault = fault(&ended, &Had { timeout, allowance, ceilings, for_check }, &output);
        let fault = Fault { blame: spent.blame(&fault), ..fault };
        Failed { ended, fault }
    })
}

/// The only place where a store is made: what is not limited here is not limited.
fn store(shared: &Shared, state: State, allowance: &Allowance, deadline: Instant) -> Store<State> {
    let mut store = Store::new(&shared.engine, state);
    store.limiter(|state| &mut state.limiter);
    store.set_hostcall_fuel(allowance.size(Limit::HostCall));
    store.set_max_component_handles(allowance.size(Limit::Handles));
    store.set_epoch_deadline(1);
    let begin = Instant::now();
    store.epoch_deadline_callback(move |store| {
        let now = Instant::now();
        if now >= deadline {
            return Err(Exceeded::Deadline.into());
        }
        if now.saturating_duration_since(begin) < TICK {
            return Ok(UpdateDeadline::Yield(1));
        }
        let long = store.data().long.clone();
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(next_of_the_long(long))))
    });
    store
}

/// Lets others compute, and waits until one that has computed for a while may go on: there is always a thread that
/// none of them has, so that a call which takes a moment never waits for those that spin.
async fn next_of_the_long(long: Arc<Mutex<Turn>>) {
    let mut long = long.lock().await;
    long.give_up();
    yield_now().await;
    // It fails where the process ends.
    let _ = long.take().await;
}

fn table(allowance: &Allowance) -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(allowance.size(Limit::Handles));
    table
}

/// Runs a task on the guests' runtime and waits for it on the caller's, so that no guest can delay the deadline. A
/// task that is late, or that nobody waits for any more, is dropped when it next yields.
async fn supervise<T: Send + 'static>(
    guests: &Handle,
    deadline: Instant,
    task: impl Future<Output = wasmtime::Result<T>> + Send + 'static,
) -> Result<T, Ended> {
    let mut tasks = JoinSet::new();
    tasks.spawn_on(task, guests);
    match timeout_at(deadline.into(), tasks.join_next()).await {
        Ok(Some(Ok(answer))) => answer.map_err(Ended::Failed),
        Ok(Some(Err(error))) if error.is_panic() => Err(Ended::Panicked),
        Ok(Some(Err(_)) | None) => Err(Ended::Stopped),
        Err(_) => Err(Ended::Deadline),
    }
}

pub(super) fn description(d: &types::Description) -> Description {
    Description {
        name: sanitize::text(&d.name, 63),
        version: sanitize::text(&d.version, 63),
        help: sanitize::text(&d.help, 256),
        config_schema: d.config_schema.clone(),
        memory_version: extra(&d.extra, "memory-version").map(|version| sanitize::text(version, 63)),
    }
}

/// The value of a documented key.
fn extra<'a>(extra: &'a [(String, String)], key: &str) -> Option<&'a str> {
    extra.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
}

fn config_error(e: &types::ConfigError) -> ConfigError {
    ConfigError { path: sanitize::text(&e.path, 256), message: sanitize::message(&e.message) }
}

fn verdict(v: &types::Verdict) -> Verdict {
    Verdict {
        status: match v.status {
            types::Status::Met => Status::True,
            types::Status::Unmet => Status::False,
            types::Status::Unknown => Status::Unknown,
        },
        reason: sanitize::reason(&v.reason),
        message: sanitize::message(&v.message),
        recheck_after: v.recheck_after_ms.map(sanitize::delay),
    }
}

fn guest_fault(f: &types::Fault) -> Fault {
    Fault {
        kind: match f.kind {
            types::FaultKind::BadConfig => FaultKind::BadConfig,
            types::FaultKind::Denied => FaultKind::Denied,
            types::FaultKind::Unreachable => FaultKind::Unreachable,
            types::FaultKind::Internal => FaultKind::Internal,
            types::FaultKind::Other(_) => FaultKind::Other,
        },
        blame: Blame::Answer,
        reason: sanitize::reason(&f.reason),
        message: sanitize::message(&f.message),
        retry_after: f.retry_after_ms.map(sanitize::delay),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Options, net::Net},
        *,
    };

    #[tokio::test]
    async fn a_panic_in_a_host_function_ends_one_call() {
        let shared = Shared::new(Net::default(), &Options::default()).unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        let ended = supervise(shared.guests(), deadline, async { panic!("a defect") }).await as Result<(), _>;
        assert!(matches!(ended, Err(Ended::Panicked)), "{ended:?}");
        let next = supervise(shared.guests(), deadline, async { Ok(1) }).await;
        assert!(matches!(next, Ok(1)), "{next:?}");
    }
}
