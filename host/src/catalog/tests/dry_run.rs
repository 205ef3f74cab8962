//! Checks that are only asked, and checks that select by what the host cannot see.

use super::*;

/// A dry-run check for a gate.
fn dry(name: &str, gate: &str, config: &str) -> String {
    gated(name, gate, "p.wasm", config).replace("plugin:", "dryRun: true, plugin:")
}

fn shadow<'a>(snapshot: &'a Snapshot<String>, gate: &str) -> Option<&'a Arc<Live<String>>> {
    snapshot.dry_runs.get(format!("x.io/{gate}").as_str())
}

fn named(live: Option<&Arc<Live<String>>>) -> &str {
    live.map_or("-", |l| &*l.check.name)
}

#[tokio::test]
async fn a_dry_run_check_stands_beside_the_live_one_and_without_it() {
    let live_one = gated("one", "g", "p.wasm", "{}");
    let mut bed = Bed::new(&[("1.yaml", &live_one), ("2.yaml", &dry("two", "g", "{}")), ("p.wasm", "(p)")]).await;
    let first = bed.now();
    assert_eq!((named(live(&first, "g")), named(shadow(&first, "g")), problems(&first)), ("one", "two", vec![]));
    fs::remove_file(bed.path("1.yaml")).unwrap();
    let second = bed.until(|s| !has(s, "g")).await;
    assert!(Arc::ptr_eq(shadow(&first, "g").unwrap(), shadow(&second, "g").unwrap()));
    assert_eq!(problems(&second), []);
    fs::remove_file(bed.path("2.yaml")).unwrap();
    bed.until(|s| s.dry_runs.is_empty()).await;
}

#[tokio::test]
async fn a_change_of_a_dry_run_check_alone_is_published_and_leaves_the_live_one_as_it_was() {
    let mut bed = Bed::new(&[
        ("1.yaml", &gated("one", "g", "p.wasm", "{}")),
        ("2.yaml", &dry("two", "g", "{}")),
        ("p.wasm", "(p)"),
    ])
    .await;
    let first = bed.now();
    bed.replace("2.yaml", &dry("two", "g", "{p: 1}"));
    let second = bed.until(|s| shadow(s, "g").is_some_and(|l| &*l.check.config == r#"{"p":1}"#)).await;
    assert_eq!(shadow(&second, "g").unwrap().generation, second.generation);
    assert!(Arc::ptr_eq(live(&first, "g").unwrap(), live(&second, "g").unwrap()));
}

#[tokio::test]
async fn a_broken_replacement_keeps_the_last_good_dry_run_check() {
    let mut bed = Bed::new(&[("2.yaml", &dry("two", "g", "{}")), ("p.wasm", "(p)")]).await;
    let first = bed.now();
    for (broken, what) in [
        (dry("two", "g", "{zz: 1}"), "spec.config/zz: not known (says p.wasm); the last good version stays in force"),
        (dry("two", "g", "{}").replace("true", "maybe"), "the text \"maybe\"; expected true or false"),
    ] {
        bed.replace("2.yaml", &broken);
        let next = bed.until(|s| told(s, "2.yaml", what)).await;
        assert!(Arc::ptr_eq(shadow(&first, "g").unwrap(), shadow(&next, "g").unwrap()), "{broken}");
    }
    bed.replace("p.wasm", "(p2)");
    bed.until(|s| shadow(s, "g").is_some_and(|l| l.plugin == "p2")).await;
}

#[tokio::test]
async fn of_two_dry_run_checks_for_one_gate_the_first_stays_and_none_is_chosen_at_a_start() {
    let (one, two) = (dry("one", "g", "{}"), dry("two", "g", "{}"));
    let mut bed = Bed::new(&[
        ("0.yaml", &gated("zero", "g", "p.wasm", "{}")),
        ("1.yaml", &one),
        ("2.yaml", &two),
        ("p.wasm", "(p)"),
    ])
    .await;
    let first = bed.now();
    assert_eq!((named(live(&first, "g")), named(shadow(&first, "g"))), ("zero", "-"));
    let what = "dry-run check one has the gate x.io/g that dry-run check two has, in ";
    assert!(told(&first, "1.yaml", what) && told(&first, "2.yaml", "none of them is in force"), "{first:?}");
    assert!(!told(&first, "0.yaml", ""));
    fs::remove_file(bed.path("1.yaml")).unwrap();
    bed.until(|s| named(shadow(s, "g")) == "two" && s.problems.is_empty()).await;
    bed.write("1.yaml", &one);
    let last = bed.until(|s| s.problems.len() == 2).await;
    assert_eq!(named(shadow(&last, "g")), "two");
    assert!(told(&last, "1.yaml", "was first and stays in force"));
}

#[tokio::test]
async fn a_check_that_goes_live_clashes_with_nobody_and_leaves_no_gap() {
    let mut bed = Bed::new(&[("1.yaml", &dry("one", "g", "{}")), ("p.wasm", "(p)")]).await;
    let first = bed.now().generation;
    bed.replace("1.yaml", &gated("one", "g", "p.wasm", "{}"));
    let second = bed.until(|s| has(s, "g")).await;
    assert_eq!((second.generation, named(shadow(&second, "g")), problems(&second)), (first + 1, "-", vec![]));
    assert_eq!(live(&second, "g").unwrap().generation, second.generation);
    // With another config, too: as long as the plugin has not judged it, the last good version is asked.
    bed.replace("1.yaml", &dry("one", "g", "{p: 1}"));
    let third = bed.until(|s| !has(s, "g")).await;
    assert_eq!((third.generation, named(shadow(&third, "g"))), (second.generation + 1, "one"));
}

#[tokio::test]
async fn a_dry_run_check_and_the_live_one_change_places_at_once() {
    let both = |dry_one: bool| {
        let text = |name, is_dry| if is_dry { dry(name, "g", "{}") } else { gated(name, "g", "p.wasm", "{}") };
        format!("{}---\n{}", text("one", dry_one), text("two", !dry_one))
    };
    let mut bed = Bed::new(&[("both.yaml", &both(true)), ("p.wasm", "(p)")]).await;
    let first = bed.now();
    assert_eq!((named(live(&first, "g")), named(shadow(&first, "g"))), ("two", "one"));
    bed.replace("both.yaml", &both(false));
    let next = bed.until(|s| s.generation > first.generation).await;
    assert_eq!((named(live(&next, "g")), named(shadow(&next, "g")), problems(&next)), ("one", "two", vec![]));
}

#[tokio::test]
async fn a_dry_run_check_that_goes_live_beside_the_live_one_is_the_clash_of_two_live_ones() {
    let mut bed = Bed::new(&[
        ("1.yaml", &gated("one", "g", "p.wasm", "{}")),
        ("2.yaml", &dry("two", "g", "{}")),
        ("p.wasm", "(p)"),
    ])
    .await;
    let first = bed.now();
    bed.replace("2.yaml", &gated("two", "g", "p.wasm", "{}"));
    let next = bed.until(|s| s.problems.len() == 2).await;
    assert!(Arc::ptr_eq(live(&first, "g").unwrap(), live(&next, "g").unwrap()) && next.dry_runs.is_empty());
    assert!(told(&next, "2.yaml", "check two has the gate x.io/g that check one has"));
}

#[tokio::test]
async fn a_selection_by_namespace_labels_needs_a_host_that_sees_them() {
    let by_label = check("a", "p.wasm", "{}").replace("plugin:", "select: {namespaceLabels: team=a}, plugin:");
    let by_name = check("b", "p.wasm", "{}").replace("plugin:", "select: {namespaces: [shop], labels: a}, plugin:");
    let files: &[(&str, &str)] = &[("a.yaml", &by_label), ("b.yaml", &by_name), ("p.wasm", "(p)")];
    let sees = Bed::with(&[files], Options { poll: NEVER, ..Options::default() }, true).await.now();
    assert!(has(&sees, "a") && has(&sees, "b") && sees.problems.is_empty());

    let blind = Options { poll: NEVER, namespace_labels: false, ..Options::default() };
    let mut bed = Bed::with(&[files], blind, true).await;
    let what = "spec.select.namespaceLabels: check a needs them, but the host runs with --namespace and cannot see \
                namespace labels; use select.namespaces, or run without --namespace";
    assert_eq!(problems(&bed.now()), [("a.yaml".into(), what.into())]);
    assert!(!has(&bed.now(), "a") && has(&bed.now(), "b"));
    bed.replace("b.yaml", &by_name.replace("namespaces: [shop]", "namespaceLabels: team=b"));
    let next = bed.until(|s| told(s, "b.yaml", "; the last good version stays in force")).await;
    assert!(has(&next, "b"));
}
