//! host/deploy/policies in force on a real API server: the shipped files, held to the namespaces of a test.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    trial::{Trial, path},
    wait::{SOON, Seen, until},
    workspace,
};
use k8s_openapi::api::{admissionregistration::v1::ValidatingAdmissionPolicy, core::v1::Pod};
use kube::{
    Api, Client, Config,
    api::{DynamicObject, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    core::{GroupVersionKind, Status},
    discovery::ApiResource,
};
use serde_json::{Deserializer, Value, from_value, json};

mod clamp;
mod inject;
mod overrides;

/// A file of host/deploy/policies.
fn shipped(name: &str) -> PathBuf {
    workspace().join("host/deploy/policies").join(name)
}

/// Creates the policies in `file` with their bindings, under names of this test's own and for `namespaces` only,
/// because every other test is on the same API server. Waits until the API server has found nothing wrong with the
/// types in them; in force they are a moment later.
async fn install(t: &Trial, file: &Path, namespaces: &[&str]) -> Result<()> {
    let documents = t.plane.kubectl(&["create", "--dry-run=client", "-o", "json", "-f", path(file)?])?;
    for document in Deserializer::from_str(&documents).into_iter::<Value>() {
        let mut document = document?;
        let kind = document["kind"].as_str().context("a document without a kind")?.to_owned();
        if !kind.contains("AdmissionPolicy") {
            continue;
        }
        let own = |name: &Value| format!("{}.{}", name.as_str().unwrap(), t.namespace);
        let name = own(&document["metadata"]["name"]);
        document["metadata"]["name"] = json!(name);
        if kind.ends_with("Binding") {
            let only = json!({ "key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces });
            document["spec"]["policyName"] = json!(own(&document["spec"]["policyName"]));
            document["spec"]["matchResources"] = json!({ "namespaceSelector": { "matchExpressions": [only] } });
        }
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &kind));
        let api: Api<DynamicObject> = Api::all_with(t.client.clone(), &resource);
        api.create(&PostParams::default(), &from_value(document)?).await?;
        if kind == "ValidatingAdmissionPolicy" {
            wait_for_types(t, &name).await?;
        }
    }
    Ok(())
}

/// The controllers check the types of every expression against the schema of what it is about.
async fn wait_for_types(t: &Trial, name: &str) -> Result<()> {
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(t.client.clone());
    let checking = until(SOON, &format!("the types of {name} are checked"), async || {
        let status = policies.get(name).await?.status.and_then(|status| status.type_checking);
        Ok(status.map_or_else(|| Seen::NotYet("no status".to_owned()), Seen::Yes))
    })
    .await?;
    assert_eq!(checking.expression_warnings, None);
    Ok(())
}

/// The pods of this test's namespace, as the owner of a kubeconfig.
async fn pods_as(t: &Trial, kubeconfig: &Path) -> Result<Api<Pod>> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Api::namespaced(Client::try_from(config)?, &t.namespace))
}

/// What the API server answered to a write that it refused.
fn refusal<T>(answer: kube::Result<T>) -> Option<Box<Status>> {
    match answer {
        Err(kube::Error::Api(status)) => Some(status),
        _ => None,
    }
}

/// Whether this policy, as this test has named it, refused a write with these words.
fn refused_by<T>(t: &Trial, answer: kube::Result<T>, policy: &str, words: &str) -> Result<(), String> {
    let status = refusal(answer).ok_or("not refused")?;
    let by = format!("ValidatingAdmissionPolicy '{policy}.gatehost.dev.{}' with binding", t.namespace);
    let right = status.message.contains(&by) && status.message.contains(words);
    if right { Ok(()) } else { Err(status.message) }
}
