//! What bad documents are told, and what good ones become.

use super::*;

mod allow;
mod spec;

const GOOD: &str = "\
apiVersion: gatehost.dev/v1alpha1
kind: Check
metadata: {name: cache-warm, labels: {a: b}, annotations: {c: d}}
spec:
  gate: example.com/cache-warm
  plugin: http.wasm
  config: {port: 8080, path: /warm, also: [1.5, yes, null]}
  periodSeconds: 30
  timeoutSeconds: 2
";

fn good() -> Check {
    Check {
        name: "cache-warm".into(),
        gate: "example.com/cache-warm".into(),
        plugin: "http.wasm".into(),
        config: r#"{"also":[1.5,"yes",null],"path":"/warm","port":8080}"#.into(),
        timeout: Duration::from_secs(2),
        allow: Allow::default(),
        dry_run: false,
        limits: Limits::default(),
        instances: Instances::Fresh,
        select: Selection::default(),
        policy: Policy { period: Duration::from_secs(30), ..Policy::default() },
    }
}

fn errors(text: &str) -> Vec<String> {
    let parsed = parse(text, false);
    assert!(parsed.checks.is_empty(), "a broken document became a check: {text}");
    parsed.broken.into_iter().flat_map(|b| b.errors).collect()
}

/// The errors of the good document after a change.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(GOOD.contains(from));
    errors(&GOOD.replace(from, to))
}

#[test]
fn a_check_is_read_with_all_its_fields() {
    let parsed = parse(GOOD, false);
    assert_eq!(parsed.broken, []);
    assert_eq!(parsed.warnings, Vec::<String>::new());
    assert_eq!(parsed.checks, [good()]);
}

#[test]
fn what_is_left_out_has_the_defaults_of_a_probe() {
    let text = "{\"apiVersion\": \"gatehost.dev/v1alpha1\", \"kind\": \"Check\",\n\t\"metadata\": {\"name\": \"a\"},\n\t\
                \"spec\": {\"gate\": \"x.io/a\", \"plugin\": \"a.wasm\", \"config\": null}}";
    let parsed = parse(text, false);
    assert_eq!(parsed.broken, []);
    let check = &parsed.checks[0];
    assert_eq!((check.policy.period, check.timeout), (Duration::from_secs(10), Duration::from_secs(1)));
    assert_eq!(&*check.config, "{}");
}

#[test]
fn the_order_of_keys_changes_nothing() {
    let other = GOOD.replace("port: 8080, path: /warm", "path: /warm, port: 8080");
    assert_eq!(parse(GOOD, false).checks, parse(&other, false).checks);
}

#[test]
fn every_document_of_a_text_stands_on_its_own_and_empty_ones_are_skipped() {
    let text = format!("---\n---\n{GOOD}---\nkind: Nope\n---\n# nothing\n---\n{}", GOOD.replace("cache-warm", "other"));
    let parsed = parse(&text, false);
    assert_eq!(parsed.checks.iter().map(|c| &*c.name).collect::<Vec<_>>(), ["cache-warm", "other"]);
    assert_eq!(parsed.broken.len(), 1);
    assert_eq!(parsed.broken[0].errors, ["line 13: kind: \"Nope\" is not a known kind; expected Check"]);
    assert!(parse("", false).broken.is_empty());
}

#[test]
fn an_unknown_field_is_named_with_the_nearest_known_one() {
    assert_eq!(
        changed("periodSeconds", "periodSecond"),
        ["line 8: spec.periodSecond: unknown field; did you mean periodSeconds?"]
    );
    assert_eq!(changed("labels", "label"), ["line 3: metadata.label: unknown field; did you mean labels?"]);
    assert_eq!(
        changed("  periodSeconds: 30", "  zzzzzzzzzzzz: 30"),
        ["line 8: spec.zzzzzzzzzzzz: unknown field; known here: gate, plugin, config, allow, select, \
          periodSeconds, timeoutSeconds, limits, instances, reuse, initialDelaySeconds, successThreshold, failureThreshold, startWhen, mode, \
          onFault, maxStaleSeconds, maxUnready, maxFlapsPerMinute, dryRun, override"]
    );
    assert_eq!(
        changed("spec:", "status: {}\nspec:"),
        ["line 4: status: unknown field; known here: apiVersion, kind, metadata, spec"]
    );
}

#[test]
fn all_faults_of_a_document_are_told_and_it_is_known_by_its_name() {
    let text = GOOD.replace("30", "soon").replace("timeoutSeconds: 2", "timeoutSeconds: 2.5").replace("http.wasm", "3");
    let parsed = parse(&text, false);
    let broken = &parsed.broken[0];
    assert_eq!(broken.whose, Whose::Check("cache-warm".into()));
    assert_eq!(
        broken.errors,
        [
            "line 6: spec.plugin: the number 3; expected the name of a .wasm file in one of the directories",
            "line 8: spec.periodSeconds: the text \"soon\"; expected a whole number of seconds, 1 to 2147483647",
            "line 9: spec.timeoutSeconds: the number 2.5; expected a whole number of seconds, 1 to 60",
        ]
    );
}

#[test]
fn a_period_of_zero_and_a_long_timeout_are_refused() {
    assert_eq!(
        changed("periodSeconds: 30", "periodSeconds: 0"),
        ["line 8: spec.periodSeconds: the number 0; expected a whole number of seconds, 1 to 2147483647"]
    );
    assert_eq!(changed("timeoutSeconds: 2", "timeoutSeconds: 61").len(), 1);
    assert_eq!(changed("timeoutSeconds: 2", "timeoutSeconds: -1").len(), 1);
}

#[test]
fn a_gate_is_a_qualified_name() {
    let long = format!("x.io/{}", "a".repeat(64));
    for gate in ["a/b/c", "-a", "a_", "Ex.io/a", "/a", "x.io/", "x..io/a", "ä", &long] {
        let errors = changed("gate: example.com/cache-warm", &format!("gate: {gate}"));
        assert_eq!(errors.len(), 1, "{gate}: {errors:?}");
        assert!(errors[0].ends_with("expected a qualified name such as example.com/cache-warm"), "{errors:?}");
    }
}

#[test]
fn a_gate_of_kubernetes_is_refused() {
    for gate in ["Ready", "DisruptionTarget", "kubernetes.io/a", "k8s.io/a", "pod.kubernetes.io/a", "x.y.k8s.io/a"] {
        let errors = changed("gate: example.com/cache-warm", &format!("gate: {gate}"));
        assert_eq!(errors, [format!("line 5: spec.gate: {gate} belongs to Kubernetes; use a domain of your own")]);
    }
    for gate in ["ready", "mykubernetes.io/a", "kubernetes.io.example.com/a", "example.com/Ready"] {
        assert!(!is_reserved(gate), "{gate}");
    }
}

#[test]
fn a_gate_without_a_domain_is_a_warning() {
    let parsed = parse(&GOOD.replace("example.com/cache-warm", "warm"), false);
    assert_eq!(parsed.checks.len(), 1);
    assert_eq!(
        parsed.warnings,
        ["line 5: spec.gate: warm has no domain; example.com/warm cannot clash with another owner's"]
    );
}

#[test]
fn a_plugin_stays_in_its_directory() {
    for plugin in ["../x.wasm", "a/x.wasm", "..", "''", "x.so", ".wasm", ".x.wasm", "/x.wasm", "a\\x.wasm"] {
        let errors = changed("http.wasm", plugin);
        assert_eq!(errors.len(), 1, "{plugin}: {errors:?}");
        assert!(errors[0].starts_with("line 6: spec.plugin: the text "), "{errors:?}");
    }
}

#[test]
fn a_config_is_an_object() {
    let config = "{port: 8080, path: /warm, also: [1.5, yes, null]}";
    assert_eq!(changed(config, "[1]"), ["line 7: spec.config: a list; expected an object"]);
    assert_eq!(changed(config, "on"), ["line 7: spec.config: the text \"on\"; expected an object"]);
}

#[test]
fn another_kind_and_another_version_are_named() {
    assert_eq!(changed("kind: Check", "kind: Pod"), ["line 2: kind: pods are read in dev only; expected Check"]);
    assert_eq!(
        changed("gatehost.dev/v1alpha1", "v1"),
        ["line 1: apiVersion: the text \"v1\"; expected gatehost.dev/v1alpha1"]
    );
    assert_eq!(errors("a: b"), ["line 1: kind: missing; expected Check"]);
    let parsed = parse("kind: Deployment", true);
    assert_eq!(parsed.broken[0].errors, ["line 1: kind: \"Deployment\" is not a known kind; expected Check or Pod"]);
}

#[test]
fn what_is_no_document_is_refused() {
    for text in ["[]", "hello", "3"] {
        assert!(errors(text)[0].ends_with("is no document; expected an object with apiVersion and kind"), "{text}");
    }
}

#[test]
fn yaml_that_does_not_parse_is_located() {
    let unclosed = errors("a: [1, 2");
    assert_eq!(unclosed, ["does not parse as YAML: unclosed bracket '[' at line 1, column 4"]);
    assert_eq!(errors("kind: Check\nkind: Check"), ["line 2: kind: given twice in one object; keep one"]);
    for text in ["a: b: c", "a:\n\t- b", "x: .nan", "x: 1e999", "? [a]\n: b\n", "x: \u{0}", "x: *nope", "a: &a {b: *a}"]
    {
        let errors = errors(text);
        assert!(errors.len() == 1 && errors[0].contains("line ") && !errors[0].contains('\n'), "{errors:?}");
    }
}

#[test]
fn a_text_that_is_too_much_is_refused_and_not_worked_on() {
    assert_eq!(errors(&" ".repeat(MAX_TEXT + 1)), ["larger than 1024 KiB; split it into several files"]);
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for i in 1..9 {
        use std::fmt::Write;
        writeln!(bomb, "a{i}: &a{i} [{}]", vec![format!("*a{}", i - 1); 9].join(", ")).unwrap();
    }
    for text in [bomb, "[".repeat(100_000), "{a: ".repeat(1000), format!("[{}]", "1,".repeat(200_000))] {
        let errors = errors(&text);
        assert!(errors.len() == 1 && errors[0].len() < 200, "{errors:?}");
    }
}

#[test]
fn a_pod_gets_a_namespace_and_a_stable_uid() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\nspec: {readinessGates: [{conditionType: x.io/a}]}";
    let pod = |text: &str| parse(text, true).pods.remove(0).pod;
    let first = pod(text);
    assert_eq!((&*first.namespace, &*first.name), ("default", "web-0"));
    assert_eq!(first.gates, ["x.io/a"]);
    assert_eq!(first.uid.len(), 36);
    assert_eq!(first, pod(text));
    assert_ne!(first.uid, pod(&text.replace("web-0", "web-1")).uid);
    assert_eq!(pod(&text.replace("name: web-0", "name: web-0, uid: u-1")).uid, "u-1");
}

#[test]
fn a_broken_pod_is_known_by_its_name() {
    let parsed = parse("apiVersion: v1\nkind: Pod\nmetadata: {name: web-0}\nstatus: {phase: [3]}", true);
    assert_eq!(parsed.broken[0].whose, Whose::Pod("default".into(), "web-0".into()));
    assert!(parsed.broken[0].errors[0].starts_with("line 1: pod default/web-0 is not as Kubernetes has it: "));
    let nameless = parse("apiVersion: v1\nkind: Pod\nmetadata: {}", true);
    assert_eq!(
        nameless.broken[0].errors,
        ["line 3: metadata.name: missing; expected a DNS-1123 subdomain such as web-0"]
    );
}

#[test]
fn the_deepest_nesting_is_read_on_any_stack_and_a_deeper_one_is_an_error() {
    let broken = |depth: usize| {
        let text = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let small = std::thread::Builder::new().stack_size(256 << 10);
        small.spawn(move || parse(&text, true)).unwrap().join().unwrap().broken[0].errors[0].clone()
    };
    assert!(broken(60).contains("is no document"), "{}", broken(60));
    for depth in [100, 10_000] {
        assert!(broken(depth).starts_with("does not parse as YAML"), "{}", broken(depth));
    }
}
