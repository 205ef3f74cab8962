//! Label selectors: what is written selects what it says.

use std::collections::BTreeMap;

use gatehost::check::Selector;
use proptest::prelude::*;

/// A requirement of a selector as kubectl's help has it: the key, the operator, the values.
type Requirement = (String, &'static str, Vec<String>);

/// Few keys and values, so that they meet.
fn requirement() -> impl Strategy<Value = Requirement> {
    let key = || prop_oneof!["[a-c]", Just("in".to_owned()), Just("x.io/notin".to_owned())];
    let values = || prop::collection::vec("[x-z]?", 1..4);
    prop_oneof![
        (key(), proptest::sample::select(vec!["", "!"])).prop_map(|(key, operator)| (key, operator, vec![])),
        (key(), proptest::sample::select(vec!["=", "==", "!="]), "[x-z]?").prop_map(|(key, operator, value)| (
            key,
            operator,
            vec![value]
        )),
        (key(), proptest::sample::select(vec!["in", "notin"]), values()),
    ]
}

/// As text, with spaces where they mean nothing.
fn written((key, operator, values): &Requirement, space: &str) -> String {
    match *operator {
        "" => key.clone(),
        "!" => format!("!{space}{key}"),
        "in" | "notin" => format!("{key} {operator}{space}({})", values.join(&format!("{space},{space}"))),
        _ => format!("{key}{space}{operator}{space}{}", values[0]),
    }
}

/// Whether labels satisfy it, by the words of the Kubernetes documentation.
fn holds((key, operator, values): &Requirement, labels: &BTreeMap<String, String>) -> bool {
    let value = labels.get(key);
    match *operator {
        "" => value.is_some(),
        "!" => value.is_none(),
        "=" | "==" | "in" => value.is_some_and(|value| values.contains(value)),
        _ => !value.is_some_and(|value| values.contains(value)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_selector_selects_what_its_requirements_say_and_reads_the_same_when_written_out(
        requirements in prop::collection::vec(requirement(), 0..5), space in " {0,2}",
        labels in prop::collection::btree_map(prop_oneof!["[a-d]", Just("in".to_owned()), Just("x.io/notin".to_owned())], "[x-z]?", 0..4)
    ) {
        let text: Vec<_> = requirements.iter().map(|requirement| written(requirement, &space)).collect();
        let text = text.join(&format!("{space},{space}"));
        let selector: Selector = text.parse().unwrap();
        let expected = requirements.iter().all(|requirement| holds(requirement, &labels));
        let labels: Vec<_> = labels.into_iter().collect();
        prop_assert_eq!(selector.matches(&labels), expected, "{:?} of {:?}", text, labels);
        prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
    }

    #[test]
    fn any_text_is_a_selector_that_reads_the_same_or_is_told_of_in_one_line(text in "\\PC{0,40}|[a-c!=,()<> notin\n]{0,30}") {
        match text.parse::<Selector>() {
            Ok(selector) => prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector)),
            Err(error) => prop_assert!(!error.to_string().contains('\n') && error.to_string().len() < 700, "{}", error),
        }
    }
}
