//! Which pod of which cluster: what the commands that ask an API server share, in the words of kubectl.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context as _, anyhow};
use tokio::runtime::Builder;

use super::Failure;
use crate::{
    check::{is_label, is_subdomain},
    cluster::{self, Cluster},
};

/// The flags that say which API server and which namespace; flattened into a command's own.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// The kubeconfig file, instead of those in KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = "Cluster", value_hint = clap::ValueHint::FilePath)]
    kubeconfig: Option<PathBuf>,
    /// The kubeconfig's context, instead of its current one
    #[arg(long, value_name = "NAME", help_heading = "Cluster")]
    context: Option<String>,
    /// The pod's namespace, instead of the context's
    #[arg(short, long, value_name = "NAME", help_heading = "Cluster", value_parser = namespace)]
    namespace: Option<String>,
}

/// An API server, and the namespace that is meant where none is named.
pub(super) struct Connected {
    pub(super) cluster: Cluster,
    pub(super) namespace: Arc<str>,
}

impl Target {
    /// Does `work` with the API server on a runtime of its own, without a sandbox. The server is first asked by `work`.
    ///
    /// # Errors
    /// [`Failure::Input`] where there is no usable kubeconfig; [`Failure::Work`] where no runtime starts; what `work`
    /// says.
    pub(super) fn on<T>(self, work: impl AsyncFnOnce(Connected) -> Result<T, Failure>) -> Result<T, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build().context("the runtime does not start")?;
        runtime.block_on(async { work(self.connect().await?).await })
    }

    /// The flags that make kubectl ask the same server, each as a word.
    pub(super) fn kubectl_flags(&self) -> Vec<String> {
        let file = self.kubeconfig.iter().map(|file| format!("--kubeconfig={}", file.display()));
        file.chain(self.context.iter().map(|context| format!("--context={context}"))).collect()
    }

    async fn connect(self) -> Result<Connected, Failure> {
        let options =
            cluster::Options { kubeconfig: self.kubeconfig, context: self.context, ..cluster::Options::default() };
        let cluster = cluster::connect(options).await.map_err(Failure::input)?;
        let namespace = self.namespace.map_or_else(|| cluster.default_namespace(), Arc::from);
        Ok(Connected { cluster, namespace })
    }
}

/// A name that is none would become a path on the server that asks for something else.
fn namespace(name: &str) -> Result<String, &'static str> {
    if is_label(name) {
        return Ok(name.to_owned());
    }
    Err("no name of a namespace: at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit")
}

/// Takes the pod's name off the words of a command line, which name it as kubectl does: `pod NAME` or `pod/NAME`. The
/// words after it are left.
///
/// # Errors
/// [`Failure::Input`] where the words name no pod; `usage` is the mend that it shows.
pub(super) fn pod_name<'a>(words: &'a [String], usage: &str) -> Result<(&'a str, &'a [String]), Failure> {
    let is_kind = |word: &str| matches!(word, "pod" | "pods" | "po");
    let found = match words {
        [first, rest @ ..] if first.split_once('/').is_some_and(|(kind, _)| is_kind(kind)) => {
            first.split_once('/').map(|(_, name)| (name, rest))
        }
        [kind, name, rest @ ..] if is_kind(kind) => Some((name.as_str(), rest)),
        _ => None,
    };
    let Some((name, rest)) = found else {
        return Err(Failure::Input(anyhow!("{}: no pod is named: write {usage}", words.join(" "))));
    };
    if !is_subdomain(name) {
        return Err(Failure::Input(anyhow!("{name:?}: no name of a pod: write {usage}")));
    }
    Ok((name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(line: &str) -> Result<(String, usize), String> {
        let words: Vec<_> = line.split(' ').map(ToOwned::to_owned).collect();
        let (name, rest) = pod_name(&words, "pod NAME").map_err(|e| e.to_string())?;
        Ok((name.to_owned(), rest.len()))
    }

    #[test]
    fn a_pod_is_named_as_for_kubectl() {
        for line in ["pod web-0", "pod/web-0", "pods web-0", "po/web-0"] {
            assert_eq!(named(line), Ok(("web-0".to_owned(), 0)), "{line}");
        }
        assert_eq!(named("pod web-0 a=True"), Ok(("web-0".to_owned(), 1)));
        assert_eq!(named("pod/web-0 example.com/a=True"), Ok(("web-0".to_owned(), 1)));
    }

    #[test]
    fn what_is_no_pods_name_is_refused_with_the_usage() {
        for line in ["web-0", "pod", "deployment/web", "pod ../secrets", "pod/", "pod Web"] {
            let error = named(line).unwrap_err();
            assert!(error.ends_with("write pod NAME"), "{line}: {error}");
        }
    }

    #[test]
    fn a_name_that_is_no_namespace_is_refused() {
        assert!(namespace("shop").is_ok() && namespace("a/b").is_err() && namespace("").is_err());
    }
}
