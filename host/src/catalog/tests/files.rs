//! What happens to files: written, rewritten, renamed, removed, and what is no file of ours.

use std::{io::Write as _, os::unix::fs::symlink, sync::atomic::AtomicBool, thread};

use super::*;

#[tokio::test]
async fn the_same_bytes_are_no_change() {
    let text = check("a", "p.wasm", "{}");
    let mut bed = Bed::new(&[("a.yaml", &text), ("p.wasm", "(p)"), ("any.wasm", "(any)")]).await;
    let first = bed.now();
    bed.write("p.wasm", "(p)");
    bed.replace("p.wasm", "(p)");
    bed.replace("a.yaml", &text);
    let next = bed.barrier("z").await;
    assert_eq!(next.generation, first.generation + 1);
    assert_eq!(bed.loaded().iter().filter(|l| *l == "(p)").count(), 1);
    assert!(Arc::ptr_eq(live(&first, "a").unwrap(), live(&next, "a").unwrap()));
}

#[tokio::test]
async fn the_first_snapshot_tells_of_an_empty_file_however_late_the_first_look() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("empty.wasm"), "").unwrap();
    let (_gate, open) = watch::channel(false);
    let options = Options { poll: NEVER, pods: true, ..Options::default() };
    let loader = Fake { loaded: Arc::default(), open };
    let (mut catalog, work) = start(vec![directory.path().to_owned()], options, true, loader).unwrap();
    // A machine that is busy elsewhere.
    tokio::time::sleep(Duration::from_millis(100)).await;
    let task = tokio::spawn(work);
    let first = timeout(BOUND, catalog.wait_for(|s| s.generation > 0)).await.unwrap().unwrap().clone();
    assert!(told(&first, "empty.wasm", "no plugin"), "{first:#?}");
    task.abort();
}

#[tokio::test]
async fn a_rewrite_of_the_same_size_at_once_is_noticed() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(0)")]).await;
    for i in 1..5 {
        bed.write("p.wasm", &format!("({i})"));
        bed.until(|s| runs(s, "a", &i.to_string())).await;
    }
}

#[tokio::test]
async fn a_file_renamed_keeps_its_check_and_its_generation() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    let first = bed.now();
    let mut seen = bed.catalog.clone();
    fs::rename(bed.path("a.yaml"), bed.path("b.yaml")).unwrap();
    let path = bed.path("b.yaml");
    let next = bed.until(|s| live(s, "a").is_none_or(|l| l.file == path)).await;
    assert_eq!(live(&next, "a").unwrap().generation, live(&first, "a").unwrap().generation);
    assert!(seen.borrow_and_update().problems.is_empty());
}

#[tokio::test]
async fn a_plugin_renamed_with_its_check_is_not_compiled_again() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    bed.write("q.wasm", "(p)");
    bed.replace("a.yaml", &check("a", "q.wasm", "{}"));
    bed.until(|s| live(s, "a").is_some_and(|l| l.check.plugin == "q.wasm")).await;
    assert_eq!(bed.loaded(), ["(p)"]);
}

#[tokio::test]
async fn a_file_that_is_written_slowly_is_taken_when_it_is_whole() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    let path = bed.path("p.wasm");
    let writer = thread::spawn(move || {
        let mut file = fs::File::create(path).unwrap();
        for part in "(whole)".repeat(10).replace(")(", "").as_bytes().chunks(1) {
            file.write_all(part).unwrap();
            thread::sleep(Duration::from_millis(10));
        }
    });
    let whole = "whole".repeat(10);
    bed.until(|s| runs(s, "a", &whole)).await;
    writer.join().unwrap();
    assert_eq!(bed.loaded(), ["(p)".to_owned(), format!("({whole})")]);
}

#[tokio::test]
async fn a_check_that_is_cut_and_written_anew_is_not_gone_meanwhile() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    let (path, text) = (bed.path("a.yaml"), check("a", "p.wasm", "{p: 1}"));
    let mut seen = bed.catalog.clone();
    let gone = tokio::spawn(async move { seen.wait_for(|s| !has(s, "a")).await.map(drop) });
    let writer = thread::spawn(move || {
        let mut file = fs::File::create(path).unwrap();
        thread::sleep(Duration::from_millis(600));
        file.write_all(text.as_bytes()).unwrap();
    });
    bed.until(|s| live(s, "a").is_some_and(|l| &*l.check.config == r#"{"p":1}"#)).await;
    writer.join().unwrap();
    assert!(!gone.is_finished());
    gone.abort();
}

#[tokio::test]
async fn a_file_that_is_rewritten_in_place_all_the_time_is_never_torn() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    let path = bed.path("p.wasm");
    let writer = thread::spawn(move || {
        for i in 0..200 {
            let body = format!("{i:04}").repeat(5000);
            let mut file = fs::File::create(&path).unwrap();
            file.write_all(b"(").unwrap();
            for part in body.as_bytes().chunks(4096) {
                file.write_all(part).unwrap();
            }
            file.write_all(b")").unwrap();
            if i % 40 == 0 {
                // Long enough for a whole version to be taken between two rewrites.
                thread::sleep(Duration::from_millis(250));
            }
        }
    });
    let last = format!("{:04}", 199).repeat(5000);
    let done = bed.until(|s| runs(s, "a", &last)).await;
    writer.join().unwrap();
    assert_eq!(problems(&done), []);
    for text in bed.loaded() {
        let inner = text.trim_matches(['(', ')']);
        assert!(
            text == "(p)" || (inner.len() == 20_000 && inner.as_bytes().chunks(4).all(|c| c == &inner.as_bytes()[..4]))
        );
    }
}

#[tokio::test]
async fn a_file_that_is_written_for_ever_starves_nobody() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    let (path, stop) = (bed.path("q.wasm"), Arc::new(AtomicBool::new(false)));
    let stopped = stop.clone();
    let writer = thread::spawn(move || {
        let mut file = fs::File::create(path).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            file.write_all(b"x").unwrap();
            thread::yield_now();
        }
    });
    bed.replace("p.wasm", "(p2)");
    bed.until(|s| runs(s, "a", "p2")).await;
    bed.barrier("b").await;
    stop.store(true, Ordering::Relaxed);
    writer.join().unwrap();
    assert!(!bed.loaded().iter().any(|l| l.starts_with('x')));
}

#[tokio::test]
async fn what_is_no_file_of_ours_is_left_alone() {
    let bed = Bed::new(&[(".hidden.yaml", "a: ["), ("readme.md", "a: ["), ("x.wasm.bak", "x"), ("noext", "x")]).await;
    assert_eq!(problems(&bed.now()), []);
    let mut bed = bed;
    fs::create_dir(bed.path("dir.yaml")).unwrap();
    let fifo = bed.path("fifo.wasm");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(bed.path("socket.yaml")).unwrap();
    symlink("/dev/zero", bed.path("zero.wasm")).unwrap();
    let next = bed.barrier("a").await;
    assert_eq!(problems(&next), []);
}

#[tokio::test]
async fn a_file_that_cannot_be_taken_is_told() {
    let mut bed = Bed::new(&[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")]).await;
    fs::File::create(bed.path("big.wasm")).unwrap().set_len(1 << 40).unwrap();
    fs::write(bed.path("latin.yaml"), b"a: \xe4").unwrap();
    fs::write(bed.path("big.yaml"), vec![b' '; (1 << 20) + 1]).unwrap();
    let next = bed
        .until(|s| {
            told(s, "big.wasm", "it has 1099511627776 bytes; 1048576 are the most that is read")
                && told(s, "latin.yaml", "it is not UTF-8 text")
                && told(s, "big.yaml", "it has 1048577 bytes")
        })
        .await;
    assert!(has(&next, "a"));
}

#[tokio::test]
async fn a_directory_that_is_missing_at_the_start_is_an_error() {
    let (_gate, open) = watch::channel(false);
    let fake = Fake { loaded: Arc::default(), open };
    let error = start(vec!["/nonexistent/checks".into()], Options::default(), true, fake).err().unwrap();
    assert!(format!("{error:#}").starts_with("/nonexistent/checks: this directory cannot be read; "));
}

#[tokio::test]
async fn a_directory_that_is_lost_keeps_what_it_held_and_is_watched_again() {
    let options = Options { poll: Duration::from_millis(100), ..Options::default() };
    let files: &[(&str, &str)] = &[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(p)")];
    let mut bed = Bed::with(&[files], options, true).await;
    let (here, away) = (bed.directories[0].path().to_owned(), bed.directories[0].path().with_extension("away"));
    fs::rename(&here, &away).unwrap();
    let lost = bed.until(|s| !s.problems.is_empty()).await;
    assert!(has(&lost, "a") && lost.problems[0].file == here);
    fs::rename(&away, &here).unwrap();
    bed.until(|s| s.problems.is_empty()).await;
    bed.replace("p.wasm", "(p2)");
    bed.until(|s| runs(s, "a", "p2")).await;
}

#[tokio::test]
async fn a_poll_heals_what_the_watch_missed() {
    let options = Options { poll: Duration::from_millis(50), ..Options::default() };
    let files: &[(&str, &str)] = &[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(1)")];
    let mut bed = Bed::with(&[files], options, false).await;
    bed.write("p.wasm", "(2)");
    bed.until(|s| runs(s, "a", "2")).await;
    bed.replace("p.wasm", "(3)");
    bed.until(|s| runs(s, "a", "3")).await;
    fs::remove_file(bed.path("a.yaml")).unwrap();
    bed.until(|s| !has(s, "a")).await;
    bed.barrier("b").await;
}

#[tokio::test]
async fn a_plugin_that_no_check_names_holds_up_no_check() {
    let files = [("a.yaml", &*check("a", "p.wasm", "{}")), ("b.wasm", "(slow)"), ("p.wasm", "(p)")];
    let mut bed = Bed::new(&files).await;
    assert!(runs(&bed.now(), "a", "p"), "published while the other one is still loading");
    bed.gate.send_replace(true);
    bed.replace("a.yaml", &check("a", "b.wasm", "{}"));
    bed.until(|s| runs(s, "a", "slow")).await;
}

#[tokio::test]
async fn a_plugin_that_fails_again_and_again_does_not_keep_a_host_from_beginning() {
    let files = [
        ("a.yaml", &*check("a", "a.wasm", "{}")),
        ("a.wasm", "(stuck)"),
        ("b.yaml", &*check("b", "b.wasm", "{}")),
        ("b.wasm", "(long)"),
        ("c.yaml", &*check("c", "c.wasm", "{}")),
        ("c.wasm", "(c)"),
    ];
    // While the second one is loaded it is time to try the first one again; the third one has not been tried at all.
    let options = Options { poll: Duration::from_millis(20), ..Options::default() };
    let bed = Bed::with(&[&files], options, false).await;
    let first = bed.now();
    assert!(runs(&first, "b", "long") && runs(&first, "c", "c"), "{:?}", problems(&first));
    assert!(told(&first, "a.wasm", "not now"), "{:?}", problems(&first));
}
