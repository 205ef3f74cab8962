//! One call of a guest: a fresh store, a deadline, an answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Mutex, Semaphore, oneshot},
    task::JoinHandle,
    time::timeout_at,
};
use wasmtime::{
    Store,
    component::{InstancePre, Resource},
};

use super::{
    ConfigError, Evaluated, Evaluation,
    answer::{config_error, guest_fault, verdict},
    bindings::{PluginIndices, gatehost::check::types},
    engine::Shared,
    fault::{Ended, Had, fault},
    grant::{Grant, Granted},
    limits::{CONFIG_ERRORS, LOAD_TIMEOUT, Limiter},
    load::{LoadError, Loaded},
    memory::Kept,
    output::Output,
    reach::{Asked, Reach, Refusal, Refusals, Waits},
    reuse::Instance,
    source::Reads,
    spent::Spent,
    state::{State, store, table},
    turn::Turn,
    wasi::World,
};
use crate::{
    decide::Fault,
    pod::{Packed, Pod},
};

/// No timeout is longer.
const LONGEST: Duration = Duration::from_hours(24);

/// The call that is for a check and a pod.
const EVALUATE: &str = "evaluate";

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
    /// The pod that it is about.
    pod: Option<Packed>,
    now: u64,
    /// With the pod's uid, where its random numbers come from.
    chance: u64,
    timeout: Duration,
    /// What the guest may reach, and what it did in vain.
    grant: Grant,
    kept: Option<Kept>,
    refusals: Refusals,
    reads: Reads,
    waits: Option<Waits>,
}

/// Asks a plugin that is being loaded what it is.
pub(super) async fn describe(shared: &Arc<Shared>, code: &Arc<Code>) -> Result<types::Description, LoadError> {
    let call = Call::at_load("describe", shared.chance.of("describe"));
    let answer = run(shared, code, call, |mut it, _| async move {
        Ok((it.plugin.gatehost_check_gate().call_describe(&mut it.store).await?, None))
    });
    answer.await.map_err(|failed| match failed.ended {
        Ended::Failed(error) if error.is::<WrongTypes>() => LoadError::Mismatch(error.into_boxed_dyn_error()),
        _ => LoadError::Describe(failed.fault),
    })
}

pub(super) async fn validate(plugin: &Loaded, config: Arc<str>) -> Result<Vec<ConfigError>, Fault> {
    let call = Call::at_load("validate", plugin.shared.chance.of(&config));
    let answer = run(&plugin.shared, &plugin.code, call, |mut it, _| async move {
        Ok((it.plugin.gatehost_check_gate().call_validate(&mut it.store, &config).await?, None))
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
    let (refusals, reads) = (Refusals::default(), Reads::default());
    let call = Call {
        name: EVALUATE,
        check: &check,
        chance: plugin.shared.chance.of((&config, now)),
        pod: Some(pod),
        now: now.try_into().unwrap_or(0),
        timeout,
        grant: grant.clone(),
        kept: Some(kept),
        refusals: refusals.clone(),
        reads: reads.clone(),
        waits,
    };
    let ended = run(&plugin.shared, &plugin.code, call, |mut it, pod| async move {
        let pod = it.store.data_mut().table.push(pod)?;
        // Lent as it stands: passed as its own it would leave a handle in the store for each call.
        let lent = Resource::new_borrow(pod.rep());
        let answer = it.plugin.gatehost_check_gate().call_evaluate(&mut it.store, lent, &config).await?;
        let state = it.store.data_mut();
        state.table.delete(pod)?;
        let keep = state.keep.take();
        let fit = answer.is_ok().then_some(it);
        Ok(((answer, keep), fit))
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

    async fn start(&self, mut store: Store<State>) -> wasmtime::Result<Instance> {
        let instance = self.pre.instantiate_async(&mut store).await?;
        let plugin = self.indices.load(&mut store, &instance).map_err(|error| error.context(WrongTypes))?;
        Ok(Instance { store, plugin, calls: 0 })
    }
}

impl Call<'_> {
    fn at_load(name: &'static str, chance: u64) -> Self {
        Self {
            name,
            check: "",
            pod: None,
            now: 0,
            chance,
            timeout: LOAD_TIMEOUT,
            grant: Grant::default(),
            kept: None,
            refusals: Refusals::default(),
            reads: Reads::default(),
            waits: None,
        }
    }
}

/// Makes an instance on the guests' runtime, or takes one that has served before, and lets `ask` ask it: that returns the
/// instance where it may serve another call. It is given the pod, an empty one where the call is about none. The deadline
/// counts from here: waiting for a turn and starting the instance are part of it.
async fn run<T, F, A>(shared: &Arc<Shared>, code: &Arc<Code>, call: Call<'_>, ask: F) -> Result<T, Failed>
where
    T: Send + 'static,
    F: FnOnce(Instance, Pod) -> A + Send + 'static,
    A: Future<Output = wasmtime::Result<(T, Option<Instance>)>> + Send,
{
    let deadline = Instant::now() + call.timeout.min(LONGEST);
    let granted = call.grant.0.clone();
    let allowance = granted.as_deref().map_or(shared.ceilings, |granted| granted.allowance);
    let (output, spent) = (Output::new(&allowance), Spent::new());
    let pace = granted.as_deref().map(|granted| granted.pace.clone()).unwrap_or_default();
    let task = {
        let (shared, code, output, spent) = (shared.clone(), code.clone(), output.clone(), spent.clone());
        let Call { pod, now, chance, grant, kept, refusals, reads, waits, .. } = call.clone();
        let (granted, pace) = (granted.clone(), pace.clone());
        let own = |line: fn(&Granted) -> &Arc<Semaphore>| grant.0.as_deref().map(|granted| line(granted).clone());
        let mut place = Turn::new(own(|granted| &granted.places), shared.places.clone());
        let mut turn = Turn::new(own(|granted| &granted.computing), shared.turns.clone());
        let long = Arc::new(Mutex::new(Turn::new(own(|granted| &granted.long), shared.long.clone())));
        // It has kilobytes, and each wrapper around it, the runtime among them, moves what it is given.
        Box::pin(async move {
            // To the end: giving back much memory takes as long as computing does, and what waits for the same lock of the
            // system, as each call may, waits for it.
            let _to_the_end = long.clone();
            // Whoever waits outside keeps its place, so there are more of these than turns. Who has a turn has a place.
            place.take().await?;
            // That other calls of its own check compute as long is the check's doing.
            turn.take_telling(|| spent.yields()).await?;
            if pace.is_slow() {
                long.lock().await.take_among_all().await?;
            }
            let _running = shared.ticker.running();
            shared.deliveries.due(Instant::now());
            let pod = pod.map(|pod| pod.open()).unwrap_or_default();
            let namespace = pod.namespace.clone();
            let reach = Reach::new(grant.0, Asked::about(&pod), deadline, refusals, waits);
            let chance = shared.chance.of((&pod.uid, chance));
            let wasi = World::new(now, chance, &shared.chance, &output);
            let (keep, table, limiter) = (None, table(&allowance), Limiter::new(allowance));
            let deliveries = shared.deliveries.clone();
            let state =
                State { wasi, table, now, output, reach, reads, turn, long, kept, keep, limiter, spent, deliveries };
            let spares = granted.as_ref().and_then(|granted| granted.spares.as_ref());
            let instance = match spares.and_then(|spares| spares.take(&code, &namespace)) {
                Some(instance) => instance.renew(state, &allowance, deadline),
                None => code.start(store(&shared, state, &allowance, deadline)).await?,
            };
            let (answer, fit) = ask(instance, pod).await?;
            if let (Some(instance), Some(spares)) = (fit, spares) {
                spares.put(instance, &code, namespace, &shared.spare);
            }
            drop(place);
            Ok(answer)
        })
    };
    let answer = supervise(shared, deadline, spent.clone().watch(pace, task)).await;
    let rate = granted.as_deref().map_or(&shared.log, |granted| &granted.log);
    let named = |pod: Pod| format!("{}/{}", pod.namespace, pod.name);
    let pod = || call.pod.as_ref().map(Packed::open).map(named).unwrap_or_default();
    output.log(call.name, call.check, pod, rate);
    answer.map_err(|ended| {
        tracing::debug!(call = call.name, check = call.check, pod = pod(), ?ended, "a call ended without an answer");
        let (timeout, ceilings, for_check) = (call.timeout, shared.ceilings, call.name == EVALUATE);
        let fault = fault(&ended, &Had { timeout, allowance, ceilings, for_check }, &output);
        let fault = Fault { blame: spent.blame(&fault), ..fault };
        Failed { ended, fault }
    })
}

/// Runs a task on the guests' runtime and waits for it on the caller's, so that no guest can delay the deadline. A
/// task that is late, or that nobody waits for any more, is dropped when it next yields.
async fn supervise<T: Send + 'static>(
    shared: &Shared,
    deadline: Instant,
    task: impl Future<Output = wasmtime::Result<T>> + Send + 'static,
) -> Result<T, Ended> {
    let (sender, mut answer) = oneshot::channel();
    let deliveries = shared.deliveries.clone();
    let task = async move {
        let answer = task.await;
        // Nobody may wait for it any more.
        deliveries.add(move |errand| drop(sender.send((answer, errand))));
    };
    let mut task = Task(shared.guests().spawn(task));
    match timeout_at(deadline.into(), &mut answer).await {
        Ok(Ok((answer, errand))) => {
            drop(errand);
            answer.map_err(Ended::Failed)
        }
        Ok(Err(_)) => match (&mut task.0).await {
            Err(error) if error.is_panic() => Err(Ended::Panicked),
            _ => Err(Ended::Stopped),
        },
        Err(_) => {
            // An answer that is there counts.
            shared.deliveries.all();
            answer.try_recv().map_or(Err(Ended::Deadline), |(answer, _errand)| answer.map_err(Ended::Failed))
        }
    }
}

/// Ends with this value.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::{
        super::{Plugin, Sandbox, engine::workers, net::Net},
        *,
    };
    use crate::{
        check::Allow,
        decide::{Blame, FaultKind},
    };

    #[tokio::test]
    async fn a_panic_in_a_host_function_ends_one_call() {
        let shared = Shared::usual(Net::default()).unwrap();
        let deadline = Instant::now() + Duration::from_mins(1);
        let ended = supervise(&shared, deadline, async { panic!("a defect") }).await as Result<(), _>;
        assert!(matches!(ended, Err(Ended::Panicked)), "{ended:?}");
        let next = supervise(&shared, deadline, async { Ok(1) }).await;
        assert!(matches!(next, Ok(1)), "{next:?}");
    }

    async fn plugin(sandbox: &Sandbox) -> (Plugin, Grant) {
        let wasm = include_bytes!("../../../tests/fixtures/plugin-0.1.0.wasm").to_vec();
        (sandbox.load(wasm).await.unwrap(), sandbox.grant(&Allow::default()).unwrap())
    }

    fn question(grant: &Grant, timeout: Duration) -> Evaluation {
        let (check, config, kept) = ("asked".into(), "{}".into(), Kept::default());
        Evaluation { check, pod: Packed::new(&Pod::default()), config, now: 0, timeout, grant: grant.clone(), kept }
    }

    #[tokio::test]
    async fn a_call_of_a_slow_check_does_not_begin_where_only_short_ones_may() {
        let sandbox = Sandbox::new().unwrap();
        let (plugin, grant) = plugin(&sandbox).await;
        grant.0.as_ref().unwrap().pace.be_slow();
        let all = workers().saturating_sub(1).try_into().unwrap();
        let taken = sandbox.shared.long.clone().acquire_many_owned(all).await.unwrap();
        let fault = plugin.evaluate(question(&grant, Duration::from_millis(300))).await.answer.unwrap_err();
        assert_eq!((fault.kind, fault.blame), (FaultKind::Deadline, Blame::Nothing));
        drop(taken);
        plugin.evaluate(question(&grant, Duration::from_mins(1))).await.answer.unwrap();
        // Those that had waited, and the one that was given, have let go of theirs.
        let given_back = sandbox.shared.long.clone().acquire_many_owned(all);
        drop(timeout_at((Instant::now() + Duration::from_mins(1)).into(), given_back).await.unwrap().unwrap());
    }

    #[tokio::test]
    async fn an_answer_does_not_wait_for_a_caller_that_does_not_look_at_its_own() {
        let sandbox = Sandbox::new().unwrap();
        let (plugin, grant) = plugin(&sandbox).await;
        let ask = || Box::pin(plugin.evaluate(question(&grant, Duration::from_mins(5))));
        for round in 0..20 {
            let mut others: Vec<_> = (0..16).map(|_| ask()).collect();
            for other in &mut others {
                assert!(other.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            let answered = timeout_at((Instant::now() + Duration::from_mins(1)).into(), ask()).await;
            answered.unwrap_or_else(|_| panic!("not answered in round {round}")).answer.unwrap();
        }
    }
}
