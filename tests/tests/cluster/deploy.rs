//! host/deploy: what the API server says to it, and exactly which rights it gives.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use gatehost_tests::{
    controlplane::DEPLOYED_AS,
    trial::{ROLLOUT, Trial, path, run},
    wait::{Seen, until},
    workspace,
};
use k8s_openapi::api::{
    authorization::v1::{SelfSubjectRulesReview, SelfSubjectRulesReviewSpec},
    core::v1::{ConfigMap, Pod},
};
use kube::{
    Api, Client, Config,
    api::{ListParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};

fn apply(t: &Trial) -> Result<String> {
    // Fails on any warning: the namespace enforces, and warns by, the level `restricted`.
    t.plane.kubectl(&["apply", "-k", path(&workspace().join("host/deploy"))?])
}

async fn deployed_pod(t: &Trial) -> Result<Pod> {
    let pods: Api<Pod> = Api::namespaced(t.client.clone(), DEPLOYED_AS.0);
    let wanted = ListParams::default().labels("app.kubernetes.io/name=gatehost");
    until(ROLLOUT, "the host's pod runs", async || {
        let pods = pods.list(&wanted).await?.items;
        let running =
            pods.iter().find(|pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running")));
        Ok(running.map_or_else(|| Seen::NotYet(format!("{} pods", pods.len())), |pod| Seen::Yes(pod.clone())))
    })
    .await
}

#[test]
fn the_manifests_are_accepted_where_restricted_is_enforced_and_an_edited_check_is_no_new_pod() {
    run(async |t: &mut Trial| {
        apply(t)?;
        let first = deployed_pod(t).await?;
        let uid = first.metadata.uid.context("a pod without a uid")?;
        let checks = t.plane.pod_volume(&uid, "configmap", "checks")?;
        assert!(checks.join("approved.yaml").is_file() && checks.join("settled.yaml").is_file());

        let maps: Api<ConfigMap> = Api::namespaced(t.client.clone(), DEPLOYED_AS.0);
        let mut map = maps.get("gatehost-checks").await?;
        map.data.get_or_insert_default().insert("more.yaml".to_owned(), "# nothing".to_owned());
        maps.replace("gatehost-checks", &PostParams::default(), &map).await?;
        until(ROLLOUT, "kubelet has synced the edited checks", async || {
            Ok(Seen::when(checks.join("more.yaml").is_file(), || "not there".to_owned()))
        })
        .await?;
        assert_eq!(deployed_pod(t).await?.metadata.uid, Some(uid));
        assert!(!apply(t)?.contains("deployment.apps/gatehost configured"));
        Ok(())
    });
}

#[test]
fn the_policies_are_accepted_as_they_are_shipped() {
    run(async |t: &mut Trial| {
        // None is in force for a moment: the API server is everybody's.
        let apply = |flag, file: &str| {
            let path = workspace().join("host/deploy/policies").join(file);
            t.plane.kubectl(&["apply", "--dry-run=server", flag, path.to_str().unwrap()])
        };
        let made = apply("-k", "")?;
        assert_eq!(made.lines().filter(|line| line.ends_with("created (server dry run)")).count(), 6, "{made}");
        let made = apply("-f", "inject-gate.yaml")?;
        assert_eq!(made.lines().filter(|line| line.ends_with("created (server dry run)")).count(), 2, "{made}");
        Ok(())
    });
}

#[test]
fn the_service_account_may_read_pods_patch_their_status_write_events_and_see_namespaces_and_nothing_else() {
    run(async |t: &mut Trial| {
        let deployed = rules(&t.deployed_kubeconfig().await?, &t.namespace).await?;
        // What every service account has, so what one without any binding has.
        let plain = t.scratch("plain").join("kubeconfig");
        t.plane.write_kubeconfig_for(&t.namespace, "default", &plain).await?;
        let everyone = rules(&plain, &t.namespace).await?;
        assert!(deployed.is_superset(&everyone));
        let own: Vec<_> = deployed.difference(&everyone).map(String::as_str).collect();
        let expected = [
            "create events.k8s.io events",
            "get  pods",
            "list  namespaces",
            "list  pods",
            "patch  pods/status",
            "patch events.k8s.io events",
            "watch  namespaces",
            "watch  pods",
        ];
        assert_eq!(own, expected);

        let host = t.deployed_kubeconfig().await?;
        let can = |args: &[&str]| t.plane.kubectl_as(&host, &[&["auth", "can-i"], args].concat()).is_ok();
        assert!(can(&["watch", "pods", "--all-namespaces"]));
        assert!(can(&["patch", "pods", "--subresource=status", "--namespace", &t.namespace]));
        assert!(!can(&["patch", "pods", "--namespace", &t.namespace]));
        assert!(!can(&["get", "secrets", "--namespace", &t.namespace]));
        Ok(())
    });
}

/// Each right as "verb group resource", or "verb URL".
async fn rules(kubeconfig: &std::path::Path, namespace: &str) -> Result<BTreeSet<String>> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    let reviews: Api<SelfSubjectRulesReview> = Api::all(Client::try_from(config)?);
    let spec = SelfSubjectRulesReviewSpec { namespace: Some(namespace.to_owned()) };
    let review = SelfSubjectRulesReview { spec, ..SelfSubjectRulesReview::default() };
    let status = reviews.create(&PostParams::default(), &review).await?.status.context("no status")?;
    let mut rights = BTreeSet::new();
    for rule in status.resource_rules {
        assert!(rule.resource_names.is_none(), "a right by name is a right that this list would hide: {rule:?}");
        for verb in &rule.verbs {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    rights.insert(format!("{verb} {group} {resource}"));
                }
            }
        }
    }
    for rule in status.non_resource_rules {
        for verb in &rule.verbs {
            rights.extend(rule.non_resource_urls.iter().flatten().map(|url| format!("{verb} {url}")));
        }
    }
    Ok(rights)
}
