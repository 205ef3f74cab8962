//! A mounted ConfigMap, as kubelet's atomic writer changes it.

use std::os::unix::fs::symlink;

use super::*;

/// Writes a new state of a volume: a directory with the files, a link `..data` to it renamed over the old one, links
/// to the files for users, the old directory removed last.
fn mount(volume: &Path, version: u32, files: &[(&str, &str)]) {
    let new = format!("..2026_{version}");
    fs::create_dir(volume.join(&new)).unwrap();
    for (name, text) in files {
        fs::write(volume.join(&new).join(name), text).unwrap();
    }
    let old = fs::read_link(volume.join("..data")).ok();
    symlink(&new, volume.join("..data_tmp")).unwrap();
    fs::rename(volume.join("..data_tmp"), volume.join("..data")).unwrap();
    for (name, _) in files {
        if fs::symlink_metadata(volume.join(name)).is_err() {
            symlink(Path::new("..data").join(name), volume.join(name)).unwrap();
        }
    }
    for entry in fs::read_dir(volume).unwrap().map(|e| e.unwrap().path()) {
        let name = entry.file_name().unwrap().to_str().unwrap();
        if !name.starts_with("..") && !files.iter().any(|(n, _)| *n == name) {
            fs::remove_file(&entry).unwrap();
        }
    }
    if let Some(old) = old {
        fs::remove_dir_all(volume.join(old)).unwrap();
    }
}

#[tokio::test]
async fn a_config_map_is_followed_through_its_swaps() {
    let mut bed = Bed::new(&[]).await;
    let volume = bed.directories[0].path().to_owned();
    let (a, b) = (check("a", "p.wasm", "{}"), check("b", "p.wasm", "{}"));
    mount(&volume, 1, &[("a.yaml", &a), ("p.wasm", "(1)")]);
    let first = bed.until(|s| runs(s, "a", "1")).await;
    mount(&volume, 2, &[("a.yaml", &a), ("b.yaml", &b), ("p.wasm", "(1)")]);
    let second = bed.until(|s| has(s, "b")).await;
    assert!(Arc::ptr_eq(live(&first, "a").unwrap(), live(&second, "a").unwrap()));
    mount(&volume, 3, &[("b.yaml", &b), ("p.wasm", "(3)")]);
    let third = bed.until(|s| runs(s, "b", "3") && !has(s, "a")).await;
    assert_eq!(problems(&third), []);
    assert_eq!(bed.loaded(), ["(1)", "(3)"]);
}

#[tokio::test]
async fn a_plugin_and_the_config_for_it_that_come_together_are_no_problem() {
    let mut bed = Bed::new(&[]).await;
    let volume = bed.directories[0].path().to_owned();
    mount(&volume, 1, &[("a.yaml", &check("a", "p.wasm", "{}")), ("p.wasm", "(1)")]);
    bed.until(|s| runs(s, "a", "1")).await;
    let mut told = bed.catalog.clone();
    mount(&volume, 2, &[("a.yaml", &check("a", "p.wasm", "{zz: 1}")), ("p.wasm", "(zz slow)")]);
    let seen = tokio::spawn(async move { told.wait_for(|s| !s.problems.is_empty()).await.map(|s| problems(&s)) });
    let loaded = bed.loaded.clone();
    timeout(BOUND, async {
        while !loaded.lock().unwrap().contains(&"(zz slow)".to_owned()) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    bed.gate.send_replace(true);
    let last = bed.until(|s| runs(s, "a", "zz slow")).await;
    assert_eq!(&*live(&last, "a").unwrap().check.config, r#"{"zz":1}"#);
    assert!(!seen.is_finished());
    seen.abort();
}

#[tokio::test]
async fn a_link_that_points_to_nothing_keeps_the_last_good_version_and_heals() {
    let mut bed = Bed::new(&[("p.wasm", "(p)")]).await;
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("a");
    symlink(&target, bed.path("a.yaml")).unwrap();
    fs::write(&target, check("a", "p.wasm", "{}")).unwrap();
    bed.until(|s| has(s, "a")).await;
    fs::remove_file(&target).unwrap();
    bed.write("touch.md", "");
    let lost = bed.until(|s| told(s, "a.yaml", "this link points to nothing")).await;
    assert!(has(&lost, "a"));
    fs::write(&target, check("a", "p.wasm", "{p: 1}")).unwrap();
    bed.write("touch.md", "");
    bed.until(|s| live(s, "a").is_some_and(|l| &*l.check.config == r#"{"p":1}"#) && s.problems.is_empty()).await;
}
