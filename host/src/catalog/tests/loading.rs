//! Which plugins are loaded before which, and that none is held up by another.

use super::*;

/// A check that is in force, and others that have the names of their plugins.
async fn bed(plugins: &[(&str, &str)]) -> Bed {
    let bed = Bed::new(&[("a.wasm", "(a)"), ("a.yaml", &check("a", "a.wasm", "{}"))]).await;
    for (name, text) in plugins {
        add(&bed, name, text);
    }
    bed
}

fn add(bed: &Bed, name: &str, text: &str) {
    bed.replace(&format!("{name}.yaml"), &check(name, &format!("{name}.wasm"), "{}"));
    bed.replace(&format!("{name}.wasm"), text);
}

async fn until_one_is_compiled(bed: &Bed, with: &str) {
    let compiles = async {
        while !bed.loaded().iter().any(|text| text.contains(with)) {
            tokio::task::yield_now().await;
        }
    };
    timeout(BOUND, compiles).await.unwrap();
}

#[tokio::test]
async fn a_plugin_that_is_compiled_for_long_holds_up_none_whose_code_is_there() {
    let mut bed = bed(&[("b", "(slow)"), ("c", "(slow 2)"), ("d", "(slow 3)"), ("e", "(slow 4)")]).await;
    until_one_is_compiled(&bed, "slow").await;
    add(&bed, "f", "(cached)");
    bed.until(|s| runs(s, "f", "cached")).await;
    let slow = || bed.loaded().iter().filter(|text| text.contains("slow")).count();
    assert_eq!(slow(), 1, "compiled one at a time");
    assert!(!has(&bed.now(), "b"));
    bed.gate.send_replace(true);
    bed.until(|s| ["b", "c", "d", "e"].iter().all(|gate| has(s, gate))).await;
}

#[tokio::test]
async fn plugins_that_do_not_describe_themselves_hold_up_no_other() {
    let mut bed = bed(&[("b", "(shy)"), ("c", "(cached shy)")]).await;
    until_one_is_compiled(&bed, "shy").await;
    add(&bed, "d", "(d)");
    add(&bed, "e", "(cached)");
    bed.until(|s| runs(s, "d", "d") && runs(s, "e", "cached")).await;
    assert!(!has(&bed.now(), "b") && !has(&bed.now(), "c"));
    bed.gate.send_replace(true);
    bed.until(|s| runs(s, "b", "shy") && runs(s, "c", "cached shy")).await;
}

#[tokio::test]
async fn the_same_bytes_in_two_files_are_compiled_once() {
    // The second file waits while the first one is compiled, and while it describes itself.
    for (text, runs_as) in [("(slow)", "slow"), ("(shy)", "shy")] {
        let mut bed = bed(&[("b", text), ("c", text)]).await;
        until_one_is_compiled(&bed, text).await;
        add(&bed, "f", "(cached)");
        bed.until(|s| runs(s, "f", "cached")).await;
        bed.gate.send_replace(true);
        bed.until(|s| runs(s, "b", runs_as) && runs(s, "c", runs_as)).await;
        let loaded = bed.loaded();
        assert_eq!(loaded.iter().filter(|l| *l == text).count(), 1, "{loaded:?}");
    }
}

#[tokio::test]
async fn what_a_check_needs_is_compiled_before_what_none_does() {
    let needed = ["x1", "x2", "x3", "x4", "x5", "x6"];
    let mut files = vec![];
    // The idle ones come first by name, and all are there at the first look.
    files.extend(["b1", "b2", "b3", "b4", "b5"].map(|name| (format!("{name}.wasm"), format!("({name})"))));
    files.extend(needed.map(|name| (format!("{name}.wasm"), format!("({name})"))));
    files.extend(needed.map(|name| (format!("{name}.yaml"), check(name, &format!("{name}.wasm"), "{}"))));
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let mut bed = Bed::new(&files).await;
    assert!(needed.iter().all(|gate| has(&bed.now(), gate)));
    bed.barrier("z").await;
    let loaded = bed.loaded();
    let at = |of: char| loaded.iter().enumerate().filter(move |(_, text)| text.contains(of)).map(|(i, _)| i);
    assert!(at('x').max() < at('b').min().or(Some(usize::MAX)), "{loaded:?}");
}

#[tokio::test]
async fn what_a_check_needs_and_may_have_to_be_compiled_is_waited_for_by_what_none_does() {
    let mut bed = bed(&[("c", "(cached shy)")]).await;
    bed.replace("idle.wasm", "(idle)");
    // It takes more steps than the first of these, and fewer than both.
    for gate in ["f", "g"] {
        add(&bed, gate, "(cached)");
        bed.until(|s| runs(s, gate, "cached")).await;
    }
    assert!(!bed.loaded().contains(&"(idle)".to_owned()), "{:?}", bed.loaded());
    bed.gate.send_replace(true);
    until_one_is_compiled(&bed, "idle").await;
}

#[tokio::test]
async fn a_plugin_that_is_replaced_while_it_waits_to_be_compiled_is_compiled_as_it_is_then() {
    let mut bed = bed(&[("b", "(slow)")]).await;
    until_one_is_compiled(&bed, "slow").await;
    add(&bed, "c", "(old)");
    add(&bed, "f", "(cached)");
    bed.until(|s| runs(s, "f", "cached")).await;
    bed.replace("c.wasm", "(new)");
    add(&bed, "g", "(cached)");
    bed.until(|s| runs(s, "g", "cached")).await;
    bed.gate.send_replace(true);
    bed.until(|s| runs(s, "c", "new")).await;
    assert!(!bed.loaded().contains(&"(old)".to_owned()), "{:?}", bed.loaded());
}
