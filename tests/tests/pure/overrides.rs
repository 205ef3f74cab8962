//! The annotation of an override under arbitrary texts.

use gatehost::decide::{
    Status,
    overrides::{self, Override, Overrides},
    sanitize,
};
use proptest::prelude::*;

/// Overrides as the command writes them, each gate once.
fn written() -> impl Strategy<Value = Overrides> {
    let status = prop_oneof![Just(Status::True), Just(Status::False)];
    let one = (status, -62_135_596_800_000..253_402_207_200_000_i64, "\\PC{1,60}");
    ("[0-9a-f-]{1,36}", prop::collection::btree_map("[a-z0-9./-]{1,40}", one, 0..6)).prop_map(|(uid, gates)| {
        let read = |(gate, (status, until, reason)): (String, (Status, i64, String))| {
            overrides::reason(&reason).map(|reason| Override { gate, status, until, reason })
        };
        Overrides { uid, overrides: gates.into_iter().filter_map(read).collect() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_override_that_is_written_is_read_back(written in written()) {
        let text = overrides::print(&written);
        prop_assert_eq!(overrides::parse(&text), Ok(written));
    }

    #[test]
    fn an_override_annotation_with_anything_in_it_is_read_or_told_of_in_one_line(
        written in written(), at in 0..4096_usize, len in 0..40_usize, to in "\\PC{0,12}|[\"{}:,\\x00-\\x1f]{0,3}|\\PC{5000}"
    ) {
        let whole = overrides::print(&written);
        let begin: String = whole.chars().take(at % whole.len()).collect();
        let rest: String = whole.chars().skip(at % whole.len() + len).collect();
        for text in [to.clone(), format!("{begin}{to}{rest}")] {
            match overrides::parse(&text) {
                Ok(read) => prop_assert_eq!(overrides::parse(&overrides::print(&read)), Ok(read)),
                Err(error) => {
                    let line = error.to_string();
                    prop_assert!(line.starts_with(overrides::ANNOTATION) && line.chars().all(sanitize::prints), "{}", line);
                }
            }
        }
    }
}
