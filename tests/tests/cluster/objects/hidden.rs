//! What no plugin sees.

use anyhow::{Context as _, Result, ensure};
use gatehost_tests::{
    host::Host,
    objects::{condition, gated_spec},
    trial::{ROLLOUT, Trial, path, run},
    wait::{Seen, until},
};
use serde_json::{Value, json};

use super::{check, grant};

const CANARY: &str = "c4nary-7f3a";

/// A pod's spec with the canary wherever a secret may stand.
fn spec(gates: &[&str]) -> Value {
    let mut spec = gated_spec(gates);
    let container = &mut spec["containers"][0];
    container["env"] = json!([{ "name": "TOKEN", "value": CANARY }]);
    container["envFrom"] = json!([{ "configMapRef": { "name": CANARY, "optional": true } }]);
    (container["args"], container["command"]) = (json!([CANARY]), json!(["sleep", CANARY]));
    container["lifecycle"] = json!({ "preStop": { "exec": { "command": [CANARY] } } });
    spec["volumes"] = json!([{ "name": "v", "secret": { "secretName": CANARY, "optional": true } }]);
    spec
}

fn documents(gates: &[&str]) -> Value {
    let pod = |name: &str, gates: &[&str], annotations: Value| {
        json!({ "apiVersion": "v1", "kind": "Pod", "spec": spec(gates),
                "metadata": { "name": name, "labels": { "app": name, "seen": "v1s1ble" }, "annotations": annotations } })
    };
    let template = json!({ "metadata": { "labels": { "app": "db" } }, "spec": spec(&[]) });
    let job = json!({ "restartPolicy": "Never" });
    let mut once = template.clone();
    once["spec"].as_object_mut().unwrap().extend(job.as_object().unwrap().clone());
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        pod("web", gates, json!({ "own": "seen" })),
        pod("other", &[], json!({ "secret": CANARY })),
        { "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "db" },
          "spec": { "replicas": 1, "selector": { "matchLabels": { "app": "db" } }, "template": template } },
        { "apiVersion": "batch/v1", "kind": "CronJob", "metadata": { "name": "nightly" },
          "spec": { "schedule": "0 0 1 1 *", "jobTemplate": { "spec": { "template": once } } } },
        { "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "stringData": { "a": CANARY } },
        { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "c" }, "data": { "a": CANARY } },
    ]})
}

#[test]
fn no_guest_sees_a_secret_of_a_pod_another_pods_annotation_or_what_is_the_hosts_own() {
    run(async |t: &mut Trial| {
        let ns = t.namespace.clone();
        t.guest("objects", "objects.wasm")?;
        let all = json!(["/metadata", "/spec", "/status", "/data", "/kind"]);
        let entry = |version: &str, kind: &str| json!({ "apiVersion": version, "kind": kind, "namespaces": [ns], "fields": all });
        let kinds = [("v1", "Pod"), ("apps/v1", "Deployment"), ("apps/v1", "ReplicaSet"), ("batch/v1", "CronJob")];
        let entries: Vec<_> = kinds.iter().map(|(version, kind)| entry(version, kind)).collect();
        let lists = kinds.iter().map(|(version, kind)| json!({ "all": [version, kind, ns, ""] }));
        let tricks = [
            ("v1", "Secret"),
            ("", "Secret"),
            ("core/v1", "Secret"),
            ("/v1", "Secret"),
            ("V1", "secret"),
            ("v1", "secrets"),
            ("v1", "ConfigMap"),
            ("v1", "Pod/log"),
            ("v1", "Pod/status"),
            ("v1", "PodList"),
        ];
        let tricks = tricks.iter().flat_map(|(version, kind)| {
            [
                json!({ "all": [version, kind, ns, ""] }),
                json!({ "one": [version, kind, ns, "s"] }),
                json!({ "one": [version, kind, ns, "c"] }),
                json!({ "one": [version, kind, format!("{ns}/secrets"), "s"] }),
                json!({ "one": [version, kind, ns, "../secrets/s"] }),
            ]
        });
        let reads: Vec<_> = lists.chain([json!({ "one": ["v1", "Pod", ns, "other"] })]).chain(tricks).collect();
        let kubeconfig = t.deployed_kubeconfig().await?;
        let config: Value = serde_json::from_slice(&std::fs::read(&kubeconfig)?)?;
        let token = config.pointer("/users/0/user/token").and_then(Value::as_str).context("no token")?;
        let words = [("a", CANARY), ("b", &token[..40]), ("c", "h0st-env"), ("d", "v1s1ble")];
        for (name, word) in words {
            let config = json!({ "reads": reads, "seek": word });
            t.file(&format!("{name}.yaml"), check(name, &format!("example.com/{name}"), &config, &json!(entries)));
        }
        grant(t, &[])?;
        let gates: Vec<_> = words.iter().map(|(name, _)| format!("example.com/{name}")).collect();
        let file = t.scratch("objects").join("objects.json");
        std::fs::write(&file, documents(&gates.iter().map(String::as_str).collect::<Vec<_>>()).to_string())?;
        t.kubectl(&["apply", "-f", path(&file)?])?;
        let applied = t.kubectl(&["get", "deployments,replicasets,pods,cronjobs", "-o", "json"])?;
        ensure!(applied.matches(CANARY).count() > 20 && applied.contains("last-applied-configuration"));

        let log = t.scratch("log").join("gatehost.log");
        let args = [path(&t.files)?, "--kubeconfig", path(&kubeconfig)?, "--namespace", &ns];
        t.host.insert(Host::start(&args, &[("CANARY", "h0st-env")], &log)?).wait_until_ready().await?;
        // Of what is shown the guest must find what is meant to be seen, all of it by now.
        let told = async || -> Result<Vec<(String, String)>> {
            let pod = t.pods().get("web").await?;
            let of = |gate: &String| {
                let said = condition(&pod, gate);
                said.map_or((String::new(), String::new()), |c| {
                    (c.status.clone(), c.message.clone().unwrap_or_default())
                })
            };
            Ok(gates.iter().map(of).collect())
        };
        let told = until(ROLLOUT, "every word was looked for", async || {
            let told = told().await?;
            let done = told.iter().all(|(status, _)| status == "True" || status == "False");
            Ok(if done { Seen::Yes(told) } else { Seen::NotYet(format!("{told:?}")) })
        })
        .await?;
        let statuses: Vec<_> = told.iter().map(|(status, _)| status.as_str()).collect();
        ensure!(statuses == ["True", "True", "True", "False"], "{told:#?}");
        ensure!(told[3].1.contains("\"kind\":\"Pod\""), "{told:#?}");
        let log = std::fs::read_to_string(log)?;
        ensure!(!log.contains(CANARY) && !log.contains(token), "the log shows it");
        ensure!(log.contains("a Secret is never shown to a plugin"), "{log}");
        Ok(())
    });
}
