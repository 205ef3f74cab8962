//! Names to addresses, as a program in the host's pod would find them: by /etc/hosts and /etc/resolv.conf.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hickory_resolver::{
    Resolver as Hickory, TokioResolver,
    config::{LookupIpStrategy, ResolveHosts, ResolverConfig, ServerOrderingStrategy},
    net::{DnsError, NetError, runtime::TokioRuntimeProvider},
    proto::op::ResponseCode,
    system_conf::parse_resolv_conf,
};

const CONF: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// How long answers are kept at most.
const KEPT: Duration = Duration::from_secs(5);

/// How often the two files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// How many addresses of a name are taken.
const ADDRESSES: usize = 64;

/// One for the process; it follows its files.
#[derive(Debug, Default)]
pub(in super::super) struct Resolver(Mutex<Option<Built>>);

/// A resolver, and the files that it was made from.
struct Built {
    looked: Instant,
    files: [Stamp; 2],
    resolver: Result<TokioResolver, Arc<str>>,
}

/// What tells a file from another that took its place.
type Stamp = Option<(u64, u64, i64, i64, u64)>;

/// Why a name has no addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum Lookup {
    /// There are none.
    #[error("the resolver knows no address of {0}")]
    Unknown(String),
    /// No resolver answered.
    #[error("no answer from the resolvers of {CONF} for {0}")]
    Silent(String),
    /// The resolver has trouble.
    #[error("the resolver cannot tell the addresses of {0}: it answers {1}")]
    Failed(String, String),
    /// There is none to be asked.
    #[error("names cannot be looked up: {0}")]
    Unconfigured(Arc<str>),
}

impl Resolver {
    /// The addresses of a name, IPv4 first; never none. Without a dot at its end the search domains are tried, as for
    /// any program.
    pub(in super::super) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Lookup> {
        let resolver = self.current().map_err(Lookup::Unconfigured)?;
        let said = || name.to_owned();
        let mut found: Vec<_> = match resolver.lookup_ip(name).await {
            Ok(found) => found.iter().take(ADDRESSES).collect(),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) if is_answer(none.response_code) => Vec::new(),
            Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
                return Err(Lookup::Failed(said(), none.response_code.to_string()));
            }
            Err(NetError::Dns(DnsError::ResponseCode(code))) => return Err(Lookup::Failed(said(), code.to_string())),
            Err(NetError::Timeout | NetError::NoConnections | NetError::Io(_) | NetError::Busy) => {
                return Err(Lookup::Silent(said()));
            }
            Err(_) => return Err(Lookup::Failed(said(), "what is no DNS".to_owned())),
        };
        found.sort_unstable();
        found.dedup();
        if found.is_empty() { Err(Lookup::Unknown(said())) } else { Ok(found) }
    }

    /// The resolver as of now.
    fn current(&self) -> Result<TokioResolver, Arc<str>> {
        let mut built = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(built) = &mut *built {
            if now.saturating_duration_since(built.looked) < LOOK {
                return built.resolver.clone();
            }
            built.looked = now;
            // What is not there yet is tried for again.
            if built.resolver.is_ok() && built.files == [CONF, HOSTS].map(stamp) {
                return built.resolver.clone();
            }
        }
        let files = [CONF, HOSTS].map(stamp);
        let resolver = build().map_err(Arc::from);
        *built = Some(Built { looked: now, files, resolver: resolver.clone() });
        resolver
    }
}

/// Whether the name exists or not is known then.
fn is_answer(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
}

fn stamp(path: &str) -> Stamp {
    let status = fs::metadata(path).ok()?;
    Some((status.dev(), status.ino(), status.mtime(), status.mtime_nsec(), status.len()))
}

fn build() -> Result<TokioResolver, String> {
    let content = fs::read(CONF).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no {CONF}"),
        _ => format!("{CONF} cannot be read: {error}"),
    })?;
    let (config, mut options) =
        parse_resolv_conf(&content).map_err(|_| format!("{CONF} names no nameserver that can be asked"))?;
    let (domain, search, servers) = config.into_parts();
    if servers.is_empty() {
        return Err(format!("{CONF} names no nameserver that can be asked"));
    }
    // The domain in the machine's own name counts only where the file says nothing.
    let domain = domain.filter(|_| search.is_empty());
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.use_hosts_file = ResolveHosts::Always;
    options.positive_max_ttl = Some(KEPT);
    options.negative_max_ttl = Some(KEPT);
    options.max_active_requests = 1024;
    options.try_tcp_on_error = true;
    let config = ResolverConfig::from_parts(domain, search, servers);
    let builder = Hickory::builder_with_config(config, TokioRuntimeProvider::default()).with_options(options);
    builder.build().map_err(|error| format!("the resolver does not start: {error}"))
}

impl std::fmt::Debug for Built {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Built").field("files", &self.files).finish_non_exhaustive()
    }
}
