//! What clients of a Service see.

use anyhow::Result;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, api::ListParams};

use crate::{
    trial::Trial,
    wait::{SOON, Seen, until},
};

/// Waits until the endpoint of `pod` in the slices of `service` has these conditions `ready` and `serving`.
pub async fn wait_for_endpoint(t: &Trial, service: &str, pod: &str, wanted: (bool, bool)) -> Result<()> {
    until(SOON, &format!("the endpoint of {pod} is (ready, serving) = {wanted:?}"), async || {
        let seen = endpoint(t, service, pod).await?;
        Ok(Seen::when(seen == Some(wanted), || format!("{seen:?}")))
    })
    .await
}

async fn endpoint(t: &Trial, service: &str, pod: &str) -> Result<Option<(bool, bool)>> {
    let slices: Api<EndpointSlice> = t.api();
    let wanted = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
    let slices = slices.list(&wanted).await?;
    let mut endpoints = slices.items.iter().flat_map(|slice| &slice.endpoints);
    let of_pod = endpoints.find(|e| e.target_ref.as_ref().is_some_and(|to| to.name.as_deref() == Some(pod)));
    let conditions = of_pod.and_then(|endpoint| endpoint.conditions.as_ref());
    Ok(conditions.map(|c| (c.ready == Some(true), c.serving == Some(true))))
}
