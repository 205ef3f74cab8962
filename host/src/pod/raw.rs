//! The pod as the API server sends it, with only the fields that are kept.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{Condition, Container, ContainerState, LAST_APPLIED, Owner, Pod, Role, Seen, millis};

#[derive(Deserialize)]
pub(super) struct RawPod {
    metadata: RawMeta,
    #[serde(default)]
    spec: RawSpec,
    #[serde(default)]
    status: RawStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMeta {
    #[serde(default)]
    namespace: Option<String>,
    name: String,
    #[serde(default)]
    uid: Option<String>,
    #[serde(default)]
    resource_version: Option<String>,
    #[serde(default)]
    generation: Option<u64>,
    #[serde(default)]
    creation_timestamp: Option<String>,
    #[serde(default)]
    deletion_timestamp: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    annotations: Annotations,
    #[serde(default)]
    owner_references: Option<Vec<RawOwner>>,
}

/// Annotations without `last-applied-configuration`, which is skipped and never becomes a string of ours.
#[derive(Default)]
struct Annotations(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keep;
        impl<'de> Visitor<'de> for Keep {
            type Value = Annotations;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a map of annotations")
            }
            fn visit_unit<E>(self) -> Result<Annotations, E> {
                Ok(Annotations::default())
            }
            fn visit_none<E>(self) -> Result<Annotations, E> {
                Ok(Annotations::default())
            }
            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Annotations, D::Error> {
                deserializer.deserialize_map(self)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations, A::Error> {
                let mut kept = Vec::new();
                while let Some(key) = map.next_key::<String>()? {
                    if key == LAST_APPLIED {
                        map.next_value::<IgnoredAny>()?;
                    } else {
                        kept.push((key, map.next_value()?));
                    }
                }
                kept.sort();
                Ok(Annotations(kept))
            }
        }
        deserializer.deserialize_option(Keep)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawOwner {
    api_version: String,
    kind: String,
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    controller: Option<bool>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSpec {
    #[serde(default)]
    node_name: Option<String>,
    #[serde(default)]
    host_network: Option<bool>,
    #[serde(default)]
    service_account_name: Option<String>,
    #[serde(default)]
    readiness_gates: Option<Vec<RawGate>>,
    #[serde(default)]
    init_containers: Option<Vec<RawInit>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawGate {
    condition_type: String,
}

/// Of an init container's spec only what tells a sidecar.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawInit {
    name: String,
    #[serde(default)]
    restart_policy: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawStatus {
    #[serde(default)]
    phase: Option<String>,
    #[serde(default, rename = "podIP")]
    pod_ip: Option<String>,
    #[serde(default)]
    conditions: Option<Vec<RawCondition>>,
    #[serde(default)]
    init_container_statuses: Option<Vec<RawContainer>>,
    #[serde(default)]
    container_statuses: Option<Vec<RawContainer>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    last_transition_time: Option<String>,
    #[serde(default)]
    observed_generation: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawContainer {
    name: String,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    restart_count: u32,
    #[serde(default)]
    state: Option<RawState>,
    #[serde(default)]
    last_state: Option<RawState>,
}

#[derive(Default, Deserialize)]
struct RawState {
    #[serde(default)]
    running: Option<RawRun>,
    #[serde(default)]
    terminated: Option<RawRun>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRun {
    #[serde(default)]
    started_at: Option<String>,
}

impl RawPod {
    pub(super) fn trim(self) -> Seen {
        let Self { metadata: meta, spec, status } = self;
        let phase = status.phase.unwrap_or_default();
        let over = meta.deletion_timestamp.is_some() || phase == "Succeeded" || phase == "Failed";
        let inits = spec.init_containers.unwrap_or_default();
        let role = |name: &str| {
            let sidecar = |i: &RawInit| i.name == name && i.restart_policy.as_deref() == Some("Always");
            if inits.iter().any(sidecar) { Role::Sidecar } else { Role::Init }
        };
        let first = status.init_container_statuses.unwrap_or_default().into_iter().map(|c| {
            let role = role(&c.name);
            c.trim(role)
        });
        let then = status.container_statuses.unwrap_or_default().into_iter().map(|c| c.trim(Role::App));
        let mut gates: Vec<String> = Vec::new();
        for gate in spec.readiness_gates.unwrap_or_default() {
            if !gates.contains(&gate.condition_type) {
                gates.push(gate.condition_type);
            }
        }
        let pod = Pod {
            namespace: meta.namespace.unwrap_or_default(),
            name: meta.name,
            uid: meta.uid.unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            created_at: meta.creation_timestamp.as_deref().and_then(millis).unwrap_or_default(),
            labels: meta.labels.unwrap_or_default().into_iter().collect(),
            annotations: meta.annotations.0,
            ip: status.pod_ip.filter(|ip| !ip.is_empty()),
            host_network: spec.host_network.unwrap_or_default(),
            node: spec.node_name.filter(|n| !n.is_empty()),
            service_account: spec.service_account_name.filter(|n| !n.is_empty()),
            phase,
            containers: first.chain(then).collect(),
            conditions: status.conditions.unwrap_or_default().into_iter().map(RawCondition::trim).collect(),
            owner: meta
                .owner_references
                .unwrap_or_default()
                .into_iter()
                .find(|o| o.controller == Some(true))
                .map(|o| Owner { api_version: o.api_version, kind: o.kind, name: o.name, uid: o.uid }),
            gates,
        };
        Seen { pod, resource_version: meta.resource_version.unwrap_or_default(), over }
    }
}

impl RawCondition {
    fn trim(self) -> (String, Condition) {
        let condition = Condition {
            status: self.status,
            reason: self.reason.unwrap_or_default(),
            message: self.message.unwrap_or_default(),
            last_transition: self.last_transition_time.as_deref().and_then(millis),
            observed_generation: self.observed_generation.filter(|g| *g > 0),
        };
        (self.kind, condition)
    }
}

impl RawContainer {
    fn trim(self, role: Role) -> Container {
        let now = self.state.unwrap_or_default();
        let last = self.last_state.unwrap_or_default();
        let (state, run) = match (now.running, now.terminated) {
            (Some(run), _) => (ContainerState::Running, Some(run)),
            (None, Some(run)) => (ContainerState::Terminated, Some(run)),
            (None, None) => (ContainerState::Waiting, last.terminated),
        };
        let started_at = run.and_then(|r| r.started_at).as_deref().and_then(millis);
        Container { name: self.name, role, state, ready: self.ready, restarts: self.restart_count, started_at }
    }
}
