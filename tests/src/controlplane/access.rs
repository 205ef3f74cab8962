//! Keys, tokens and kubeconfigs.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{
    Api, Client, Config,
    api::PostParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use rcgen::KeyPair;
use serde_json::json;

use super::{ControlPlane, Layout};

/// Namespace and name of the `ServiceAccount` in host/deploy.
pub const DEPLOYED_AS: (&str, &str) = ("gatehost", "gatehost");

impl ControlPlane {
    /// Writes a kubeconfig to `path` for a service account, with a fresh token that lives a day.
    pub async fn write_kubeconfig_for(&self, namespace: &str, account: &str, path: &Path) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let spec =
            TokenRequestSpec { audiences: Vec::new(), expiration_seconds: Some(24 * 60 * 60), bound_object_ref: None };
        let request = TokenRequest { spec, ..TokenRequest::default() };
        let token = accounts.create_token_request(account, &PostParams::default(), &request).await?;
        let token = token.status.context("a token request without a status")?.token;
        self.write_kubeconfig(&json!({ "token": token }), path)
    }

    /// Writes a kubeconfig to `path`; `user` is a kubeconfig's user: `{"token": ...}`, `{"tokenFile": ...}`.
    pub fn write_kubeconfig(&self, user: &serde_json::Value, path: &Path) -> Result<()> {
        write(&self.layout, user, path)
    }
}

/// Makes the key that signs service account tokens, and the token of the administrator.
pub(super) fn write_credentials(layout: &Layout) -> Result<()> {
    fs::create_dir_all(&layout.dir).with_context(|| layout.dir.display().to_string())?;
    let key = KeyPair::generate()?;
    fs::write(layout.service_account_key(), key.serialize_pem())?;
    fs::write(layout.service_account_public_key(), key.public_key_pem())?;
    let token: String = std::iter::repeat_with(fastrand::alphanumeric).take(32).collect();
    fs::write(layout.path("tokens.csv"), format!("{token},admin,admin,system:masters\n"))?;
    Ok(())
}

/// Once the API server has made its certificate.
pub(super) fn write_admin_kubeconfig(layout: &Layout) -> Result<()> {
    let tokens = fs::read_to_string(layout.path("tokens.csv"))?;
    let token = tokens.split(',').next().unwrap_or_default();
    write(layout, &json!({ "token": token }), &layout.admin_kubeconfig())
}

/// `/readyz` of the API server, asked as the administrator.
pub(super) async fn ready(layout: &Layout) -> Result<()> {
    write_admin_kubeconfig(layout)?;
    let client = client(&layout.admin_kubeconfig()).await?;
    let request = http::Request::get("/readyz").body(Vec::new())?;
    tokio::time::timeout(Duration::from_secs(5), client.request_text(request)).await??;
    Ok(())
}

pub(super) async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    // Tests see each refusal as it comes.
    config.default_retry = false;
    Ok(Client::try_from(config)?)
}

fn write(layout: &Layout, user: &serde_json::Value, path: &Path) -> Result<()> {
    let authority = layout.authority();
    anyhow::ensure!(authority.is_file(), "the API server has made no certificate yet");
    let server = format!("https://127.0.0.1:{}", layout.apiserver);
    // JSON is YAML.
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    });
    fs::write(path, serde_json::to_vec_pretty(&config)?).with_context(|| path.display().to_string())
}
