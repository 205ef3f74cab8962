//! A real Prometheus that scrapes a real exporter.

use std::{fs, path::Path, process::Command};

use anyhow::Result;
use gatehost_tests::{ports, process::Process};

use super::{Bed, program};

/// A node exporter whose only metrics are those of a file, and a Prometheus that scrapes it each second.
struct Stack {
    dir: tempfile::TempDir,
    url: String,
    exporter: String,
    _running: [Process; 2],
}

impl Stack {
    fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (exporter, server) = (ports::free(), ports::free());
        let at = |port| format!("127.0.0.1:{port}");
        let config = format!(
            "global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: shop, static_configs: [{{targets: ['{}']}}]}}]\n",
            at(exporter)
        );
        fs::write(dir.path().join("prometheus.yaml"), config)?;
        fs::create_dir(dir.path().join("metrics"))?;
        let metrics = dir.path().join("metrics");
        let mut command = Command::new(program("prometheus-node-exporter"));
        command.args(["--collector.disable-defaults", "--collector.textfile", "--web.listen-address", &at(exporter)]);
        command.arg("--collector.textfile.directory").arg(&metrics);
        let exporting = Process::spawn("node exporter", command, &dir.path().join("exporter.log"))?;
        let mut command = Command::new(program("prometheus"));
        command
            .args(["--web.listen-address", &at(server)])
            .arg("--config.file")
            .arg(dir.path().join("prometheus.yaml"));
        command.arg("--storage.tsdb.path").arg(dir.path().join("data"));
        let serving = Process::spawn("prometheus", command, &dir.path().join("prometheus.log"))?;
        let (url, exporter) = (format!("http://{}", at(server)), format!("http://{}", at(exporter)));
        Ok(Self { dir, url, exporter, _running: [exporting, serving] })
    }

    fn set(&self, metrics: &str) -> Result<()> {
        // In one step: a scrape never finds half of it.
        let (partial, whole) = (self.dir.path().join("partial"), self.dir.path().join("metrics/shop.prom"));
        fs::write(&partial, metrics)?;
        Ok(fs::rename(&partial, Path::new(&whole))?)
    }
}

fn spec(url: &str, query: &str, more: &str) -> String {
    format!(
        "plugin: prometheus.wasm\nallow: {{http: [\"{url}\"]}}\ntimeoutSeconds: 10\n\
         config: {{server: \"{url}\", query: '{query}', expect: {{{more}}}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_prometheus_check_flips_with_the_metric() -> Result<()> {
    let stack = Stack::start()?;
    stack.set("queue_depth{shop_pod=\"web-0\"} 3\nqueue_depth{shop_pod=\"web-1\"} 900\n")?;
    let query = "queue_depth{shop_pod=\"$(metadata.name)\"}".replace('"', "");
    let bed = Bed::new(&["prometheus.wasm"], &spec(&stack.url, &query, "lessThan: 10"));
    let said = bed.until("True", "InBounds").await?;
    assert!(said.message.contains("less than 10"), "{said:?}");
    stack.set("queue_depth{shop_pod=\"web-0\"} 50\n")?;
    bed.until("False", "OutOfBounds").await?;
    stack.set("queue_depth{shop_pod=\"web-0\"} 4\n")?;
    bed.until("True", "InBounds").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_prometheus_does_not_have_and_does_not_understand_is_never_a_false() -> Result<()> {
    let stack = Stack::start()?;
    stack.set("queue_depth 3\nqueue_ratio NaN\n")?;
    let bed = Bed::new(&["prometheus.wasm"], &spec(&stack.url, "queue_depth", "lessThan: 10"));
    bed.until("True", "InBounds").await?;
    for (query, more, status, reason) in [
        ("no_such_metric", "", "Unknown", "NoData"),
        ("no_such_metric", ", onNoData: unmet", "False", "NoData"),
        ("no_such_metric", ", onNoAnswer: unmet", "False", "NoData"),
        ("queue_ratio", "", "Unknown", "NotANumber"),
        ("queue_ratio", ", onNoAnswer: unmet", "False", "NotANumber"),
    ] {
        let plain = spec(&stack.url, query, "lessThan: 10");
        bed.check(&plain.replace("lessThan: 10}", &format!("lessThan: 10}}{more}")));
        bed.until(status, reason).await?;
    }
    bed.check(&spec(&stack.url, "sum(queue_depth", "lessThan: 10"));
    let said = bed.ask(&[])?;
    assert_eq!(said.status, "Unknown", "{said:?}");
    assert!(said.message.contains("parse error"), "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scrape_check_reads_a_real_exporter() -> Result<()> {
    let stack = Stack::start()?;
    stack.set("cache_entries{kind=\"hot\"} 12\ncache_entries{kind=\"cold\"} 1\n")?;
    let url = format!("{}/metrics", stack.exporter);
    let spec = |more: &str| {
        format!(
            "plugin: scrape.wasm\nallow: {{http: [\"{}\"]}}\ntimeoutSeconds: 10\nconfig: {{url: \"{url}\", {more}}}\n",
            stack.exporter
        )
    };
    let bed =
        Bed::new(&["scrape.wasm"], &spec("metric: cache_entries, labels: {kind: hot}, expect: {greaterThan: 10}"));
    bed.until("True", "InBounds").await?;
    stack.set("cache_entries{kind=\"hot\"} 2\n")?;
    bed.until("False", "OutOfBounds").await?;
    Ok(())
}
