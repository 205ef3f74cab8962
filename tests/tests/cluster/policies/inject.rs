//! inject-gate.yaml: which pods get the gate, and which never do.

use anyhow::Result;
use gatehost_tests::{
    objects::{APPROVED, approval, gated_pod, gated_workload},
    trial::{Trial, run},
    wait::{SOON, Seen, until},
};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, api::PostParams};
use serde_json::{Value, from_value, json};

use super::{install, shipped};

const FIRST: &str = "example.org/first";
const OTHER: &str = "example.org/other";

/// A pod that the policy is for, and that may be made in any namespace.
fn labelled(name: &str, gates: &[&str]) -> Value {
    let mut pod = gated_pod(name, gates);
    pod["metadata"]["labels"]["example.com/needs-approval"] = json!("true");
    pod["spec"]["securityContext"] = json!({
        "runAsNonRoot": true, "runAsUser": 1, "seccompProfile": { "type": "RuntimeDefault" },
    });
    pod["spec"]["containers"][0]["securityContext"] =
        json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } });
    pod
}

/// The gates that a pod would have in a namespace; it is not made.
async fn gates_in(t: &Trial, namespace: &str, pod: Value) -> Result<Vec<String>> {
    let pods: Api<Pod> = Api::namespaced(t.client.clone(), namespace);
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let gates = pods.create(&params, &from_value(pod)?).await?.spec.unwrap_or_default().readiness_gates;
    Ok(gates.unwrap_or_default().into_iter().map(|gate| gate.condition_type).collect())
}

async fn in_force(t: &Trial) -> Result<()> {
    until(SOON, "a pod with the label gets the gate", async || {
        let gates = gates_in(t, &t.namespace, labelled("p", &[])).await?;
        Ok(Seen::when(gates == [APPROVED], || format!("{gates:?}")))
    })
    .await
}

#[test]
fn a_labelled_pod_gets_the_gate_once_whatever_gates_it_has_and_the_host_decides_it() {
    run(async |t: &mut Trial| {
        install(t, &shipped("inject-gate.yaml"), &[&t.namespace]).await?;
        in_force(t).await?;
        for (before, after) in [
            (&[OTHER][..], &[OTHER, APPROVED][..]),
            (&[APPROVED], &[APPROVED]),
            (&[APPROVED, OTHER], &[APPROVED, OTHER]),
        ] {
            assert_eq!(gates_in(t, &t.namespace, labelled("p", before)).await?, after);
        }
        let mut without = labelled("p", &[]);
        without["spec"].as_object_mut().unwrap().remove("readinessGates");
        assert_eq!(gates_in(t, &t.namespace, without).await?, [APPROVED]);
        assert_eq!(gates_in(t, &t.namespace, gated_pod("p", &[OTHER])).await?, [OTHER]);

        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.start_host(&[]).await?;
        let mut web = gated_workload("Deployment", "web", 2, &[]);
        web["spec"]["template"]["metadata"]["labels"]["example.com/needs-approval"] = json!("true");
        t.create(&web).await?;
        t.wait_for_status("app=web", 2, APPROVED, "False").await?;
        t.wait_for_ready("app=web", 2, "False").await?;
        t.kubectl(&["annotate", "pods", "--all", &format!("{APPROVED}=yes")])?;
        t.wait_for_ready("app=web", 2, "True").await?;
        Ok(())
    });
}

#[test]
fn the_gate_is_added_once_where_another_policy_changes_the_pod_as_well() {
    run(async |t: &mut Trial| {
        install(t, &shipped("inject-gate.yaml"), &[&t.namespace]).await?;
        in_force(t).await?;
        // Nothing says which of two goes first; the one that did is asked again when the other has changed the pod.
        let another = t.scratch("another").join("policy.json");
        let rule = json!({ "apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"] });
        let change = "[JSONPatch{op: 'add', path: '/spec/readinessGates/-', \
                      value: Object.spec.readinessGates{conditionType: 'example.org/other'}}]";
        let once = "!object.spec.?readinessGates.orValue([]).exists(g, g.conditionType == 'example.org/other')";
        let policy = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy",
            "metadata": { "name": "another" },
            "spec": { "reinvocationPolicy": "IfNeeded", "matchConstraints": { "resourceRules": [rule] },
                      "matchConditions": [{ "name": "once", "expression": once }],
                      "mutations": [{ "patchType": "JSONPatch", "jsonPatch": { "expression": change } }] },
        });
        let binding = json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding",
            "metadata": { "name": "another" }, "spec": { "policyName": "another" },
        });
        std::fs::write(&another, format!("{policy}\n---\n{binding}"))?;
        install(t, &another, &[&t.namespace]).await?;
        let gates = async || gates_in(t, &t.namespace, labelled("p", &[FIRST])).await;
        until(SOON, "both policies change the pod", async || {
            let gates = gates().await?;
            Ok(Seen::when(gates.iter().any(|gate| gate == OTHER), || format!("{gates:?}")))
        })
        .await?;
        for _ in 0..20 {
            let mut gates = gates().await?;
            gates.sort();
            assert_eq!(gates, [APPROVED, FIRST, OTHER]);
        }
        Ok(())
    });
}

#[test]
fn no_pod_of_kube_system_or_of_the_host_gets_the_gate() {
    run(async |t: &mut Trial| {
        let never = ["kube-system", "gatehost"];
        // Held to them by the policy alone: the binding is for these namespaces.
        install(t, &shipped("inject-gate.yaml"), &[&t.namespace, never[0], never[1]]).await?;
        in_force(t).await?;
        for namespace in never {
            assert_eq!(gates_in(t, namespace, labelled("p", &[OTHER])).await?, [OTHER], "{namespace}");
        }
        Ok(())
    });
}
