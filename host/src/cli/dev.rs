//! `gatehost dev`: the pods in the directories, without a cluster.

use std::{
    env, future,
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anstream::{AutoStream, ColorChoice};
use jiff::Timestamp;
use tokio::sync::{mpsc, watch};

use super::{
    Failure, check_directories,
    credentials::Credentials,
    journal,
    lines::Lines,
    local::Local,
    logging::{Format, Logs, Sink},
    on_runtime, once,
    screen::Screen,
    tasks::Tasks,
    view::{View, Viewer},
};
use crate::{
    catalog::{self, Catalog, Snapshot},
    dispatch::{self, Inputs, drive},
    sandbox::Sandbox,
};

/// Watch checks decide the pods in directories, without a cluster
#[derive(Debug, clap::Args)]
#[command(
    long_about = "\
Watch checks decide the pods in directories, without a cluster.

The directories hold plugins (*.wasm) and YAML documents of kind Check and Pod. Each gate of each pod is asked the way \
`gatehost run` asks it, and the answers are kept in memory: nothing is written, to no file and no cluster. On a \
terminal a table shows the gates and what is wrong in the directories; elsewhere each change is one line. Edits of \
pods, checks and plugins show at once. Ctrl-C ends it.

AGE is the time since the status last changed. A gate without a check has the status `-`.",
    after_help = "\
Examples:
  gatehost dev plugins/demo
  gatehost dev --once ./checks ./pods
  gatehost dev --once -o json ./checks ./pods | jq .errors

Exit codes of --once:
  0  every gate is True
  1  a gate is not True: False, Unknown, faulted, or without a check
  2  something in a directory is wrong, or no pod in them has a gate

The document of --once -o json, sorted, with the status True, False, Unknown,
or null where no check answers:
  {\"gates\":  [{\"namespace\", \"pod\", \"type\", \"status\", \"reason\",
              \"message\", \"check\", \"plugin\"}, ...],
   \"errors\": [{\"file\", \"error\"}, ...]}
There a fault is Unknown, with its reason and message, whatever stands on the pod.

NO_COLOR, where it is set, turns colours off."
)]
pub(super) struct Args {
    /// Directories with plugins, checks and pods
    #[arg(required = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directories: Vec<PathBuf>,
    /// Ask each gate once, print the answers and end
    #[arg(long)]
    once: bool,
    /// What --once prints
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT", requires = "once")]
    output: once::Output,
    #[command(flatten)]
    credentials: Credentials,
    #[command(flatten)]
    logs: Logs,
}

/// The parts that `dev` and `dev --once` share, at work.
pub(super) struct Work {
    pub(super) tasks: Tasks,
    pub(super) catalog: watch::Receiver<Arc<Snapshot>>,
    pub(super) views: mpsc::UnboundedReceiver<View>,
}

pub(super) fn run(args: Args) -> Result<ExitCode, Failure> {
    check_directories(&args.directories)?;
    let options = args.credentials.options()?;
    let live = !args.once && io::stdout().is_terminal() && env::var_os("TERM").is_none_or(|term| term != "dumb");
    let (sender, log) = mpsc::unbounded_channel();
    let sink = if live { Sink::Screen(sender) } else { Sink::Stderr };
    args.logs.start(LEVEL, Format::Text, sink)?;
    on_runtime(options, async |sandbox| {
        let work = start(args.directories, args.once, sandbox)?;
        if args.once {
            return once::run(work, args.output).await;
        }
        let Work { mut tasks, views, catalog } = work;
        tasks.spawn("the catalog's warnings", journal::follow_warnings(catalog));
        let show = async {
            if live {
                let colour = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
                Screen::new(io::stdout().lock(), colour)?.run(views, log).await
            } else {
                tell(views).await
            }
        };
        // The screen is dropped, and with it the terminal restored, before anything else is said.
        tokio::select! {
            ended = tasks.finish(DISPATCH) => ended?,
            ended = show => ended?,
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What is logged unless the user asks: what plugins log, and trouble.
const LEVEL: &str = "warn,gatehost::sandbox=info";
const DISPATCH: &str = "dispatch";

fn start(directories: Vec<PathBuf>, once: bool, sandbox: Sandbox) -> Result<Work, Failure> {
    let mut tasks = Tasks::new()?;
    let options = catalog::Options { pods: true, poll: Duration::from_secs(2), ..catalog::Options::default() };
    let (catalog, scanning) = Catalog::start(directories, options, sandbox).map_err(Failure::Input)?;
    tasks.spawn("the catalog", scanning);
    let (sender, events) = mpsc::channel(1024);
    let (local, writer) = Local::new(catalog.clone(), sender, once);
    tasks.spawn("the pods of the directories", local.run());
    let (sender, views) = mpsc::unbounded_channel();
    let viewer = Viewer::new(catalog.clone(), sender);
    // Asked once, each gate has an answer of its own.
    let options = dispatch::Options { seed: fastrand::u64(..), quarantine: !once, ..dispatch::Options::default() };
    let inputs = Inputs { catalog: catalog.clone(), events, writer, options };
    let stop = tasks.stop();
    tasks.spawn(DISPATCH, async move { drive(inputs, viewer, async move { stop.wait().await }).await });
    Ok(Work { tasks, catalog, views })
}

/// One line a change on stdout.
async fn tell(mut views: mpsc::UnboundedReceiver<View>) -> anyhow::Result<()> {
    let mut lines = Lines::default();
    while let Some(view) = views.recv().await {
        lines.write(&mut io::stdout().lock(), view, Timestamp::now())?;
    }
    // Dispatch has ended: whoever watches over the tasks knows whether it should have.
    future::pending().await
}
