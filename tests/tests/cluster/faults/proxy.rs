//! The proxy itself: each fault is what it says, seen by a client that is not the host.

use std::{error::Error, io, time::Duration};

use anyhow::{Context as _, Result};
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _};
use gatehost_tests::{
    objects::gated_pod,
    proxy::{Answer, Cut, Door, Fault, Kind, Proxy},
    trial::{Trial, run},
    wait::{SOON, Seen as Looked, until},
};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use tokio::time::timeout;

const BOUND: Duration = Duration::from_secs(10);

async fn client(t: &Trial, proxy: &Proxy) -> Result<Client> {
    let path = t.deployed_kubeconfig().await?;
    proxy.redirect(&path)?;
    let mut config =
        Config::from_custom_kubeconfig(Kubeconfig::read_from(&path)?, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

fn pods(t: &Trial, query: &str) -> http::Request<Vec<u8>> {
    let target = format!("/api/v1/namespaces/{}/pods{query}", t.namespace);
    http::Request::get(target).body(Vec::new()).unwrap()
}

async fn list(t: &Trial, client: &Client) -> kube::Result<Value> {
    timeout(BOUND, client.request(pods(t, "?limit=250"))).await.unwrap()
}

/// The next event of a watch; none when it ended.
async fn next(events: &mut (impl futures::AsyncBufRead + Unpin)) -> Result<Option<Value>> {
    let mut line = String::new();
    let read = timeout(BOUND, events.read_line(&mut line)).await.context("nothing came")??;
    if read == 0 { Ok(None) } else { Ok(Some(serde_json::from_str(&line)?)) }
}

fn io_kind(error: &kube::Error) -> Option<io::ErrorKind> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

#[test]
fn the_proxy_passes_on_what_it_is_not_told_to_break() {
    run(async |t: &mut Trial| {
        let proxy = Proxy::start(&t.plane).await?;
        let client = client(t, &proxy).await?;
        assert_eq!(list(t, &client).await?["kind"], "PodList");
        let mut events = Box::pin(client.request_stream(pods(t, "?watch=true")).await?);
        t.create(&gated_pod("web", &["example.com/a"])).await?;
        let event = next(&mut events).await?.context("the watch ended")?;
        assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("web")));
        proxy.expire_watches();
        let mut event = event;
        while event["type"] != "ERROR" {
            event = next(&mut events).await?.context("the watch ended without a word")?;
        }
        assert_eq!((&event["object"]["kind"], &event["object"]["code"]), (&json!("Status"), &json!(410)));
        assert_eq!(next(&mut events).await?, None);
        let seen = proxy.seen(Kind::Any);
        let kinds: Vec<_> = seen.iter().map(|seen| (&seen.kind, seen.answered)).collect();
        assert_eq!(kinds, [(&Kind::List, Some(200)), (&Kind::Watch, Some(200))]);
        Ok(())
    });
}

#[test]
fn each_fault_of_the_proxy_is_what_it_says() {
    run(async |t: &mut Trial| {
        let proxy = Proxy::start(&t.plane).await?;
        let client = client(t, &proxy).await?;
        proxy.next(Kind::List, 1, Fault::Answer(Answer::status(429).header("Retry-After", "1")));
        let error = list(t, &client).await.unwrap_err();
        assert!(matches!(&error, kube::Error::Api(status) if status.code == 429), "{error:?}");
        for fault in [Fault::Close, Fault::Truncate, Fault::Lose] {
            proxy.next(Kind::List, 1, fault.clone());
            let error = list(t, &client).await.unwrap_err();
            assert!(!matches!(error, kube::Error::Api(_)), "{fault:?}: {error:?}");
        }
        proxy.next(Kind::List, 1, Fault::Reset);
        assert_eq!(io_kind(&list(t, &client).await.unwrap_err()), Some(io::ErrorKind::ConnectionReset));
        for fault in [Fault::Hold, Fault::Stall] {
            proxy.next(Kind::List, 1, fault.clone());
            let answer = timeout(Duration::from_millis(300), client.request::<Value>(pods(t, ""))).await;
            assert!(answer.is_err(), "{fault:?}");
        }
        proxy.next(Kind::List, 1, Fault::Answer(Answer::json(&json!({ "kind": "Made up" }))));
        assert_eq!(list(t, &client).await?["kind"], "Made up");
        assert_eq!(list(t, &client).await?["kind"], "PodList");

        proxy.door(Door::Shut).await?;
        // One that was waiting at the door when it shut is reset.
        until(SOON, "a new connection is refused", async || {
            let kind = io_kind(&list(t, &client).await.unwrap_err());
            Ok(Looked::when(kind == Some(io::ErrorKind::ConnectionRefused), || format!("{kind:?}")))
        })
        .await?;
        proxy.door(Door::Open).await?;
        assert_eq!(list(t, &client).await?["kind"], "PodList");
        // A client may open a connection while the one before is on its way back into its pool: that one is cut next.
        until(SOON, "the pooled connection is frozen", async || {
            proxy.cut(Kind::Any, Cut::Freeze).await?;
            let answer = timeout(Duration::from_millis(300), client.request::<Value>(pods(t, ""))).await;
            Ok(Looked::when(answer.is_err(), || format!("{answer:?}")))
        })
        .await?;
        assert_eq!(list(t, &client).await?["kind"], "PodList");
        Ok(())
    });
}

#[test]
fn a_cut_watch_ends_and_an_authority_that_was_rotated_is_no_longer_believed() {
    run(async |t: &mut Trial| {
        let proxy = Proxy::start(&t.plane).await?;
        let first = client(t, &proxy).await?;
        let mut events = Box::pin(first.request_stream(pods(t, "?watch=true")).await?.lines());
        proxy.cut(Kind::List, Cut::Close).await?;
        assert!(timeout(Duration::from_millis(200), events.next()).await.is_err(), "that was no list");
        proxy.cut(Kind::Watch, Cut::Close).await?;
        assert!(!matches!(timeout(BOUND, events.try_next()).await?, Ok(Some(_))));
        proxy.rotate_authority()?;
        assert!(list(t, &first).await.is_err());
        assert_eq!(list(t, &client(t, &proxy).await?).await?["kind"], "PodList");
        Ok(())
    });
}
