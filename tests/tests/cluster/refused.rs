//! Somebody forbids a write, and allows it again.

use anyhow::Context as _;
use gatehost_tests::{
    objects::{APPROVED, approval, gated_pod, status_of},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::{from_value, json};

#[test]
fn a_refused_write_is_told_and_tried_again_until_it_is_allowed() {
    run(async |t: &mut Trial| {
        let name = format!("{}.example.com", t.namespace);
        let policies: Api<ValidatingAdmissionPolicy> = Api::all(t.client.clone());
        let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(t.client.clone());
        let policy = json!({ "metadata": { "name": name }, "spec": {
            "matchConstraints": {
                "namespaceSelector": { "matchLabels": { "kubernetes.io/metadata.name": t.namespace } },
                "resourceRules": [{ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["UPDATE"],
                                    "resources": ["pods/status"] }],
            },
            "matchConditions": [{ "name": "host", "expression": "request.userInfo.username.endsWith(':gatehost')" }],
            "validations": [{ "expression": "false", "message": "not today" }],
        }});
        let binding = json!({ "metadata": { "name": name },
                              "spec": { "policyName": name, "validationActions": ["Deny"] } });
        policies.create(&PostParams::default(), &from_value(policy)?).await?;
        bindings.create(&PostParams::default(), &from_value(binding)?).await?;

        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.start_host(&[]).await?;
        // A policy takes a moment to be in force: ask with pods until one write has been refused.
        let mut pods = 0;
        until(SOON, "a write was refused", async || {
            t.create(&gated_pod(&format!("p{pods}"), &[APPROVED])).await?;
            pods += 1;
            let metrics = t.host.as_ref().context("no host")?.metrics().await?;
            let refused = metrics.sum("gatehost_patches_total", &[("result", "refused")]);
            Ok(Seen::when(refused > 0.0, || "none refused".to_owned()))
        })
        .await?;
        let last = format!("p{}", pods - 1);
        assert_eq!(status_of(&t.pods().get(&last).await?, APPROVED), "-");
        let log = std::fs::read_to_string(t.host.as_ref().context("no host")?.log())?;
        assert!(log.contains("not today"), "the log says who refused and why:\n{log}");

        bindings.delete(&name, &DeleteParams::default()).await?;
        policies.delete(&name, &DeleteParams::default()).await?;
        t.wait_for_status(&format!("app={last}"), 1, APPROVED, "False").await?;
        Ok(())
    });
}
