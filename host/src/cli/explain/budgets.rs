//! Whether a budget keeps a pod that is not Ready from being evicted: as the API server's eviction decides. Pure.

use super::report::{Finding, Kind};
use crate::cluster::Budget;

/// What the budgets that select a pod mean for it while it is not Ready. `gates` are those that are not True.
pub(super) fn findings(budgets: &[Budget], gates: &[&str], containers_ready: bool) -> Vec<Finding> {
    let finding = |kind, message, next: &str| Finding { kind, gate: None, message, next: next.to_owned() };
    if let [_, _, ..] = budgets {
        let names: Vec<_> = budgets.iter().map(|b| b.name.as_str()).collect();
        let message =
            format!("PodDisruptionBudgets {} select the pod: no pod with two can be evicted", names.join(", "));
        return vec![finding(Kind::SeveralBudgets, message, "leave one budget that selects it")];
    }
    let Some(budget) = budgets.first().filter(|b| blocks(b)) else { return Vec::new() };
    let Budget { name, healthy, desired, .. } = budget;
    let why = match gates {
        [] => "it is not Ready".to_owned(),
        [one] if containers_ready => format!("{one} is not True"),
        some if containers_ready => format!("{} are not True", some.join(", ")),
        some => format!("containers are not ready and {} not True", some.join(", ")),
    };
    let count = if budget.counted {
        format!("{healthy} pods are healthy and {desired} must be")
    } else {
        "its controller has not counted its latest version yet".to_owned()
    };
    let message = format!("PodDisruptionBudget {name} blocks the pod's eviction: {why}, {count}");
    let next =
        "set unhealthyPodEvictionPolicy: AlwaysAllow in the budget, so that a pod that is not Ready can be evicted";
    vec![finding(Kind::BlocksEviction, message, next)]
}

/// Whether the eviction of a pod that is not Ready is refused. With the default policy, `IfHealthyBudget`, it is
/// allowed where enough others are healthy, and else only where a healthy pod could go as well.
fn blocks(budget: &Budget) -> bool {
    let enough = budget.healthy >= budget.desired && budget.desired > 0;
    !budget.always_allow && !enough && (budget.allowed <= 0 || !budget.counted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget() -> Budget {
        Budget { name: "web".into(), healthy: 1, desired: 2, counted: true, ..Budget::default() }
    }

    fn kinds(budgets: &[Budget]) -> Vec<Kind> {
        findings(budgets, &["a.io/b"], true).iter().map(|f| f.kind).collect()
    }

    #[test]
    fn too_few_healthy_pods_block_and_the_cure_is_named() {
        let found = findings(&[budget()], &["a.io/b"], true);
        assert_eq!(found[0].kind, Kind::BlocksEviction);
        assert!(found[0].message.ends_with("a.io/b is not True, 1 pods are healthy and 2 must be"), "{found:?}");
        assert!(found[0].next.contains("unhealthyPodEvictionPolicy: AlwaysAllow"));
        let found = findings(&[budget()], &["a.io/b"], false);
        assert!(found[0].message.contains("containers are not ready and a.io/b not True"), "{found:?}");
    }

    #[test]
    fn always_allow_and_a_healthy_budget_do_not_block() {
        assert_eq!(kinds(&[Budget { always_allow: true, ..budget() }]), []);
        assert_eq!(kinds(&[Budget { healthy: 2, ..budget() }]), []);
        assert_eq!(kinds(&[Budget { allowed: 1, ..budget() }]), []);
        assert_eq!(kinds(&[]), []);
    }

    #[test]
    fn a_budget_that_wants_no_healthy_pod_or_is_not_counted_yet_blocks_where_nothing_is_allowed() {
        assert_eq!(kinds(&[Budget { healthy: 0, desired: 0, ..budget() }]), [Kind::BlocksEviction]);
        assert_eq!(kinds(&[Budget { allowed: 1, counted: false, ..budget() }]), [Kind::BlocksEviction]);
    }

    #[test]
    fn two_budgets_are_one_too_many_whatever_they_allow() {
        let open = Budget { always_allow: true, ..budget() };
        assert_eq!(kinds(&[open.clone(), open]), [Kind::SeveralBudgets]);
    }
}
