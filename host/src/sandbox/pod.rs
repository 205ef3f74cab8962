//! The import `pod`: accessors over the trimmed pod. A guest pays for what it reads.

use wasmtime::{Result, component::Resource};

use super::{
    bindings::gatehost::check::pod::{Container, ContainerRole, ContainerState, Host, HostPod, PodCondition, PodOwner},
    state::State,
};
use crate::pod::{self, Pod};

impl Host for State {}

impl State {
    fn pod(&self, pod: &Resource<Pod>) -> Result<&Pod> {
        Ok(self.table.get(pod)?)
    }
}

impl HostPod for State {
    fn name(&mut self, pod: Resource<Pod>) -> Result<String> {
        Ok(self.pod(&pod)?.name.clone())
    }

    fn namespace_name(&mut self, pod: Resource<Pod>) -> Result<String> {
        Ok(self.pod(&pod)?.namespace.clone())
    }

    fn uid(&mut self, pod: Resource<Pod>) -> Result<String> {
        Ok(self.pod(&pod)?.uid.clone())
    }

    fn generation(&mut self, pod: Resource<Pod>) -> Result<u64> {
        Ok(self.pod(&pod)?.generation)
    }

    fn created_at_ms(&mut self, pod: Resource<Pod>) -> Result<u64> {
        Ok(instant(self.pod(&pod)?.created_at))
    }

    fn label(&mut self, pod: Resource<Pod>, key: String) -> Result<Option<String>> {
        Ok(value(&self.pod(&pod)?.labels, &key))
    }

    fn labels(&mut self, pod: Resource<Pod>) -> Result<Vec<(String, String)>> {
        Ok(self.pod(&pod)?.labels.clone())
    }

    fn annotation(&mut self, pod: Resource<Pod>, key: String) -> Result<Option<String>> {
        Ok(value(&self.pod(&pod)?.annotations, &key))
    }

    fn annotation_keys(&mut self, pod: Resource<Pod>) -> Result<Vec<String>> {
        Ok(self.pod(&pod)?.annotations.iter().map(|(key, _)| key.clone()).collect())
    }

    fn ip(&mut self, pod: Resource<Pod>) -> Result<Option<String>> {
        Ok(self.pod(&pod)?.ip.clone())
    }

    fn node(&mut self, pod: Resource<Pod>) -> Result<Option<String>> {
        Ok(self.pod(&pod)?.node.clone())
    }

    fn service_account(&mut self, pod: Resource<Pod>) -> Result<Option<String>> {
        Ok(self.pod(&pod)?.service_account.clone())
    }

    fn phase(&mut self, pod: Resource<Pod>) -> Result<String> {
        Ok(self.pod(&pod)?.phase.clone())
    }

    fn containers(&mut self, pod: Resource<Pod>) -> Result<Vec<Container>> {
        Ok(self.pod(&pod)?.containers.iter().map(container).collect())
    }

    fn condition(&mut self, pod: Resource<Pod>, name: String) -> Result<Option<PodCondition>> {
        Ok(self.pod(&pod)?.condition(&name).map(|c| PodCondition {
            status: c.status.clone(),
            reason: c.reason.clone(),
            message: c.message.clone(),
            last_transition_ms: c.last_transition.map(instant),
            observed_generation: c.observed_generation,
        }))
    }

    fn condition_names(&mut self, pod: Resource<Pod>) -> Result<Vec<String>> {
        Ok(self.pod(&pod)?.conditions.iter().map(|(name, _)| name.clone()).collect())
    }

    fn owner(&mut self, pod: Resource<Pod>) -> Result<Option<PodOwner>> {
        Ok(self.pod(&pod)?.owner.as_ref().map(|o| PodOwner {
            api_version: o.api_version.clone(),
            resource_kind: o.kind.clone(),
            name: o.name.clone(),
            uid: o.uid.clone(),
        }))
    }

    fn gates(&mut self, pod: Resource<Pod>) -> Result<Vec<String>> {
        Ok(self.pod(&pod)?.gates.clone())
    }

    fn drop(&mut self, pod: Resource<Pod>) -> Result<()> {
        self.table.delete(pod)?;
        Ok(())
    }
}

fn value(pairs: &[(String, String)], key: &str) -> Option<String> {
    pairs.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone())
}

/// Plugins know no time before 1970.
fn instant(millis: i64) -> u64 {
    millis.try_into().unwrap_or(0)
}

fn container(c: &pod::Container) -> Container {
    Container {
        name: c.name.clone(),
        role: match c.role {
            pod::Role::App => ContainerRole::App,
            pod::Role::Init => ContainerRole::Init,
            pod::Role::Sidecar => ContainerRole::Sidecar,
        },
        state: match c.state {
            pod::ContainerState::Waiting => ContainerState::Waiting,
            pod::ContainerState::Running => ContainerState::Running,
            pod::ContainerState::Terminated => ContainerState::Terminated,
        },
        ready: c.ready,
        restarts: c.restarts,
        started_at_ms: c.started_at.map(instant),
    }
}
