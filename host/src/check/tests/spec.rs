//! The fields of the policy and of the selection.

use super::*;

/// The good document with these lines at the end of its spec: the first one is line 10.
fn with(lines: &str) -> String {
    format!("{GOOD}{lines}\n")
}

/// A check that is right, and what is told of it.
fn right(lines: &str) -> (Check, Vec<String>) {
    let mut parsed = parse(&with(lines), false);
    assert_eq!(parsed.broken, [], "{lines}");
    (parsed.checks.remove(0), parsed.warnings)
}

fn policy(lines: &str) -> Policy {
    let (check, warnings) = right(lines);
    assert_eq!(warnings, Vec::<String>::new(), "{lines}");
    check.policy
}

/// The one line about a field that is wrong.
fn wrong(lines: &str) -> String {
    let errors = errors(&with(lines));
    assert_eq!(errors.len(), 1, "{lines}: {errors:?}");
    errors[0].clone()
}

#[test]
fn every_field_is_read() {
    let (check, warnings) = right(
        "  initialDelaySeconds: 5
  successThreshold: 2
  failureThreshold: 4
  startWhen: scheduled
  mode: bootstrap
  onFault: Unknown
  maxStaleSeconds: 600
  maxUnready: 3
  maxFlapsPerMinute: 60
  dryRun: true
  override: false
  select:
    namespaces: [shop, blog]
    namespaceLabels: team=a
    labels: app in (web,api),!old",
    );
    let policy = Policy {
        period: Duration::from_secs(30),
        initial_delay: Duration::from_secs(5),
        success_threshold: 2,
        failure_threshold: 4,
        start_when: StartWhen::Scheduled,
        on_fault: OnFault::Unknown,
        max_stale: Some(Duration::from_mins(10)),
        mode: Mode::Bootstrap,
        max_unready: MaxUnready::Count(3),
        max_flaps: 60,
        overridable: false,
    };
    let select = Selection {
        namespaces: vec!["shop".into(), "blog".into()],
        namespace_labels: Some("team=a".parse().unwrap()),
        labels: Some("app in (web,api),!old".parse().unwrap()),
    };
    assert_eq!(check, Check { dry_run: true, select, policy, ..good() });
    let what = "line 12: spec.failureThreshold: mode bootstrap has no use for it, the first True stands; remove one";
    assert!(warnings.len() == 1 && warnings[0].starts_with(what), "{warnings:?}");
}

#[test]
fn null_is_as_good_as_left_out() {
    let nothing = "initialDelaySeconds successThreshold failureThreshold startWhen mode onFault maxStaleSeconds \
                   maxUnready maxFlapsPerMinute dryRun override select";
    let lines: Vec<_> = nothing.split_whitespace().map(|name| format!("  {name}: null")).collect();
    assert_eq!(right(&lines.join("\n")), (good(), vec![]));
}

#[test]
fn numbers_are_within_their_bounds() {
    let most = i32::MAX;
    for (name, what, least, most) in [
        ("initialDelaySeconds", "a whole number of seconds", 0, most),
        ("successThreshold", "a whole number", 1, most),
        ("failureThreshold", "a whole number", 1, most),
        ("maxStaleSeconds", "a whole number of seconds", 1, most),
        ("maxFlapsPerMinute", "a whole number", 1, 6000),
    ] {
        for value in [least, most] {
            right(&format!("  {name}: {value}"));
        }
        let expected = format!("expected {what}, {least} to {most}");
        let numbers = [(i64::from(least) - 1).to_string(), (i64::from(most) + 1).to_string(), "1.5".to_owned()];
        for value in numbers {
            assert_eq!(
                wrong(&format!("  {name}: {value}")),
                format!("line 10: spec.{name}: the number {value}; {expected}")
            );
        }
        assert_eq!(wrong(&format!("  {name}: soon")), format!("line 10: spec.{name}: the text \"soon\"; {expected}"));
        assert_eq!(wrong(&format!("  {name}: '3'")), format!("line 10: spec.{name}: the text \"3\"; {expected}"));
        assert_eq!(wrong(&format!("  {name}: [1]")), format!("line 10: spec.{name}: a list; {expected}"));
    }
}

#[test]
fn words_are_the_known_ones() {
    for (word, value) in [
        ("containersReady", StartWhen::ContainersReady),
        ("scheduled", StartWhen::Scheduled),
        ("always", StartWhen::Always),
    ] {
        assert_eq!(policy(&format!("  startWhen: {word}")).start_when, value);
    }
    for (word, value) in [("continuous", Mode::Continuous), ("bootstrap", Mode::Bootstrap)] {
        assert_eq!(policy(&format!("  mode: {word}")).mode, value);
    }
    assert_eq!(
        wrong("  startWhen: ContainersReady"),
        "line 10: spec.startWhen: the text \"ContainersReady\"; expected containersReady, scheduled or always"
    );
    assert_eq!(wrong("  mode: {}"), "line 10: spec.mode: an object; expected continuous or bootstrap");
    for name in ["dryRun", "override"] {
        assert_eq!(
            wrong(&format!("  {name}: 'yes'")),
            format!("line 10: spec.{name}: the text \"yes\"; expected true or false")
        );
        assert_eq!(
            wrong(&format!("  {name}: 1")),
            format!("line 10: spec.{name}: the number 1; expected true or false")
        );
    }
}

#[test]
fn a_fault_may_hold_or_become_false_or_unknown_and_never_true() {
    for word in ["False", "'False'", "\"False\"", "false", "FALSE"] {
        assert_eq!(policy(&format!("  onFault: {word}")).on_fault, OnFault::False, "{word}");
    }
    assert_eq!(policy("  onFault: Unknown").on_fault, OnFault::Unknown);
    assert_eq!(policy("  onFault: hold").on_fault, OnFault::Hold);
    let expected = "expected hold, \"False\" or \"Unknown\"";
    for word in ["True", "true", "'True'", "'true'", "TRUE"] {
        let line = format!("line 10: spec.onFault: True would lie, a fault is no verdict; {expected}");
        assert_eq!(wrong(&format!("  onFault: {word}")), line, "{word}");
    }
    for (word, found) in
        [("Hold", "the text \"Hold\""), ("0", "the number 0"), ("[]", "a list"), ("no", "the text \"no\"")]
    {
        assert_eq!(wrong(&format!("  onFault: {word}")), format!("line 10: spec.onFault: {found}; {expected}"));
    }
}

#[test]
fn a_budget_is_a_number_of_pods_or_a_share() {
    for (text, value) in [
        ("1", MaxUnready::Count(1)),
        ("2147483647", MaxUnready::Count(2_147_483_647)),
        ("1%", MaxUnready::Percent(1)),
        ("'100%'", MaxUnready::Percent(100)),
    ] {
        assert_eq!(policy(&format!("  maxUnready: {text}")).max_unready, value);
    }
    for (text, found) in [
        ("0", "the number 0"),
        ("-1", "the number -1"),
        ("0.5", "the number 0.5"),
        ("2147483648", "the number 2147483648"),
        ("'3'", "the text \"3\""),
        ("0%", "the text \"0%\""),
        ("101%", "the text \"101%\""),
        ("+5%", "the text \"+5%\""),
        ("5 %", "the text \"5 %\""),
        ("'%'", "the text \"%\""),
        ("99999999999%", "the text \"99999999999%\""),
        ("true", "true"),
    ] {
        let expected = "expected a whole number of pods, 1 to 2147483647, or a share of them, 1% to 100%";
        assert_eq!(wrong(&format!("  maxUnready: {text}")), format!("line 10: spec.maxUnready: {found}; {expected}"));
    }
}

#[test]
fn a_selection_that_is_wrong_is_told_of_with_its_place() {
    for (lines, told) in [
        ("  select: all", "line 10: spec.select: the text \"all\"; expected an object"),
        ("  select: {label: a}", "line 10: spec.select.label: unknown field; did you mean labels?"),
        (
            "  select:\n    namespaces: shop",
            "line 11: spec.select.namespaces: the text \"shop\"; expected a list of one or more names of namespaces, such as [shop]",
        ),
        (
            "  select: {namespaces: []}",
            "line 10: spec.select.namespaces: an empty list; expected a list of one or more names of namespaces, such as [shop], or leave it out to select all",
        ),
        (
            "  select:\n    namespaces:\n    - shop\n    - Blog",
            "line 13: spec.select.namespaces: the text \"Blog\"; expected the name of a namespace, such as shop",
        ),
        (
            "  select: {namespaces: [a.b]}",
            "line 10: spec.select.namespaces: the text \"a.b\"; expected the name of a namespace, such as shop",
        ),
        (
            "  select: {labels: {app: web}}",
            "line 10: spec.select.labels: an object; expected a label selector as text, such as \"app=web,tier in (front,back),!old\"",
        ),
        (
            "  select:\n    labels: a=b c",
            "line 11: spec.select.labels: the text \"a=b c\" is no label selector: \"c\" after the end of a requirement; expected a comma",
        ),
        (
            "  select: {namespaceLabels: '-a'}",
            "line 10: spec.select.namespaceLabels: the text \"-a\" is no label selector: \"-a\" is no label key; a key is a name of at most 63 characters, such as app or example.com/app",
        ),
    ] {
        assert_eq!(wrong(lines), told);
    }
}

#[test]
fn what_is_likely_a_mistake_is_a_warning() {
    for (lines, told) in [
        ("  select: {}", "line 10: spec.select: it is empty and selects every pod; give it a field or remove it"),
        (
            "  select: {labels: ''}",
            "line 10: spec.select.labels: it is empty and selects everything; give it a requirement or remove it",
        ),
        (
            "  select: {labels: 'a=b,!a'}",
            "line 10: spec.select.labels: the text \"a=b,!a\" contradicts itself and selects nothing; mend it",
        ),
        ("  select: {namespaces: [a, b, a]}", "line 10: spec.select.namespaces: a is given twice; keep one"),
        (
            "  maxStaleSeconds: 30",
            "line 10: spec.maxStaleSeconds: not longer than periodSeconds (30); a condition would go stale between two answers, make it longer",
        ),
    ] {
        assert_eq!(right(lines).1, [told]);
    }
    let slow = parse(&GOOD.replace("timeoutSeconds: 2", "timeoutSeconds: 31"), false);
    let told = "line 9: spec.timeoutSeconds: longer than periodSeconds (30); slow calls make the gate late, shorten it";
    assert_eq!((slow.checks.len(), slow.warnings), (1, vec![told.to_owned()]));
    assert_eq!(right("  maxStaleSeconds: 31").1, Vec::<String>::new());
}

#[test]
fn limits_are_read_and_what_is_left_out_is_not_given() {
    let (check, warnings) =
        right("  limits: {memory: 32Mi, tableElements: 500, handles: 50, hostCall: 65536, log: 1Ki}");
    assert_eq!(warnings, Vec::<String>::new());
    let given: Vec<_> = Limit::ALL.into_iter().map(|limit| check.limits.get(limit)).collect();
    assert_eq!(given, [Some(32 << 20), Some(500), Some(50), Some(65_536), Some(1024), None]);
    assert_eq!(right("  limits: {}").0.limits, Limits::default());
}

#[test]
fn a_limit_out_of_bounds_and_one_that_is_none_are_refused() {
    assert_eq!(
        wrong("  limits: {memory: 32MB}"),
        "line 10: spec.limits.memory: the text \"32MB\"; expected a quantity of bytes such as 32Mi, 64Ki to 2Gi"
    );
    assert_eq!(
        wrong("  limits: {handles: 1}"),
        "line 10: spec.limits.handles: the number 1; expected a whole number, 10 to 100000"
    );
    for lines in ["  limits: {memory: 3Gi}", "  limits: {memory: 1.5}", "  limits: {memory: [1Mi]}", "  limits: 32Mi"] {
        assert!(wrong(lines).starts_with("line 10: spec.limits"), "{lines}");
    }
    assert_eq!(
        wrong("  limits: {stack: 1Mi}"),
        "line 10: spec.limits.stack: unknown field; known here: memory, tableElements, handles, hostCall, log, \
         logPerSecond"
    );
}

#[test]
fn instances_are_fresh_unless_the_check_says_how_they_are_reused() {
    assert_eq!((right("").0.instances, right("  instances: fresh").0.instances), (Instances::Fresh, Instances::Fresh));
    assert_eq!(right("  instances: reuse").0.instances, Instances::Reuse(Reuse::default()));
    let own = right("  instances: reuse\n  reuse: {maxCalls: 5, maxMemory: 8Mi, acrossNamespaces: true}").0;
    let reuse = Reuse { max_calls: 5, max_memory: 8 << 20, across_namespaces: true };
    assert_eq!(own.instances, Instances::Reuse(reuse));
    assert_eq!(
        wrong("  reuse: {maxCalls: 5}"),
        "line 10: spec.reuse: it says how instances are reused, and they are not; add instances: reuse"
    );
    for lines in ["  instances: pooled", "  instances: true", "  instances: reuse\n  reuse: {maxCalls: 0}"] {
        assert!(wrong(lines).contains("spec."), "{lines}");
    }
    for reuse in ["maxMemory: 1", "calls: 3", "acrossNamespaces: 1"] {
        assert!(wrong(&format!("  instances: reuse\n  reuse: {{{reuse}}}")).contains("spec.reuse."), "{reuse}");
    }
}
