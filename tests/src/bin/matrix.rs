//! Writes tests/FAULTS.md: each fault, what is promised under it, and what the tests have measured. The figures are
//! those that the tests have left in `target/faults.jsonl`, never others.
#![allow(clippy::print_stdout, reason = "it tells where the page is")]

use std::{collections::BTreeMap, fmt::Write as _, fs, io::ErrorKind};

use anyhow::{Context as _, Result};
use gatehost_tests::{soak::figures, workspace};
use serde::Deserialize;

/// One fault.
struct Row {
    fault: &'static str,
    promise: &'static str,
    /// In tests/tests/cluster.
    tests: &'static [&'static str],
    /// How the names of its records begin.
    records: &'static [&'static str],
}

const ROWS: &[Row] = &[
    Row {
        fault: "watch 410 inside the stream and as a status",
        promise: "every condition right within 5 s of the re-list, no needless patch",
        tests: &[
            "after_a_410_inside_the_watch_every_condition_is_right_within_5_s_of_the_list_and_nothing_is_patched_in_vain",
            "after_a_410_as_a_status_every_condition_is_right_within_5_s_of_the_list_and_nothing_is_patched_in_vain",
        ],
        records: &["watch 410"],
    },
    Row {
        fault: "stream half-open or black-holed",
        promise: "recovered within 65 s; the watch-age metric shows it",
        tests: &[
            "a_watch_that_dies_silently_heals_within_65_seconds_and_its_age_shows_it",
            "a_watch_that_is_opened_and_says_nothing_heals_within_65_seconds_and_its_age_shows_it",
        ],
        records: &["half-open", "black-holed"],
    },
    Row {
        fault: "429 with Retry-After 1, 30, malformed, an HTTP date",
        promise: "obeyed; other requests flow",
        tests: &[
            "a_retry_after_of_a_patch_is_obeyed_in_all_its_forms_and_other_requests_flow",
            "a_retry_after_of_a_list_or_a_watch_is_obeyed_and_patches_flow",
        ],
        records: &["429 for"],
    },
    Row {
        fault: "500, 503, 504, connection refused, truncated body",
        promise: "no verdict lost; capped, jittered backoff; liveness green",
        tests: &[
            "no_verdict_is_lost_to_answers_of_500_and_the_host_lives",
            "no_verdict_is_lost_to_answers_of_503_and_the_host_lives",
            "no_verdict_is_lost_to_answers_of_504_and_the_host_lives",
            "no_verdict_is_lost_to_refused_connections_and_the_host_lives",
            "no_verdict_is_lost_to_bodies_that_end_in_their_middle_and_the_host_lives",
            "waits_after_failed_writes_grow_and_differ",
        ],
        records: &["500", "503", "504", "connection refused", "truncated body", "backoff"],
    },
    Row {
        fault: "API server down 5 minutes under 1,000 gates",
        promise: "no flip while blind; afterwards only what changed is patched",
        tests: &[
            "under_a_thousand_gates_nothing_flips_while_the_api_server_is_down_and_afterwards_only_what_changed_is_patched",
        ],
        records: &["API server down"],
    },
    Row {
        fault: "API server answers from a past state (a lagging replica)",
        promise: "no stale verdict is written",
        tests: &[
            "a_host_that_starts_on_a_past_state_makes_nothing_true_that_is_no_longer_so",
            "events_and_lists_older_than_what_is_known_change_nothing",
        ],
        records: &["past state"],
    },
    Row {
        fault: "token and CA rotated, 401 for a minute",
        promise: "goes on without a restart",
        tests: &["a_token_and_an_authority_that_are_rotated_and_a_while_of_401_need_no_restart"],
        records: &["rotated"],
    },
    Row {
        fault: "two hosts at once; one host SIGSTOPped for a minute and continued",
        promise: "at most 2 patches per transition, no oscillation, the end state right",
        tests: &["two_hosts_make_at_most_two_patches_for_a_transition_and_one_that_was_stopped_is_set_right"],
        records: &["two hosts"],
    },
    Row {
        fault: "kill -9 at any moment, 50 times",
        promise: "after restart: zero patches where nothing changed, conditions right",
        tests: &["after_kill_9_at_any_moment_nothing_is_written_where_nothing_changed_and_every_condition_is_right"],
        records: &["killed"],
    },
    Row {
        fault: "10,000 gated pods at start",
        promise: "list in pages, evaluations spread, zero patches when verdicts equal conditions",
        tests: &["many_gated_pods_at_start_are_listed_in_pages_asked_spread_and_not_written_again"],
        records: &["many pods"],
    },
    Row {
        fault: "wall clock jumps by an hour either way",
        promise: "schedule unmoved; lastTransitionTime never runs backwards",
        tests: &["a_wall_clock_that_jumps_by_an_hour_moves_no_schedule_and_no_transition_time_backwards"],
        records: &["clock"],
    },
    Row {
        fault: "churn: 20 pods/s created and deleted for 10 minutes with reloads and faults at random",
        promise: "at rest every condition right; memory and descriptors flat",
        tests: &["churn_with_reloads_and_faults_leaves_every_condition_right_and_memory_and_descriptors_flat"],
        records: &["churn"],
    },
    Row {
        fault: "half the pods turned False, kill -9, then False for all",
        promise: "never more than the disruption budget not Ready",
        tests: &["half_the_pods_turned_false_then_kill_9_then_false_for_all_is_never_more_than_the_budget"],
        records: &["budget"],
    },
    Row {
        fault: "hostile plugins at full tilt beside good ones for 10 minutes, with reloads",
        promise: "no good gate turns; memory and descriptors end where they began",
        tests: &["hostile_and_good_plugins_with_reloads_leave_memory_and_descriptors_where_they_began"],
        records: &["hostile"],
    },
];

const HEAD: &str = "# Faults

What the host promises under each fault, and what was measured on the real control plane. `make test` runs every row,
each in 30 seconds at most; `make soak` runs them one after the other as long and as large as the table says, and
writes this page anew. `cargo run --locked --bin matrix` writes it from the runs that `target/faults.jsonl` has kept: of
each test the last full run, or where there was none the last short one. Nothing here is written by hand.

";

/// What one test has left.
#[derive(Clone, Debug, Deserialize)]
struct Record {
    row: String,
    full: bool,
    figures: BTreeMap<String, String>,
}

fn main() -> Result<()> {
    let path = figures();
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
        text => text.with_context(|| path.display().to_string())?,
    };
    let page = workspace().join("tests/FAULTS.md");
    fs::write(&page, render(&read(&text)?)?).with_context(|| page.display().to_string())?;
    println!("{}", page.display());
    Ok(())
}

/// The record that counts, by name.
fn read(text: &str) -> Result<BTreeMap<String, Record>> {
    let mut records = BTreeMap::<String, Record>::new();
    for line in text.lines() {
        let record: Record = serde_json::from_str(line).with_context(|| format!("not a record: {line}"))?;
        if record.full || records.get(&record.row).is_none_or(|before| !before.full) {
            records.insert(record.row.clone(), record);
        }
    }
    Ok(records)
}

fn render(records: &BTreeMap<String, Record>) -> Result<String> {
    let mut page = HEAD.to_owned();
    for (number, row) in (1..).zip(ROWS) {
        writeln!(page, "## {number}. {}\n\nPromise: {}.\n", row.fault, row.promise)?;
        for test in row.tests {
            writeln!(page, "- `{test}`")?;
        }
        let measured = records.values().filter(|r| row.records.iter().any(|name| r.row.starts_with(name)));
        let mut lines = measured.map(line).peekable();
        if lines.peek().is_none() {
            writeln!(page, "\nnot run")?;
        } else {
            writeln!(page, "\n| measured | run | figures |\n|---|---|---|")?;
            lines.try_for_each(|line| writeln!(page, "{line}"))?;
        }
        writeln!(page)?;
    }
    page.truncate(page.trim_end().len());
    Ok(page + "\n")
}

fn line(record: &Record) -> String {
    let figures: Vec<_> = record.figures.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let run = if record.full { "`make soak`" } else { "`make test`" };
    format!("| {} | {run} | {} |", record.row, figures.join("; ").replace('|', "\\|"))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn sources(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { sources(&path) } else { fs::read_to_string(path).unwrap() }).collect()
    }

    #[test]
    fn every_test_of_the_matrix_exists() {
        let sources = sources(&workspace().join("tests/tests/cluster"));
        for test in ROWS.iter().flat_map(|row| row.tests) {
            assert!(sources.contains(&format!("#[test]\nfn {test}() {{")), "{test} does not exist");
        }
    }

    #[test]
    fn the_page_has_the_rows_of_the_matrix() {
        let page = fs::read_to_string(workspace().join("tests/FAULTS.md")).unwrap();
        for line in render(&BTreeMap::new()).unwrap().lines().filter(|line| *line != "not run") {
            assert!(page.lines().any(|of_page| of_page == line), "run `cargo run --bin matrix`: {line:?} is missing");
        }
    }

    #[test]
    fn a_full_run_counts_more_than_a_later_short_one() {
        let line = |full, n| format!("{{\"row\": \"clock\", \"full\": {full}, \"figures\": {{\"n\": \"{n}\"}}}}\n");
        let records = read(&[line(false, 1), line(true, 2), line(false, 3)].concat()).unwrap();
        assert!(render(&records).unwrap().contains("| clock | `make soak` | n: 2 |"));
        assert!(read("{").is_err());
    }
}
