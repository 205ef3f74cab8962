//! The commands: one file a verb, and what they share.
//!
//! ```text
//! run         works a cluster: catalog + cluster + serve + dispatch, and `journal` for the log
//! dev         works the pods in the directories: `local` stands in for the API server, `screen` shows a `view`
//! once        `dev --once`: every gate asked once, one document
//! explain     why a pod is not Ready: `cluster` reads, no host is asked
//! override    sets a gate by hand for a while: `wanted` reads what is wanted, `byhand` says how to do without a host
//! compile     fills a cache of compiled plugins ahead of time; `compiling` has the flags
//! rbac        the rights that checks need to read objects: documents in, roles out
//! completion  shell completion
//! ```

use std::{
    env, fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::sandbox::{self, Sandbox};

mod allocator;
mod byhand;
mod compile;
mod compiling;
mod completion;
mod credentials;
mod decisions;
mod dev;
mod explain;
mod journal;
mod lines;
mod local;
mod logging;
mod once;
mod overriding;
mod rbac;
mod run;
mod screen;
mod table;
mod target;
mod tasks;
mod text;
mod told;
mod view;
mod wanted;

/// How long threads that still compile or look up names may hold the process up after the work has ended.
const LINGER: Duration = Duration::from_millis(200);

const AFTER_HELP: &str = "\
Examples:
  gatehost dev plugins/demo          watch checks decide pods, without a cluster
  gatehost dev --once -o json DIR    the same once, as a test in a pipeline
  gatehost run /etc/gatehost         decide the gates of a cluster's pods
  gatehost explain pod web-0         tell why a pod is not Ready
  gatehost override pod web-0 example.com/warm=True --for 30m --reason 'cache is down'
                                     set a gate by hand for a while
  gatehost compile DIR --cache DIR   compile plugins ahead of time
  gatehost rbac DIR                  print the rights that checks need to read objects

Exit codes:
  0  done, or ended by a signal; for `dev --once`: every gate is True; for
     `explain`: the pod is Ready
  1  it broke at work; for `dev --once`: a gate is not True; for `explain`: the
     pod is not Ready; for `override`: no host followed
  2  a flag, a directory, a document in it or a kubeconfig is wrong; for
     `explain`: it cannot be told

A directory holds plugins (*.wasm) and YAML documents of kind Check, and for
`dev` of kind Pod as well. Edits take effect at once, without a restart. Flags
can be set by the environment variables that `gatehost run --help` names; a
flag that is given wins.";

/// Decides Kubernetes readiness gates with sandboxed, hot-reloaded WebAssembly checks
#[derive(Debug, Parser)]
#[command(name = "gatehost", version, after_help = AFTER_HELP, max_term_width = 120, propagate_version = false)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

impl Cli {
    /// Reads the command line and the environment; a wrong one ends the process with exit code 2. A variable that is
    /// set to nothing, as templates like to, is not set.
    pub fn from_surroundings() -> Self {
        let command = Self::command().mut_subcommands(|verb| {
            verb.mut_args(|arg| {
                let empty = arg.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
                if empty { arg.env(None) } else { arg }
            })
        });
        let mut matches = command.get_matches();
        Self::from_arg_matches_mut(&mut matches).unwrap_or_else(|error| error.exit())
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(run::Args),
    Dev(dev::Args),
    Explain(explain::Args),
    Override(overriding::Args),
    Compile(compile::Args),
    Rbac(rbac::Args),
    Completion(completion::Args),
    /// For the host itself, which starts it: compiles one component
    #[command(name = sandbox::VERB, hide = true)]
    CompileForHost {
        words: Vec<String>,
    },
}

/// Why a command failed: decides the exit code.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// What the user gave is wrong.
    #[error(transparent)]
    Input(anyhow::Error),
    /// It broke at work.
    #[error(transparent)]
    Work(#[from] anyhow::Error),
}

impl Failure {
    fn input(error: impl Into<anyhow::Error>) -> Self {
        Self::Input(error.into())
    }
}

/// Runs a command to its end. What went wrong is one line on stderr.
pub fn run(cli: Cli) -> ExitCode {
    // What this process was handed is not handed on.
    close_fds::set_fds_cloexec(3, &[]);
    // What keeps the host small makes a compiler slow.
    if !matches!(cli.verb, Verb::CompileForHost { .. }) {
        allocator::keep_little();
    }
    let done = match cli.verb {
        Verb::Run(args) => run::run(args),
        Verb::Dev(args) => dev::run(args),
        Verb::Explain(args) => explain::run(args),
        Verb::Override(args) => overriding::run(args),
        Verb::Compile(args) => compile::run(args),
        Verb::Rbac(args) => rbac::run(&args),
        Verb::Completion(args) => completion::run(&args),
        Verb::CompileForHost { words } => return sandbox::compile_for_host(&words),
    };
    let (error, code) = match done {
        Ok(code) => return code,
        Err(Failure::Input(error)) => (error, ExitCode::from(2)),
        Err(Failure::Work(error)) if is_broken_pipe(&error) => return ExitCode::FAILURE,
        Err(Failure::Work(error)) => (error, ExitCode::FAILURE),
    };
    // Where not even stderr is left, the exit code has to do.
    let _ = writeln!(io::stderr(), "gatehost: {error:#}");
    code
}

/// Nobody reads any more, such as `gatehost dev --once DIR | head -1`: there is nobody to tell.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
}

/// Checks that each directory can be listed, so that a wrong one is told at once and not as an empty catalog.
fn check_directories(directories: &[PathBuf]) -> Result<(), Failure> {
    for directory in directories {
        let name = directory.display();
        let mend = match fs::read_dir(directory) {
            Ok(_) => continue,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                format!("{name}: no such directory; create it or name another")
            }
            Err(e) if e.kind() == io::ErrorKind::NotADirectory => {
                format!("{name}: not a directory; name the directory that the file is in")
            }
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                format!("{name}: this user may not read the directory; grant it read and search permission")
            }
            Err(e) => format!("{name}: cannot be read: {e}"),
        };
        return Err(Failure::Input(anyhow!(mend)));
    }
    Ok(())
}

/// Runs `work` on the host's own runtime. The sandbox, which has another one for guests, is made before and dropped
/// after it: a runtime must not be dropped by a task.
fn on_runtime<T, F>(options: sandbox::Options, work: impl FnOnce(Sandbox) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    raise_limit_of_files();
    let sandbox = Sandbox::with(options).context("the sandbox does not start")?;
    let runtime: Runtime = Builder::new_multi_thread().enable_all().build().context("the runtime does not start")?;
    let done = runtime.block_on(work(sandbox.clone()));
    runtime.shutdown_timeout(LINGER);
    drop(sandbox);
    done
}

/// Checks hold connections open, and the limit that a shell sets for a process is a few hundred below what they may need.
/// Where it cannot be raised, what does not fit fails and says so.
fn raise_limit_of_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_run_has_an_environment_variable() {
        let command = Cli::command();
        let run = command.find_subcommand("run").unwrap();
        let bare: Vec<_> = run
            .get_arguments()
            .filter(|arg| arg.get_long().is_some_and(|long| long != "help"))
            .filter(|arg| arg.get_env().is_none_or(|env| !env.to_string_lossy().starts_with("GATEHOST_")))
            .map(|arg| arg.get_id().to_string())
            .collect();
        assert_eq!(bare, Vec::<String>::new());
    }

    #[test]
    fn a_missing_directory_and_a_file_are_named() {
        let file = env::current_exe().unwrap();
        let told = |path: PathBuf| check_directories(&[path]).unwrap_err().to_string();
        assert!(told("/nonexistent/checks".into()).starts_with("/nonexistent/checks: no such directory"));
        assert!(told(file).contains("not a directory"));
    }
}
