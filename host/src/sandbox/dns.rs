//! The import `dns`.

use super::{
    bindings::gatehost::check::{
        dns::{Failure, Host},
        reach::FailureKind,
    },
    net::{Net, Trouble, Unconnected, reachable},
    reach::failure,
    state::State,
};
use crate::check;

const IMPORT: &str = "dns";

impl Host for State {
    async fn resolve(&mut self, host_name: String) -> wasmtime::Result<Result<Vec<String>, Failure>> {
        let invalid = |what: &str| Ok(Err(failure(FailureKind::Invalid, &format!("{host_name:?} {what}"))));
        // What is an address in brackets elsewhere is one without them as well.
        let bare = host_name.parse().map(check::Host::Address);
        let host = match bare.or_else(|_| check::Host::read(&host_name)) {
            Ok(check::Host::Pod) => return invalid("is an address already, and needs no look-up"),
            Ok(check::Host::Address(_)) => return invalid("is an address; only names are looked up"),
            Ok(host) => host,
            Err(what) => return invalid(&what),
        };
        let granted = self.reach.granted();
        let granted = granted.filter(|granted| granted.allow.dns.iter().any(|entry| entry.means(&host)));
        let Some(granted) = granted else {
            let message = format!("{host} is not allowed; spec.allow.dns needs \"{host}\"");
            return Ok(Err(self.reach.refuse(IMPORT, &message)));
        };
        // The dot at the end keeps its meaning.
        let absolute = if host_name.ends_with('.') { "." } else { "" };
        let name = format!("{host}{absolute}");
        let net = granted.net.clone();
        let found = self.outside(self.reach.time(None), async move { addresses(&net, &name).await }).await?;
        Ok(found.unwrap_or_else(|| Err(Trouble::late())).map_err(|trouble| match trouble.kind {
            Some(kind) => failure(kind, &format!("{host}: {}", trouble.what)),
            None => self.reach.refuse(IMPORT, &trouble.what),
        }))
    }
}

async fn addresses(net: &Net, name: &str) -> Result<Vec<String>, Trouble> {
    let found: Result<_, Unconnected> = reachable(net, name).await;
    let found = found.map_err(|error| Trouble::from(&error))?;
    Ok(found.iter().map(ToString::to_string).collect())
}
