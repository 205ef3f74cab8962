//! `gatehost rbac`: the rights that checks need to read objects.
//!
//! ```text
//! rights    entries of checks → who may read what where
//! document  these as Kubernetes objects, in YAML or JSON
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use tokio::{runtime::Builder, time::timeout};

use self::rights::{Named, Rights};
use super::{Failure, check_directories};
use crate::{
    check::{self, Check, ObjectEntry, is_label, is_subdomain},
    cluster::{self, Cluster},
};

mod document;
mod rights;

/// How long the API server may take to tell what a kind is called.
const PATIENCE: Duration = Duration::from_secs(5);

/// Print the rights that the checks in directories need to read objects
#[derive(Debug, clap::Args)]
#[command(
    long_about = "\
Print the rights that the checks in directories need to read objects (spec.allow.objects), beyond those in host/deploy: \
get, list and watch on exactly these resources, by name where an entry gives names. Entries with namespaces make a Role \
in each of them, the others one ClusterRole; each is bound to the host's service account.

In rights a kind has another name, such as deployments for Deployment. The cluster of the kubeconfig is asked for it; \
where there is none, or it does not know the kind, the usual English rule is used and a comment says so.

Pods and namespaces can be read by host/deploy/rbac.yaml already and are left out. Nothing is written to the cluster.",
    after_help = "\
Examples:
  gatehost rbac ./checks                        see what they need
  gatehost rbac ./checks | kubectl apply -f -   grant it
  gatehost rbac --offline -o json ./checks      the same everywhere, for a pipeline

Exit codes:
  0  printed; where the checks need nothing, it says so
  1  something broke at work, such as stdout
  2  a flag, a directory, a document in it or the kubeconfig is wrong, or two checks have one name or one gate

KUBECONFIG is honoured as by kubectl."
)]
pub(super) struct Args {
    /// Directories with checks
    #[arg(required = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    directories: Vec<PathBuf>,
    /// What is printed
    #[arg(short, long, value_enum, default_value = "yaml", value_name = "FORMAT")]
    output: Output,
    /// The host's service account
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "gatehost/gatehost", value_parser = account)]
    service_account: (String, String),
    /// What the roles are called
    #[arg(long, value_name = "NAME", default_value = "gatehost-objects", value_parser = subdomain)]
    name: String,
    /// Ask no cluster
    #[arg(long)]
    offline: bool,
    /// The kubeconfig file, instead of those in KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = "Cluster", value_hint = clap::ValueHint::FilePath,
          conflicts_with = "offline")]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, instead of its current one
    #[arg(long, value_name = "NAME", help_heading = "Cluster", conflicts_with = "offline")]
    context: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// YAML with comments
    Yaml,
    /// One JSON document, a List
    Json,
}

fn account(text: &str) -> Result<(String, String), &'static str> {
    let parts = text.split_once('/').filter(|(namespace, name)| is_label(namespace) && is_subdomain(name));
    parts.map(|(namespace, name)| (namespace.to_owned(), name.to_owned())).ok_or("expected a namespace, / and a name")
}

fn subdomain(text: &str) -> Result<String, &'static str> {
    if is_subdomain(text) { Ok(text.to_owned()) } else { Err("no name of an object") }
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    check_directories(&args.directories)?;
    let entries = read(&args.directories)?;
    let kinds: BTreeSet<_> = entries.iter().map(|entry| (entry.api_version.clone(), entry.kind.clone())).collect();
    let named = name(args, kinds)?;
    let rights = Rights::of(&entries, &named);
    let who = document::Who { name: &args.name, account: &args.service_account };
    let text = match args.output {
        Output::Yaml => document::yaml(&rights, &who),
        Output::Json => document::json(&rights, &who),
    };
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(anyhow::Error::from)?;
    Ok(ExitCode::SUCCESS)
}

/// The entries of all checks in the directories. All that is wrong in them is told, one line each.
fn read(directories: &[PathBuf]) -> Result<Vec<ObjectEntry>, Failure> {
    let (mut checks, mut wrong) = (Vec::new(), Vec::new());
    for directory in directories {
        let unreadable = |e: io::Error| Failure::Input(anyhow!("{}: cannot be read: {e}", directory.display()));
        let listed = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut files: Vec<_> = listed.map_err(unreadable)?.into_iter().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| holds_documents(file)) {
            let (parsed, errors) = match text(file) {
                Ok(text) => (check::parse(&text.unwrap_or_default(), true), Vec::new()),
                Err(error) => (check::Parsed::default(), vec![error]),
            };
            let broken = parsed.broken.into_iter().flat_map(|broken| broken.errors);
            wrong.extend(errors.into_iter().chain(broken).map(|error| format!("{}: {error}", file.display())));
            checks.extend(parsed.checks.into_iter().map(|check| (file.clone(), check)));
        }
    }
    wrong.extend(clashes(&checks));
    if !wrong.is_empty() {
        return Err(Failure::Input(anyhow!(wrong.join("\n"))));
    }
    if checks.is_empty() {
        let names: Vec<_> = directories.iter().map(|directory| directory.display().to_string()).collect();
        // Where not even stderr is left, what is printed has to do.
        let _ = writeln!(
            io::stderr(),
            "gatehost: {}: no document of kind Check in it; is it the right one?",
            names.join(", ")
        );
    }
    Ok(checks.into_iter().flat_map(|(_, check)| check.allow.objects).collect())
}

/// Checks that want one name, or one gate, one line each. A host that starts with them has none of them in force, and
/// which one stays in force where it runs already, the directories do not tell: rights for all would be too many, and
/// for none too few.
fn clashes(checks: &[(PathBuf, Check)]) -> Vec<String> {
    let (mut names, mut gates): (BTreeMap<_, Vec<_>>, BTreeMap<_, Vec<_>>) = Default::default();
    for (file, check) in checks {
        names.entry(&check.name).or_default().push(file);
        gates.entry((&check.gate, check.dry_run)).or_default().push((file, &check.name));
    }
    let files = |files: &[&PathBuf]| files.iter().map(|file| file.display().to_string()).collect::<Vec<_>>().join(", ");
    let end = "a host has none of them in force; rename or remove all but one, or name fewer directories";
    let named = names.iter().filter(|(_, of)| of.len() > 1).map(|(name, of)| {
        let first = of[0].display();
        format!("{first}: {} checks are named {name}, in {}: {end}", of.len(), files(of))
    });
    // Those of one name have their line already.
    let alone = |name: &Arc<str>| names.get(name).is_some_and(|of| of.len() == 1);
    let gated = gates.iter().filter_map(|((gate, dry_run), of)| {
        let of: Vec<_> = of.iter().filter(|(_, name)| alone(name)).map(|(file, _)| *file).collect();
        let kind = if *dry_run { "dry-run checks" } else { "checks" };
        let first = of.first()?.display();
        (of.len() > 1).then(|| format!("{first}: {} {kind} have the gate {gate}, in {}: {end}", of.len(), files(&of)))
    });
    named.chain(gated).collect()
}

/// What is in a file; nothing where it is no file, or is gone since the directory was listed.
fn text(file: &Path) -> Result<Option<String>, String> {
    let is_gone = || fs::symlink_metadata(file).is_err_and(|e| e.kind() == io::ErrorKind::NotFound);
    // Nothing but a file is opened: a pipe would block.
    let read = fs::metadata(file).and_then(|meta| meta.is_file().then(|| fs::read_to_string(file)).transpose());
    read.or_else(|error| match error.kind() {
        io::ErrorKind::NotFound if is_gone() => Ok(None),
        io::ErrorKind::NotFound => Err("is a link that leads nowhere; mend or remove it".to_owned()),
        io::ErrorKind::PermissionDenied => Err("this user may not read it; grant read permission".to_owned()),
        io::ErrorKind::InvalidData => Err("is not UTF-8 text".to_owned()),
        _ => Err(format!("cannot be read: {error}")),
    })
}

/// As the host reads directories: documents are in these files, and hidden ones are none.
fn holds_documents(file: &Path) -> bool {
    let is_hidden = file.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    let ending = file.extension().and_then(|ending| ending.to_str());
    !is_hidden && matches!(ending, Some("yaml" | "yml" | "json"))
}

/// What kinds are called, by the cluster where it can be asked.
fn name(args: &Args, kinds: BTreeSet<(String, String)>) -> Result<BTreeMap<(String, String), Named>, Failure> {
    let guess = |kind: &(String, String), why: String| (kind.clone(), Named::guess(&kind.1, why));
    if args.offline {
        return Ok(kinds.iter().map(|kind| guess(kind, "no cluster was asked".to_owned())).collect());
    }
    let runtime = Builder::new_current_thread().enable_all().build().context("the runtime does not start")?;
    runtime.block_on(async {
        let options = cluster::Options {
            kubeconfig: args.kubeconfig.clone(),
            context: args.context.clone(),
            ..cluster::Options::default()
        };
        let cluster = match cluster::connect(options).await {
            Ok(cluster) => cluster,
            Err(error) if args.kubeconfig.is_some() || args.context.is_some() => return Err(Failure::input(error)),
            Err(_) => {
                let why = "there is no usable kubeconfig".to_owned();
                return Ok(kinds.iter().map(|kind| guess(kind, why.clone())).collect());
            }
        };
        let mut named = BTreeMap::new();
        for kind in kinds {
            let name = ask(&cluster, &kind).await;
            named.insert(kind.clone(), name.unwrap_or_else(|why| guess(&kind, why).1));
        }
        Ok(named)
    })
}

async fn ask(cluster: &Cluster, (api_version, kind): &(String, String)) -> Result<Named, String> {
    match timeout(PATIENCE, cluster.resource(api_version, kind)).await {
        Ok(found) => found.map(|resource| Named::known(resource.plural, resource.namespaced)),
        Err(_) => Err(format!("{} did not answer within {} s", cluster.url(), PATIENCE.as_secs())),
    }
}
