//! A connection that dies without a word: nothing is refused, nothing ends, nothing more comes.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use gatehost_tests::{
    host::Host,
    objects::{APPROVED, approval, gated_pod, status_of},
    trial::{Trial, path, run},
    wait::{Seen, until},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};

/// How long a watch that died silently may stay so.
const HEALED: Duration = Duration::from_secs(65);

/// Passes on connections from `listener` to `server`. Those that were open when `dead` changed pass nothing on any more
/// and stay open.
async fn pass_on(listener: TcpListener, server: String, dead: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((mut near, _)) = listener.accept().await else { return };
        let (server, mut dead) = (server.clone(), dead.clone());
        dead.mark_unchanged();
        connections.spawn(async move {
            let Ok(mut far) = TcpStream::connect(server).await else { return };
            tokio::select! {
                _ = copy_bidirectional(&mut near, &mut far) => {}
                _ = dead.changed() => pending().await,
            }
        });
    }
}

#[test]
fn a_watch_that_dies_silently_heals_within_65_seconds() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", approval("annotation.wasm", "yes"));
        t.create(&gated_pod("web", &[APPROVED])).await?;

        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let through = format!("https://{}", listener.local_addr()?);
        let kubeconfig = t.deployed_kubeconfig().await?;
        let text = std::fs::read_to_string(&kubeconfig)?;
        let (_, server) = text.split_once("https://").context("no server")?;
        let server = server.split(|c: char| c != '.' && c != ':' && !c.is_ascii_digit()).next().unwrap_or_default();
        std::fs::write(&kubeconfig, text.replace(&format!("https://{server}"), &through))?;
        let (kill, dead) = watch::channel(());
        let mut proxy = JoinSet::new();
        proxy.spawn(pass_on(listener, server.to_owned(), dead));

        let log = t.scratch("log").join("gatehost.log");
        let args = [path(&t.files)?, "--kubeconfig", path(&kubeconfig)?, "--namespace", &t.namespace];
        t.host.insert(Host::start(&args, &[], &log)?).wait_until_ready().await?;
        t.wait_for_status("app=web", 1, APPROVED, "False").await?;

        // All that are open now; what is opened later lives.
        kill.send_replace(());
        let begin = Instant::now();
        t.annotate("web", APPROVED, Some("yes")).await?;
        until(HEALED, "the change is seen", async || {
            let pod = t.pods().get("web").await?;
            Ok(Seen::when(status_of(&pod, APPROVED) == "True", || status_of(&pod, APPROVED).to_owned()))
        })
        .await?;
        assert!(begin.elapsed() > Duration::from_secs(5), "the connections were to be dead");
        let age = t.host.as_ref().context("no host")?.metrics().await?.sum("gatehost_watch_age_seconds", &[]);
        assert!(age < 50.0, "the watch was heard of again, but {age} s ago");
        Ok(())
    });
}
