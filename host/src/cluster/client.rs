//! Which API server, with which credentials: as kubectl finds them.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{HeaderValue, header::USER_AGENT};
use kube::{
    Client, Config,
    client::ClientBuilder,
    config::{InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::{Limits, deadline::Deadline, explain::one_line, health::WatchHealth, renew::Renewing};

/// Why there is no client. Each says in one line what was looked at and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No kubeconfig, and not in a cluster.
    #[error(
        "no kubeconfig: looked at {looked}, and this is no pod of a cluster (KUBERNETES_SERVICE_HOST is not set): give \
         --kubeconfig FILE or set KUBECONFIG"
    )]
    NoKubeconfig {
        /// The places.
        looked: String,
    },
    /// A file cannot be read or is no kubeconfig.
    #[error("{file}: not usable as a kubeconfig: {what}")]
    Unreadable {
        /// The file, or the files that do not go together.
        file: String,
        /// What is wrong, without the lines around it: they may hold a token.
        what: String,
    },
    /// The kubeconfig has no such context.
    #[error("{files}: no context {name:?}: it has {known}")]
    UnknownContext {
        /// The files.
        files: String,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// No context was asked for and the kubeconfig names no current one.
    #[error("{files}: no current-context: give --context with one of {known}")]
    NoContext {
        /// The files.
        files: String,
        /// What there is.
        known: String,
    },
    /// The context, its cluster or its user is incomplete.
    #[error("{files}: the context cannot be used: {what}")]
    BadContext {
        /// The files.
        files: String,
        /// What is wrong.
        what: String,
    },
    /// The pod's own settings cannot be used.
    #[error(
        "the in-cluster settings cannot be used: is the service account's token mounted \
         (automountServiceAccountToken)?"
    )]
    InCluster(#[source] InClusterError),
    /// The client cannot be made of the settings: a certificate, a key, a proxy.
    #[error("the settings for {url} cannot be used")]
    Client {
        /// The API server.
        url: String,
        /// What is wrong.
        source: Box<kube::Error>,
    },
}

/// Where settings are looked for.
#[derive(Clone, Debug, Default)]
pub(super) struct Places {
    /// `--kubeconfig`.
    pub(super) explicit: Option<PathBuf>,
    /// `KUBECONFIG`: several files, the first that says something wins.
    pub(super) listed: Option<OsString>,
    /// `HOME`.
    pub(super) home: Option<PathBuf>,
    /// `KUBERNETES_SERVICE_HOST` is set.
    pub(super) in_cluster: bool,
}

impl Places {
    pub(super) fn from_env(explicit: Option<PathBuf>) -> Self {
        Self {
            explicit,
            listed: env::var_os("KUBECONFIG").filter(|v| !v.is_empty()),
            home: env::home_dir(),
            in_cluster: env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }

    /// The files in the order of their say. Like kubectl: a file that is not there is passed over, but for one that was
    /// named on the command line.
    fn files(&self) -> Vec<PathBuf> {
        if let Some(file) = &self.explicit {
            vec![file.clone()]
        } else if let Some(list) = &self.listed {
            env::split_paths(list).filter(|p| !p.as_os_str().is_empty()).collect()
        } else {
            self.home.iter().map(|home| home.join(".kube/config")).collect()
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: Config,
    /// All that was read: where one of these changes, so may the settings.
    pub(super) files: Vec<PathBuf>,
    /// Where to look again.
    pub(super) from: Option<(Places, Option<String>)>,
}

impl From<Config> for Settings {
    /// Settings that never change.
    fn from(config: Config) -> Self {
        Self { config, files: Vec::new(), from: None }
    }
}

/// Finds and reads the settings.
pub(super) async fn settings(places: Places, context: Option<String>) -> Result<Settings, ConnectError> {
    let candidates = places.files();
    let there = |p: &&PathBuf| places.explicit.is_some() || p.exists();
    let files: Vec<&PathBuf> = candidates.iter().filter(there).collect();
    let (config, authority) = if files.is_empty() {
        if !places.in_cluster {
            let looked = if candidates.is_empty() { "$HOME/.kube/config".to_owned() } else { names(&candidates) };
            return Err(ConnectError::NoKubeconfig { looked });
        }
        (Config::incluster().map_err(ConnectError::InCluster)?, None)
    } else {
        let mut merged = Kubeconfig::default();
        for file in &files {
            let unreadable = |e| ConnectError::Unreadable { file: file.display().to_string(), what: explain(&e) };
            let read = Kubeconfig::read_from(file).map_err(unreadable)?;
            merged = merged.merge(read).map_err(unreadable)?;
        }
        resolve(merged, &names(&files), context.as_deref()).await?
    };
    let user = &config.auth_info;
    let named = [authority, user.token_file.clone(), user.client_certificate.clone(), user.client_key.clone()];
    let named = named.into_iter().flatten().map(PathBuf::from).chain(config.root_cert_file.clone());
    let files = files.into_iter().cloned().chain(named).collect();
    Ok(Settings { config, files, from: Some((places, context)) })
}

/// The settings of one context, and the file that its cluster's authority is in.
async fn resolve(
    kubeconfig: Kubeconfig,
    files: &str,
    context: Option<&str>,
) -> Result<(Config, Option<String>), ConnectError> {
    let files = files.to_owned();
    let known = kubeconfig.contexts.iter().map(|c| c.name.as_str()).collect::<Vec<_>>().join(", ");
    let known = if known.is_empty() { "none".to_owned() } else { known };
    let asked = context.or(kubeconfig.current_context.as_deref()).filter(|c| !c.is_empty());
    let Some(name) = asked.map(str::to_owned) else {
        return Err(ConnectError::NoContext { files, known });
    };
    let Some(chosen) = kubeconfig.contexts.iter().find(|c| c.name == name) else {
        return Err(ConnectError::UnknownContext { files, name, known });
    };
    let cluster = chosen.context.as_ref().map(|context| &context.cluster);
    let cluster = kubeconfig.clusters.iter().find(|c| Some(&c.name) == cluster).and_then(|c| c.cluster.as_ref());
    let authority = cluster.and_then(|cluster| cluster.certificate_authority.clone());
    let options = KubeConfigOptions { context: Some(name), cluster: None, user: None };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|e| ConnectError::BadContext { files, what: explain(&e) })?;
    Ok((config, authority))
}

/// One line: the client's own text repeats its causes, and shows the lines of the file around a fault.
fn explain(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(cause, _) => cause.to_string(),
        other => other.to_string().lines().next().map(one_line).unwrap_or_default(),
    }
}

/// Makes the client: every request with a deadline, and with the settings as they are now.
pub(super) fn build(settings: Settings, limits: Limits, health: Arc<WatchHealth>) -> Result<Client, ConnectError> {
    let namespace = settings.config.default_namespace.clone();
    let renewing = Renewing::new(settings, limits)?;
    let builder = ClientBuilder::new(renewing, namespace);
    Ok(builder.with_layer(&Deadline { limit: limits.answer, health }).build())
}

/// A client of these settings: no retries of its own.
pub(super) fn connect(mut config: Config, limits: Limits) -> Result<Client, ConnectError> {
    config.default_retry = false;
    config.connect_timeout = Some(limits.answer);
    config.read_timeout = Some(limits.silence);
    config.write_timeout = Some(limits.answer);
    // Otherwise a connection that was idle for long would be cut soon after a request was written to it.
    config.reset_reader_on_write = true;
    let agent = HeaderValue::from_static(concat!("gatehost/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    let url = config.cluster_url.to_string();
    Client::try_from(config).map_err(|source| ConnectError::Client { url, source: Box::new(source) })
}

fn names(files: &[impl AsRef<Path>]) -> String {
    files.iter().map(|f| f.as_ref().display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use std::{fs, process};

    use super::*;

    fn kubeconfig(context: &str, server: &str) -> String {
        format!(
            r#"{{"clusters": [{{"name": "{context}", "cluster": {{"server": "{server}"}}}}],
                "contexts": [{{"name": "{context}", "context": {{"cluster": "{context}", "user": "u"}}}}],
                "current-context": "{context}"}}"#
        )
    }

    /// A directory of its own, which is removed when it is dropped.
    struct Dir(PathBuf);

    impl Dir {
        fn new(name: &str) -> Self {
            let dir = env::temp_dir().join(format!("gatehost-{}-{name}", process::id()));
            fs::create_dir_all(&dir).unwrap();
            Self(dir)
        }

        fn file(&self, name: &str, text: &str) -> PathBuf {
            let file = self.0.join(name);
            fs::write(&file, text).unwrap();
            file
        }
    }

    impl Drop for Dir {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    #[tokio::test]
    async fn without_a_kubeconfig_the_places_and_the_mend_are_named() {
        let places = Places { home: Some("/nowhere".into()), ..Places::default() };
        let error = settings(places.clone(), None).await.unwrap_err().to_string();
        assert!(error.contains("/nowhere/.kube/config") && error.contains("--kubeconfig FILE"), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_was_named_must_be_there() {
        let dir = Dir::new("named");
        let places = Places { explicit: Some(dir.0.join("none")), in_cluster: true, ..Places::default() };
        let error = settings(places.clone(), None).await.unwrap_err();
        assert!(matches!(&error, ConnectError::Unreadable { file, .. } if file.ends_with("/none")), "{error}");
    }

    #[tokio::test]
    async fn a_file_that_does_not_parse_is_one_line_that_shows_nothing_of_it() {
        let dir = Dir::new("garbage");
        let text = "users:\n- name: u\n  user: {token: secret}\n  user: [\n";
        let places = Places { explicit: Some(dir.file("a", text)), ..Places::default() };
        let error = anyhow::Error::from(settings(places.clone(), None).await.unwrap_err());
        let line = format!("{error:#}");
        assert!(line.contains("line 4") && !line.contains("secret") && !line.contains('\n'), "{line}");
        let places = Places { explicit: Some(dir.0.clone()), ..Places::default() };
        let line = format!("{:#}", anyhow::Error::from(settings(places.clone(), None).await.unwrap_err()));
        assert_eq!(line.matches("Is a directory").count(), 1, "{line}");
    }

    #[tokio::test]
    async fn several_files_are_one_and_a_missing_one_is_passed_over() {
        let dir = Dir::new("several");
        let a = dir.file("a", &kubeconfig("one", "https://one:6443"));
        let b = dir.file("b", &kubeconfig("two", "https://two:6443"));
        let listed = Some(env::join_paths([a, dir.0.join("none"), b]).unwrap());
        let places = Places { listed, ..Places::default() };
        assert_eq!(settings(places.clone(), None).await.unwrap().config.cluster_url.host(), Some("one"));
        assert_eq!(
            settings(places.clone(), Some("two".to_owned())).await.unwrap().config.cluster_url.host(),
            Some("two")
        );
        let error = settings(places.clone(), Some("three".to_owned())).await.unwrap_err();
        assert!(matches!(&error, ConnectError::UnknownContext { known, .. } if known == "one, two"), "{error}");
    }

    #[tokio::test]
    async fn a_kubeconfig_without_a_current_context_asks_for_one() {
        let dir = Dir::new("current");
        let text =
            kubeconfig("one", "https://one:6443").replace(r#""current-context": "one""#, r#""current-context": """#);
        let places = Places { explicit: Some(dir.file("a", &text)), ..Places::default() };
        let error = settings(places.clone(), None).await.unwrap_err();
        assert!(matches!(&error, ConnectError::NoContext { known, .. } if known == "one"), "{error}");
    }
}
