//! Which checks are in force.

use super::*;

#[tokio::test]
async fn the_first_snapshot_holds_everything() {
    let bed = Bed::new(&[
        ("a.yaml", &check("a", "p.wasm", "{}")),
        ("b.yml", &check("b", "q.wasm", "{x: 1}")),
        (
            "c.json",
            r#"{"apiVersion": "gatehost.dev/v1alpha1", "kind": "Check", "metadata": {"name": "c"},
                       "spec": {"gate": "x.io/c", "plugin": "p.wasm"}}"#,
        ),
        ("p.wasm", "(p)"),
        ("q.wasm", "(x)"),
    ])
    .await;
    let snapshot = bed.now();
    assert_eq!((snapshot.generation, problems(&snapshot)), (1, vec![]));
    assert!(runs(&snapshot, "a", "p") && runs(&snapshot, "b", "x") && runs(&snapshot, "c", "p"));
    assert!(snapshot.checks.values().all(|l| l.generation == 1));
}

#[tokio::test]
async fn an_empty_directory_is_a_snapshot_and_its_first_check_is_picked_up() {
    let mut bed = Bed::new(&[]).await;
    assert!(bed.now().checks.is_empty() && bed.now().problems.is_empty());
    bed.barrier("a").await;
}

#[tokio::test]
async fn only_what_changed_gets_a_new_generation() {
    let mut bed = Bed::new(&[
        ("a.yaml", &check("a", "p.wasm", "{}")),
        ("b.yaml", &check("b", "q.wasm", "{}")),
        ("p.wasm", "(p)"),
        ("q.wasm", "(q)"),
    ])
    .await;
    let first = bed.now();
    bed.replace("p.wasm", "(p2)");
    let second = bed.until(|s| runs(s, "a", "p2")).await;
    assert_eq!(live(&second, "a").unwrap().generation, second.generation);
    assert!(Arc::ptr_eq(live(&first, "b").unwrap(), live(&second, "b").unwrap()));
    bed.replace("b.yaml", &check("b", "q.wasm", "{q: 1}"));
    let third = bed.until(|s| live(s, "b").is_some_and(|l| &*l.check.config == r#"{"q":1}"#)).await;
    assert_eq!(live(&third, "b").unwrap().generation, third.generation);
    assert!(Arc::ptr_eq(live(&second, "a").unwrap(), live(&third, "a").unwrap()));
    // Other words for the same check are no change.
    bed.replace("b.yaml", &format!("# a comment\n{}", check("b", "q.wasm", "{q: 1}")));
    let fourth = bed.barrier("c").await;
    assert!(Arc::ptr_eq(live(&third, "b").unwrap(), live(&fourth, "b").unwrap()));
}

#[tokio::test]
async fn a_broken_replacement_keeps_the_last_good_plugin_and_says_so_once() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    let first = bed.now();
    bed.replace("p.wasm", "(p");
    let second = bed.until(|s| !s.problems.is_empty()).await;
    assert!(Arc::ptr_eq(live(&first, "a").unwrap(), live(&second, "a").unwrap()));
    assert_eq!(problems(&second), [("p.wasm".into(), "this is no plugin; the last good version stays in use".into())]);
    assert_eq!(bed.loaded(), ["(p)", "(p"]);
    bed.write("any.wasm", "(any)");
    let third = bed.barrier("b").await;
    assert_eq!((third.generation, problems(&third)), (second.generation + 1, problems(&second)));
    bed.replace("p.wasm", "(p3)");
    bed.until(|s| runs(s, "a", "p3") && s.problems.is_empty()).await;
}

#[tokio::test]
async fn a_broken_replacement_keeps_the_last_good_check() {
    let good = check("a", "p.wasm", "{}");
    let mut bed = Bed::new(&[("a.yaml", &good), ("p.wasm", "(p)")]).await;
    let first = bed.now();
    for (broken, what) in [
        (good.replace("gate:", "gat:"), "line 4: spec.gat: unknown field; did you mean gate?"),
        (good.replace("name: a", "nam: a"), "metadata.nam: unknown field"),
        ("a: [".to_owned(), "does not parse as YAML"),
        (
            check("a", "p.wasm", "{zz: 1}"),
            "spec.config/zz: not known (says p.wasm); the last good version stays in force",
        ),
        (check("a", "q.wasm", "{}"), "spec.plugin: q.wasm is missing; looked in "),
    ] {
        bed.replace("a.yaml", &broken);
        let next = bed.until(|s| told(s, "a.yaml", what)).await;
        assert!(told(&next, "a.yaml", "; the last good version stays in force"), "{:?}", problems(&next));
        assert!(Arc::ptr_eq(live(&first, "a").unwrap(), live(&next, "a").unwrap()), "{broken}");
    }
    // A new build of the plugin reaches the last good check.
    bed.replace("a.yaml", "a: [");
    bed.replace("p.wasm", "(p2)");
    bed.until(|s| runs(s, "a", "p2") && told(s, "a.yaml", "does not parse")).await;
    bed.replace("a.yaml", &good);
    bed.until(|s| runs(s, "a", "p2") && s.problems.is_empty()).await;
}

#[tokio::test]
async fn one_broken_document_disturbs_no_other_of_its_file() {
    let both = format!("{}---\n{}", check("a", "p.wasm", "{}"), check("b", "p.wasm", "{}"));
    let mut bed = Bed::new(&[("ab.yaml", &both), ("p.wasm", "(p)")]).await;
    bed.replace("ab.yaml", &both.replace("x.io/a", "Ready").replace("name: b", "name: c").replace("x.io/b", "x.io/c"));
    let next = bed.until(|s| told(s, "ab.yaml", "belongs to Kubernetes")).await;
    assert!(has(&next, "a") && has(&next, "c") && !has(&next, "b"), "{next:?}");
}

#[tokio::test]
async fn a_new_plugin_that_rejects_a_config_leaves_that_check_on_the_old_one() {
    let mut bed = Bed::new(&[
        ("a.yaml", &check("a", "p.wasm", "{x: 1}")),
        ("b.yaml", &check("b", "p.wasm", "{}")),
        ("p.wasm", "(x)"),
    ])
    .await;
    bed.replace("p.wasm", "(y)");
    let next = bed.until(|s| runs(s, "b", "y") && !s.problems.is_empty()).await;
    assert!(runs(&next, "a", "x"));
    assert!(told(&next, "a.yaml", "spec.config/x: not known (says p.wasm); the last good version stays in force"));
}

#[tokio::test]
async fn a_removed_check_stops_deciding() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    fs::remove_file(bed.path("a.yaml")).unwrap();
    let next = bed.until(|s| !has(s, "a")).await;
    assert_eq!(problems(&next), []);
}

#[tokio::test]
async fn a_removed_plugin_stops_its_checks() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    fs::remove_file(bed.path("p.wasm")).unwrap();
    let next = bed.until(|s| !has(s, "a")).await;
    let what = format!("spec.plugin: p.wasm is missing; looked in {}", bed.directories[0].path().display());
    assert_eq!(problems(&next), [("a.yaml".into(), what)]);
    bed.write("p.wasm", "(p)");
    bed.until(|s| runs(s, "a", "p") && s.problems.is_empty()).await;
}

#[tokio::test]
async fn a_plugin_that_does_not_load_is_named_at_its_check() {
    let bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "p")]).await;
    let now = bed.now();
    assert!(told(&now, "p.wasm", "this is no plugin") && told(&now, "a.yaml", "p.wasm cannot be used"), "{now:?}");
    assert!(!told(&now, "p.wasm", "last good"));
}

#[tokio::test]
async fn of_two_checks_for_one_gate_the_first_stays_and_none_is_chosen_at_a_start() {
    let (one, two) = (gated("one", "g", "p.wasm", "{}"), gated("two", "g", "p.wasm", "{}"));
    let mut bed = Bed::new(&[("1.yaml", &one), ("2.yaml", &two), ("p.wasm", "(p)")]).await;
    assert!(bed.now().checks.is_empty());
    assert!(told(&bed.now(), "1.yaml", "check one has the gate x.io/g that check two has"), "{:?}", bed.now());
    assert!(told(&bed.now(), "2.yaml", "none of them is in force; rename or remove one"));
    fs::remove_file(bed.path("1.yaml")).unwrap();
    let second = bed.until(|s| has(s, "g")).await;
    assert_eq!((&*live(&second, "g").unwrap().check.name, problems(&second)), ("two", vec![]));
    bed.write("1.yaml", &one);
    let third = bed.until(|s| !s.problems.is_empty()).await;
    assert!(Arc::ptr_eq(live(&second, "g").unwrap(), live(&third, "g").unwrap()));
    assert!(told(&third, "1.yaml", "was first and stays in force") && told(&third, "2.yaml", "this one was first"));
}

#[tokio::test]
async fn of_two_checks_with_one_name_the_first_stays() {
    let mut bed = Bed::new(&[("a.yaml", &gated("n", "g", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    let first = bed.now();
    bed.write("b.yaml", &gated("n", "h", "p.wasm", "{}"));
    let next = bed.until(|s| s.problems.len() == 2).await;
    assert!(Arc::ptr_eq(live(&first, "g").unwrap(), live(&next, "g").unwrap()) && !has(&next, "h"));
    assert!(told(&next, "b.yaml", "another check is named n, in "));
    fs::remove_file(bed.path("a.yaml")).unwrap();
    bed.until(|s| has(s, "h") && !has(s, "g") && s.problems.is_empty()).await;
}

#[tokio::test]
async fn of_two_plugins_with_one_name_the_first_directory_has_it_and_the_one_in_use_keeps_it() {
    let check = check("a", "p.wasm", "{}");
    let first: &[(&str, &str)] = &[("a.yaml", &check), ("p.wasm", "(one)")];
    let mut bed =
        Bed::with(&[first, &[("p.wasm", "(two)")]], Options { poll: NEVER, ..Options::default() }, true).await;
    assert!(runs(&bed.now(), "a", "one"));
    assert!(told(&bed.now(), "p.wasm", "another plugin has this name, "));
    fs::remove_file(bed.path("p.wasm")).unwrap();
    bed.until(|s| runs(s, "a", "two") && s.problems.is_empty()).await;
    bed.write("p.wasm", "(one)");
    let last = bed.until(|s| !s.problems.is_empty()).await;
    assert!(runs(&last, "a", "two"));
    assert_eq!(last.problems[0].file, bed.path("p.wasm"));
}

#[tokio::test]
async fn a_plugin_that_never_loaded_does_not_stand_in_the_way_of_one_of_its_name_that_does() {
    let check = check("a", "p.wasm", "{}");
    let first: &[(&str, &str)] = &[("a.yaml", &check), ("p.wasm", "no plugin")];
    let bed = Bed::with(&[first, &[("p.wasm", "(two)")]], Options { poll: NEVER, ..Options::default() }, true).await;
    assert!(runs(&bed.now(), "a", "two"), "{:?}", bed.now());
}

#[tokio::test]
async fn a_slow_compile_delays_nobody_else() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    bed.replace("p.wasm", "(slow)");
    bed.write("c.yaml", &check("c", "p.wasm", "{p: 1}"));
    let next = bed.until(|s| has(s, "c")).await;
    assert!(runs(&next, "a", "p") && bed.loaded().contains(&"(slow)".to_owned()));
    bed.gate.send_replace(true);
    bed.until(|s| runs(s, "a", "slow") && told(s, "c.yaml", "spec.config/p")).await;
}

#[tokio::test]
async fn pods_are_read_when_asked_for_and_the_last_good_ones_stay() {
    let pod = |name: &str| format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\n");
    let both = format!("{}---\n{}", pod("a"), pod("b"));
    let options = Options { pods: true, poll: NEVER, ..Options::default() };
    let mut bed = Bed::with(&[&[("pods.yaml", &both)]], options, true).await;
    let first = bed.now();
    let names = |s: &Snapshot<String>| s.pods.iter().map(|p| p.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&first), ["a", "b"]);
    bed.replace("pods.yaml", &format!("{both}status: {{phase: Running}}\n"));
    let second = bed.until(|s| s.pods[1].phase == "Running").await;
    assert!(Arc::ptr_eq(&first.pods[0], &second.pods[0]));
    bed.replace("pods.yaml", &format!("{}---\n{}status: 3\n", pod("c"), pod("b")));
    let third = bed.until(|s| told(s, "pods.yaml", "pod default/b")).await;
    assert_eq!(names(&third), ["b", "c"]);
    bed.write("more.yaml", &pod("c"));
    bed.until(|s| told(s, "pods.yaml", "pod default/c stands in ")).await;
    bed.replace("pods.yaml", &format!("{}status: {{phase: Succeeded}}\n", pod("b")));
    bed.until(|s| names(s) == ["c"] && s.problems.is_empty()).await;
}

#[tokio::test]
async fn a_warning_is_no_problem() {
    let bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}").replace("x.io/a", "a")), ("p.wasm", "(p)")]).await;
    let now = bed.now();
    assert!(now.checks.contains_key("a") && now.problems.is_empty());
    assert!(now.warnings[0].error.contains("a has no domain"));
}

#[tokio::test]
async fn what_a_plugin_could_not_answer_is_asked_again() {
    let options = Options { poll: Duration::from_millis(30), ..Options::default() };
    let files: &[(&str, &str)] = &[
        ("a.yaml", &check("a", "p.wasm", "{tired: 1}")),
        ("b.yaml", &check("b", "q.wasm", "{}")),
        ("p.wasm", "(tired)"),
        ("q.wasm", "(again)"),
    ];
    let mut bed = Bed::with(&[files], options, true).await;
    let last = bed.until(|s| s.problems.is_empty()).await;
    assert!(has(&last, "a") && has(&last, "b"));
    assert!(last.generation > 1);
}

#[tokio::test]
async fn of_several_checks_in_a_file_the_one_that_is_wrong_is_named() {
    let text = format!("{}\n---\n{}", check("a", "p.wasm", "{}"), check("b", "p.wasm", "{zz: 1}"));
    let bed = Bed::new(&[("all.yaml", &text), ("p.wasm", "(p)")]).await;
    assert!(
        told(&bed.now(), "all.yaml", "check b: spec.config/zz: not known (says p.wasm)"),
        "{:?}",
        bed.now().problems
    );
}
