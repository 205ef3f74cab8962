//! What README.md says of a cluster, done as it says.

use std::{collections::BTreeSet, fs};

use anyhow::Context as _;
use gatehost_tests::{
    objects::APPROVED,
    readme, target,
    trial::{Trial, path, run},
    workspace,
};

#[test]
fn the_deployment_of_the_readme_turns_ready_as_it_says_and_the_metrics_are_those_it_lists() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        let check = fs::read_to_string(workspace().join("host/deploy/checks/approved.yaml"))?;
        // Beside it one that is only tried, for the metrics of dry runs.
        let tried = check.replace("name: approved", "name: tried").replace("\nspec:\n", "\nspec:\n  dryRun: true\n");
        t.file("approved.yaml", check);
        t.file("tried.yaml", tried);
        t.start_host(&[]).await?;
        let document = t.scratch("readme").join("web.yaml");
        fs::write(&document, readme::block("yaml", "kind: Deployment"))?;
        t.kubectl(&["apply", "-f", path(&document)?])?;
        t.wait_for_status("app=web", 3, APPROVED, "False").await?;
        t.wait_for_ready("app=web", 3, "False").await?;

        let commands = readme::block("sh", "kubectl annotate");
        let annotate = commands.lines().find(|line| line.starts_with("kubectl annotate")).context("no command")?;
        t.kubectl(&annotate.split(' ').skip(1).collect::<Vec<_>>())?;
        t.wait_for_ready("app=web", 3, "True").await?;

        let host = t.host.as_ref().context("no host")?;
        let (status, metrics) = host.get("/metrics").await?;
        assert_eq!(status, 200);
        let served: BTreeSet<_> = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")).map(name).collect();
        let text = readme::text();
        let listed = text.split("\n| `gatehost_").skip(1).filter_map(|row| row.split(['{', '`']).next());
        assert_eq!(listed.map(|name| format!("gatehost_{name}")).collect::<BTreeSet<_>>(), served);
        Ok(())
    });
}

/// The name under which a metric is found, from its `# TYPE` line.
fn name(kind: &str) -> String {
    match kind.split_once(' ') {
        Some((name, "counter")) => format!("{name}_total"),
        Some((name, "info")) => format!("{name}_info"),
        Some((name, _)) => name.to_owned(),
        None => kind.to_owned(),
    }
}

#[test]
fn the_kustomization_of_the_readme_adds_a_check_and_a_plugin_to_those_that_come_along() {
    run(async |t: &mut Trial| {
        let folder = t.scratch("kustomize");
        let own = folder.join("my-gatehost");
        fs::create_dir_all(&own)?;
        std::os::unix::fs::symlink(workspace(), folder.join("gatehost"))?;
        let text = [readme::block("yaml", "kind: Kustomization"), readme::block("yaml", "patches:")].concat();
        fs::write(own.join("kustomization.yaml"), text)?;
        fs::write(own.join("on-node.yaml"), readme::block("yaml", "name: on-node"))?;
        fs::copy(target().join("plugins/settle.wasm"), own.join("on_node.wasm"))?;
        let made = t.plane.kubectl(&["kustomize", path(&own)?])?;
        for line in ["  approved.yaml: |", "  settled.yaml: |", "  on-node.yaml: |", "  on_node.wasm: |"] {
            assert!(made.lines().any(|l| l == line), "no {line:?}");
        }
        assert!(made.contains("image: registry.example.com/gatehost:0.1.0\n"), "{made}");
        assert!(made.contains("  name: gatehost-checks\n"), "the ConfigMap's name has a hash");
        // Where a pod that `restricted` forbids would be a warning, and so a failure.
        t.kubectl(&["label", "namespace", &t.namespace, "pod-security.kubernetes.io/warn=restricted"])?;
        let deployment = made.split("---\n").find(|object| object.contains("kind: Deployment")).context("none")?;
        let file = folder.join("deployment.yaml");
        fs::write(&file, deployment.replace("  namespace: gatehost\n", ""))?;
        t.kubectl(&["create", "--dry-run=server", "-f", path(&file)?])?;
        Ok(())
    });
}
