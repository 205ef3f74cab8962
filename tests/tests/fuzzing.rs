//! Every file of the fuzzing corpus, through what the fuzz targets call: what was found once stays mended.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::BTreeSet,
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use gatehost_tests::{
    fuzzing::{load, pure},
    workspace,
};

/// What panics over bytes that break a rule.
type Judge = fn(&[u8]);

/// The targets with a corpus, and what each calls.
const TARGETS: [(&str, Judge); 4] =
    [("check", pure::check), ("load", load::load), ("pod", pure::pod), ("verdict", pure::verdict)];

/// A target that makes its inputs itself: what it finds is kept in the corpus of `load`.
const MAKES: &str = "smith";

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn nothing_in_the_corpus_breaks_a_rule() {
    for (target, function) in TARGETS {
        let files = files(&workspace().join("tests/fuzz/corpus").join(target));
        assert!(files.len() > 3, "{target} has hardly a corpus");
        for file in files {
            let bytes = fs::read(&file).unwrap();
            let kept = catch_unwind(AssertUnwindSafe(|| function(&bytes)));
            assert!(kept.is_ok(), "{} breaks a rule", file.display());
        }
    }
}

#[test]
fn every_target_has_a_corpus_that_is_replayed() {
    let named = |folder: &str| -> BTreeSet<String> {
        let files = files(&workspace().join("tests/fuzz").join(folder));
        files.iter().map(|file| file.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
    };
    let replayed: BTreeSet<_> = TARGETS.iter().map(|(target, _)| (*target).to_owned()).collect();
    assert_eq!(named("corpus"), replayed);
    assert_eq!(named("fuzz_targets"), replayed.into_iter().chain([MAKES.to_owned()]).collect());
}
