//! What checks may reach and use, made ready once for each version of a check.

use super::loader::Loader;
use crate::{check::Check, sandbox::Grant};

/// Grants that are in use, and why others are not to be had.
#[derive(Debug, Default)]
pub(super) struct Grants(Vec<Granted>);

#[derive(Debug)]
struct Granted {
    check: Check,
    /// One line, for the check's document.
    grant: Result<Grant, String>,
}

impl Grants {
    /// Makes ready what these checks ask for, and drops what none of them does.
    pub(super) fn follow<'a, L: Loader>(&mut self, loader: &L, checks: impl Iterator<Item = &'a Check>) {
        let mut old = std::mem::take(&mut self.0);
        for check in checks {
            if self.find(check).is_some() {
                continue;
            }
            let known = old.iter().position(|granted| granted.is_of(check)).map(|at| old.swap_remove(at));
            self.0.push(known.unwrap_or_else(|| Granted { check: check.clone(), grant: loader.grant(check) }));
        }
    }

    /// Tries again what was not to be had.
    pub(super) fn retry<L: Loader>(&mut self, loader: &L) {
        for granted in self.0.iter_mut().filter(|granted| granted.grant.is_err()) {
            granted.grant = loader.grant(&granted.check);
        }
    }

    /// What a check gets.
    pub(super) fn of(&self, check: &Check) -> Result<Grant, String> {
        self.find(check).map_or_else(|| Ok(Grant::default()), |granted| granted.grant.clone())
    }

    fn find(&self, check: &Check) -> Option<&Granted> {
        self.0.iter().find(|granted| granted.is_of(check))
    }
}

impl Granted {
    fn is_of(&self, check: &Check) -> bool {
        let Check { name, allow, limits, instances, .. } = &self.check;
        (name, allow, limits, instances) == (&check.name, &check.allow, &check.limits, &check.instances)
    }
}
