//! The credentials and the authority change under a host that runs.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use gatehost_tests::{
    controlplane::DEPLOYED_AS,
    host::Host,
    proxy::{Answer, Cut, Fault, Kind, Proxy},
    soak::{full, record, scale},
    trial::{Trial, path, run},
    wait::{SOON, Seen, throughout, until},
};
use k8s_openapi::api::{
    authentication::v1::{BoundObjectReference, TokenRequest, TokenRequestSpec},
    core::v1::{Secret, ServiceAccount},
};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use super::{another_host, check, make_idle, say, wait_until_right};

const PODS: usize = 10;
/// The client reads its token's file once a minute.
const TOKEN: Duration = Duration::from_secs(75);

/// A token of the host's account that the API server takes for as long as the secret `name` exists.
async fn bound_token(t: &Trial, name: &str) -> Result<String> {
    let secrets: Api<Secret> = Api::namespaced(t.client.clone(), DEPLOYED_AS.0);
    let secret = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
    let secret = secrets.create(&PostParams::default(), &secret).await?;
    let bound = BoundObjectReference {
        api_version: Some("v1".to_owned()),
        kind: Some("Secret".to_owned()),
        name: Some(name.to_owned()),
        uid: secret.metadata.uid,
    };
    let spec =
        TokenRequestSpec { audiences: Vec::new(), expiration_seconds: Some(3600), bound_object_ref: Some(bound) };
    let accounts: Api<ServiceAccount> = Api::namespaced(t.client.clone(), DEPLOYED_AS.0);
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let answer = accounts.create_token_request(DEPLOYED_AS.1, &PostParams::default(), &request).await?;
    Ok(answer.status.context("a token request without a status")?.token)
}

async fn revoke(t: &Trial, name: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(t.client.clone(), DEPLOYED_AS.0);
    secrets.delete(name, &DeleteParams::default()).await?;
    Ok(())
}

/// Whole and at once, as kubelet replaces it.
fn write_token(file: &Path, token: &str) -> Result<()> {
    let partial = file.with_extension("partial");
    std::fs::write(&partial, token)?;
    Ok(std::fs::rename(partial, file)?)
}

fn kubeconfig(t: &Trial, proxy: &Proxy, token: &Path) -> Result<PathBuf> {
    let kubeconfig = t.scratch("rotated").join("kubeconfig");
    t.plane.write_kubeconfig(&json!({ "tokenFile": path(token)? }), &kubeconfig)?;
    proxy.redirect(&kubeconfig)?;
    Ok(kubeconfig)
}

#[test]
fn a_token_and_an_authority_that_are_rotated_and_a_while_of_401_need_no_restart() {
    run(async |t: &mut Trial| {
        t.plugin("annotation.wasm", "annotation.wasm")?;
        t.file("approved.yaml", check("yes", 1, &json!({})));
        make_idle(t, 0..PODS, "no").await?;
        let (old, new) = (format!("{}-old", t.namespace), format!("{}-new", t.namespace));
        let token = t.scratch("token").join("token");
        write_token(&token, &bound_token(t, &old).await?)?;
        let proxy = Proxy::start(&t.plane).await?;
        let host = another_host(t, &kubeconfig(t, &proxy, &token)?, &[], "host").await?;
        wait_until_right(t, "yes", SOON).await?;

        // 401 for a while, during which the world changes.
        let refused_for = scale(Duration::from_secs(5), Duration::from_mins(1));
        proxy.all(Kind::Any, Fault::Answer(Answer::status(401)));
        proxy.cut(Kind::Any, Cut::Reset).await?;
        say(t, 0..PODS, "yes").await?;
        lives(&host, refused_for).await?;
        let asked = proxy.seen(Kind::Any).iter().filter(|seen| seen.answered == Some(401)).count();
        proxy.clear();
        let refused = right_in(t, SOON).await?;
        assert!(asked > 0, "nothing was answered 401");

        // Another authority, and no connection that knows the old one.
        proxy.rotate_authority()?;
        proxy.cut(Kind::Any, Cut::Reset).await?;
        say(t, 0..PODS, "no").await?;
        let authority = right_in(t, SOON).await?;

        // Another token; in a full run the API server does not take the old one any more.
        write_token(&token, &bound_token(t, &new).await?)?;
        revoke(t, &old).await?;
        let mut rotated = "not waited for".to_owned();
        if full() {
            proxy.forget();
            until(TOKEN, "the API server refuses the old token", async || {
                let codes: Vec<_> = proxy.seen(Kind::Any).iter().map(|seen| seen.answered).collect();
                proxy.cut(Kind::Watch, Cut::Close).await?;
                Ok(Seen::when(codes.contains(&Some(401)), || format!("{codes:?}")))
            })
            .await?;
            say(t, 0..PODS, "yes").await?;
            rotated = format!("{:.1}", right_in(t, TOKEN).await?.as_secs_f64());
        }
        host.metrics().await.context("the host has ended")?;
        revoke(t, &new).await?;
        record(
            "rotated",
            &[
                ("401 for, s", refused_for.as_secs().to_string()),
                ("requests answered 401", asked.to_string()),
                ("right after the end of 401, s", format!("{:.1}", refused.as_secs_f64())),
                ("right after a new authority, s", format!("{:.1}", authority.as_secs_f64())),
                ("right after the old token was refused, s", rotated),
                ("restarts", "0".to_owned()),
            ],
        )
    });
}

async fn lives(host: &Host, period: Duration) -> Result<()> {
    throughout(period, "the host lives", async || {
        let (status, body) = host.get("/livez").await?;
        Ok(Seen::when(status == 200, || body))
    })
    .await
}

async fn right_in(t: &Trial, bound: Duration) -> Result<Duration> {
    let begin = Instant::now();
    wait_until_right(t, "yes", bound).await?;
    Ok(begin.elapsed())
}
