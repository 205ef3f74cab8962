//! `gatehost run`: a cluster's pods.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::builder::FalseyValueParser;
use tokio::sync::{mpsc, watch};

use super::{
    Failure, check_directories,
    compiling::Caching,
    credentials::Credentials,
    decisions::{self, Decisions},
    journal::{self, Journal},
    logging::{Format, Logs, Sink},
    on_runtime,
    tasks::{Stop, Tasks},
    told::Told,
};
use crate::{
    catalog::{self, Catalog, Snapshot},
    check::is_label,
    cluster::{self, Cluster, Questions, Recorder},
    dispatch::{Event, Inputs, drive},
    sandbox::Sandbox,
    serve::{self, Agreement, Metrics, Pulse},
};

/// Decide the readiness gates of a cluster's pods
#[derive(Debug, clap::Args)]
#[command(
    long_about = "\
Decide the readiness gates of a cluster's pods.

The directories hold plugins (*.wasm) and YAML documents of kind Check. They are watched: a new, changed or removed \
file takes effect at once, and a broken one leaves the last good version in service. A host without a usable check \
starts all the same and picks up the first one when it appears.

It serves /livez, /readyz and /metrics. SIGTERM and SIGINT end it within 5 seconds, with nothing half written.",
    after_help = "\
Examples:
  gatehost run /etc/gatehost                         in a pod, by its own account
  gatehost run --context staging --dry-run ./checks  decide and log, write nothing
  gatehost run -n shop,billing -l app=web ./checks   only some pods

Exit codes:
  0  ended by a signal
  1  something broke at work, such as a port that is taken
  2  a flag, a directory or the kubeconfig is wrong

KUBECONFIG is honoured as by kubectl. Where there is no kubeconfig, the settings
of the pod that it runs in are used. The service account needs get, list and
watch on pods, patch on pods/status, create and patch on events.events.k8s.io,
and, without --namespace, list and watch on namespaces. The last two are for
Events and for checks that select by namespace labels; all else goes on without.
With --namespace, Roles in these namespaces are enough. What checks need to read
other objects is printed by `gatehost rbac`."
)]
pub(super) struct Args {
    /// Directories with plugins and checks
    #[arg(required = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directories: Vec<PathBuf>,
    /// The kubeconfig file, instead of those in KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", env = "GATEHOST_KUBECONFIG", help_heading = "Cluster",
          value_hint = clap::ValueHint::FilePath)]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, instead of its current one
    #[arg(long, value_name = "NAME", env = "GATEHOST_CONTEXT", help_heading = "Cluster")]
    context: Option<String>,
    /// Work only this namespace; repeat it, or separate names with commas, for several [default: all]
    #[arg(
        short,
        long,
        value_name = "NAME",
        env = "GATEHOST_NAMESPACE",
        value_delimiter = ',',
        value_parser = namespace,
        help_heading = "Cluster"
    )]
    namespace: Vec<String>,
    /// Work only pods with these labels, such as app=web,tier!=test; applied by the API server
    #[arg(short = 'l', long, value_name = "SELECTOR", env = "GATEHOST_POD_SELECTOR", help_heading = "Cluster")]
    pod_selector: Option<String>,
    /// How long one watch stays open before it is opened anew, 7s to 25s; one that dies without a word is noticed 3
    /// seconds later
    #[arg(long, value_name = "DURATION", env = "GATEHOST_WATCH_TIMEOUT", default_value = "25s",
          value_parser = decisions::watch_timeout, help_heading = "Cluster")]
    watch_timeout: Duration,
    /// Decide and log, but write nothing
    #[arg(long, env = "GATEHOST_DRY_RUN", action = clap::ArgAction::SetTrue, value_parser = FalseyValueParser::new())]
    dry_run: bool,
    /// Where /livez, /readyz and /metrics are served: all IPv4 addresses unless given; [::]:8080 takes IPv6 as well
    #[arg(long, value_name = "ADDRESS", env = "GATEHOST_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    caching: Caching,
    #[command(flatten)]
    decisions: Decisions,
    #[command(flatten)]
    logs: Logs,
}

/// A name that is none would become a path on the server that asks for something else.
fn namespace(name: &str) -> Result<String, &'static str> {
    if name.is_empty() || is_label(name) {
        return Ok(name.to_owned());
    }
    Err("no name of a namespace: at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")
}

const DISPATCH: &str = "dispatch";

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    check_directories(&args.directories)?;
    let options = args.caching.options(args.credentials.options()?);
    args.logs.start("info", Format::Auto, Sink::Stderr)?;
    on_runtime(options, async |sandbox| {
        let mut tasks = Tasks::new()?;
        let stop = tasks.stop();
        tokio::select! {
            biased;
            () = stop.wait() => return Ok(ExitCode::SUCCESS),
            started = start(args, sandbox, &mut tasks) => started?,
        }
        tasks.finish(DISPATCH).await?;
        tracing::info!("ended");
        Ok(ExitCode::SUCCESS)
    })
}

async fn start(args: Args, sandbox: Sandbox, tasks: &mut Tasks) -> Result<(), Failure> {
    // Namespaces are seen where the whole cluster is worked: a Role for one of them cannot grant it.
    let namespace_labels = args.namespace.iter().all(String::is_empty);
    let options = catalog::Options { namespace_labels, ..catalog::Options::default() };
    let (objects, questions) = cluster::objects();
    let sandbox = sandbox.with_objects(Arc::new(objects));
    let (catalog, scanning) = Catalog::start(args.directories.clone(), options, sandbox).map_err(Failure::Input)?;
    let cluster = connect(&args).await?;
    let listener = serve::bind(args.listen).await?;
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        server = cluster.url(),
        listen = %args.listen,
        dry_run = args.dry_run,
        "starting"
    );

    let (metrics, registry) = Metrics::new();
    tasks.spawn("the catalog", scanning);
    tasks.spawn("the catalog's log", journal::follow(catalog.clone(), metrics.clone()));
    tasks.spawn("serving", serve::serve(listener, registry, metrics.clone(), pulse(&cluster, &catalog)));
    let events = watch_pods(&cluster, questions, &metrics, tasks);
    let inputs = Inputs { catalog, events, writer: cluster.writer(), options: args.decisions.options(args.dry_run) };
    let recorder = record_events(&cluster, &metrics, tasks);
    let observer = Told { metrics, journal: Journal::default(), recorder, dry_run: args.dry_run };
    let stop: Stop = tasks.stop();
    tasks.spawn(DISPATCH, async move { drive(inputs, observer, async move { stop.wait().await }).await });
    Ok(())
}

async fn connect(args: &Args) -> Result<Cluster, Failure> {
    // A variable that is set to nothing, as templates like to, is not set.
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    // Each once: every name is a watch of its own.
    let namespaces: BTreeSet<_> = args.namespace.iter().filter(|namespace| !namespace.is_empty()).collect();
    let options = cluster::Options {
        kubeconfig: args.kubeconfig.clone(),
        context: given(&args.context),
        namespaces: namespaces.into_iter().cloned().collect(),
        pod_selector: given(&args.pod_selector),
        dry_run: args.dry_run,
        watch_timeout: Some(args.watch_timeout),
    };
    cluster::connect(options).await.map_err(Failure::input)
}

/// Starts the watches, and what shows objects to plugins. On their way to dispatch the events pass the metric that times kubelet's agreement.
fn watch_pods(cluster: &Cluster, questions: Questions, metrics: &Metrics, tasks: &mut Tasks) -> mpsc::Receiver<Event> {
    let (sender, mut seen) = mpsc::channel(1024);
    for watch in cluster.watch(&sender) {
        tasks.spawn("the watch of pods", async move {
            watch.await;
            Ok(())
        });
    }
    if let Some(watch) = cluster.watch_namespaces(&sender) {
        tasks.spawn("the watch of namespaces", async move {
            watch.await;
            Ok(())
        });
    }
    let counted = metrics.clone();
    let count = Box::new(move |watches, objects| counted.objects(watches, objects));
    let showing = cluster.show_objects(questions, sender, count);
    tasks.spawn("the watches of objects", async move {
        showing.await;
        Ok(())
    });
    let (sender, events) = mpsc::channel(64);
    let mut agreement = Agreement::new(metrics);
    tasks.spawn("the stream of pods", async move {
        while let Some(event) = seen.recv().await {
            agreement.saw(&event, Instant::now());
            sender.send(event).await.context("dispatch is gone")?;
        }
        Ok(())
    });
    events
}

/// Starts what writes Events on pods; nothing in a dry run.
fn record_events(cluster: &Cluster, metrics: &Metrics, tasks: &mut Tasks) -> Option<Recorder> {
    let metrics = metrics.clone();
    let (recorder, writing) = cluster.events(Arc::new(move |why| metrics.event_dropped(why.word())))?;
    tasks.spawn("writing Events", async move {
        writing.await;
        Ok(())
    });
    Some(recorder)
}

/// What /readyz and /metrics ask the cluster and the catalog.
fn pulse(cluster: &Cluster, catalog: &watch::Receiver<Arc<Snapshot>>) -> impl Fn() -> Pulse + Send + Sync + 'static {
    let (health, catalog) = (cluster.health(), catalog.clone());
    move || Pulse { listed: health.listed(), scanned: catalog.borrow().generation > 0, watch_age: health.age() }
}
