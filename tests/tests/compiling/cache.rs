//! What the cache keeps, what it does not trust, and what happens where it cannot be written to.

use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use gatehost::sandbox::{Caches, Options, Origin, Sandbox};
use gatehost_tests::netns::{self, Machine};
use tempfile::TempDir;

use crate::{guest, names, with_cache};

/// Somebody who is neither root nor who runs the tests.
const SOMEBODY: u32 = 54_321;

async fn load(sandbox: &Sandbox, name: &str) -> Origin {
    sandbox.load(fs::read(guest(name)).unwrap()).await.unwrap().origin()
}

/// The only file of a cache.
fn entry(cache: &Path) -> PathBuf {
    let names = names(&cache.join("gatehost"));
    assert_eq!(names.len(), 1, "{names:?}");
    cache.join("gatehost").join(&names[0])
}

#[tokio::test]
async fn what_was_compiled_once_is_found_by_the_next_host() {
    let cache = tempfile::tempdir().unwrap();
    // As an emptyDir is.
    fs::set_permissions(cache.path(), Permissions::from_mode(0o777)).unwrap();
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Stored);
    let second = with_cache(cache.path());
    assert_eq!(load(&second, "good").await, Origin::Cache);
    assert_eq!(load(&second, "panic").await, Origin::Stored);
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!(mode(&cache.path().join("gatehost")), 0o700);
    for name in names(&cache.path().join("gatehost")) {
        assert_eq!(mode(&cache.path().join("gatehost").join(name)), 0o400);
    }
}

async fn is_found_out(what: &str, damage: impl Fn(&mut Vec<u8>)) {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Stored);
    let whole = fs::read(entry(cache.path())).unwrap();
    let mut bytes = whole.clone();
    damage(&mut bytes);
    fs::write(entry(cache.path()), bytes).unwrap();
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Stored, "{what}");
    assert_eq!(fs::read(entry(cache.path())).unwrap(), whole, "{what}");
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Cache, "{what}");
}

#[tokio::test]
async fn a_damaged_file_is_found_out_and_made_anew() {
    is_found_out("one bit", |bytes| bytes[1000] ^= 1).await;
    is_found_out("cut in half", |bytes| bytes.truncate(bytes.len() / 2)).await;
    is_found_out("empty", Vec::clear).await;
    is_found_out("too long", |bytes| bytes.extend([0; 4096])).await;
    is_found_out("nothing but zeros", |bytes| bytes.fill(0)).await;
}

#[tokio::test]
async fn the_file_of_another_plugin_is_not_taken_for_this_one() {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Stored);
    let good = entry(cache.path());
    let bytes = fs::read(&good).unwrap();
    fs::remove_file(&good).unwrap();
    assert_eq!(load(&with_cache(cache.path()), "panic").await, Origin::Stored);
    fs::write(entry(cache.path()), bytes).unwrap();
    assert_eq!(load(&with_cache(cache.path()), "panic").await, Origin::Stored);
}

/// Where the directory cannot be trusted or used, the plugin is compiled and nothing is touched.
async fn is_left_alone(what: &str, spoil: impl Fn(&Path)) {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Stored);
    spoil(&cache.path().join("gatehost"));
    let before = names(&cache.path().join("gatehost"));
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Compiled, "{what}");
    assert_eq!(names(&cache.path().join("gatehost")), before, "{what}");
}

#[tokio::test]
async fn a_directory_that_others_can_change_is_not_used() {
    let mode = |mode| move |path: &Path| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    is_left_alone("others may write", mode(0o777)).await;
    is_left_alone("the group may write", mode(0o770)).await;
    is_left_alone("it is somebody else's", |path| chown(path, Some(SOMEBODY), None).unwrap()).await;
    is_left_alone("it is a link", |path| {
        let moved = path.with_file_name("elsewhere");
        fs::rename(path, &moved).unwrap();
        symlink(moved, path).unwrap();
    })
    .await;
    is_left_alone("it is a file", |path| {
        fs::remove_dir_all(path).unwrap();
        fs::write(path, "").unwrap();
    })
    .await;
}

async fn is_made_anew(what: &str, spoil: impl Fn(&Path)) {
    let cache = tempfile::tempdir().unwrap();
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Stored);
    spoil(&entry(cache.path()));
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Stored, "{what}");
    assert_eq!(load(&with_cache(cache.path()), "good").await, Origin::Cache, "{what}");
}

#[tokio::test]
async fn a_file_that_others_can_change_is_made_anew() {
    let mode = |file: &Path| fs::set_permissions(file, Permissions::from_mode(0o666)).unwrap();
    is_made_anew("others may write", mode).await;
    is_made_anew("it is somebody else's", |file| chown(file, Some(SOMEBODY), None).unwrap()).await;
    is_made_anew("it is a link", |file| {
        let moved = file.parent().unwrap().with_file_name("moved");
        fs::rename(file, &moved).unwrap();
        symlink(moved, file).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_directory_that_is_missing_and_one_that_is_a_file_do_without() {
    let place = tempfile::tempdir().unwrap();
    let missing = place.path().join("missing");
    assert_eq!(load(&with_cache(&missing), "good").await, Origin::Compiled);
    assert!(!missing.exists());
    fs::write(&missing, "").unwrap();
    assert_eq!(load(&with_cache(&missing), "good").await, Origin::Compiled);
}

fn mount(args: &[&str], at: &Path) {
    let done = Command::new("mount").args(args).arg(at).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn a_full_disk_and_a_read_only_one_do_without() {
    netns::run(&Machine::default(), async |directory| {
        let full = directory.join("full");
        fs::create_dir(&full).unwrap();
        mount(&["-t", "tmpfs", "-o", "size=128k", "none"], &full);
        assert_eq!(load(&with_cache(&full), "good").await, Origin::Compiled);
        assert_eq!(names(&full.join("gatehost")), [""; 0], "something was left behind");

        let read_only = directory.join("read-only");
        fs::create_dir(&read_only).unwrap();
        mount(&["-t", "tmpfs", "none"], &read_only);
        assert_eq!(load(&with_cache(&read_only), "good").await, Origin::Stored);
        mount(&["-o", "remount,ro"], &read_only);
        let sandbox = with_cache(&read_only);
        assert_eq!(load(&sandbox, "good").await, Origin::Cache);
        assert_eq!(load(&sandbox, "panic").await, Origin::Compiled);

        // No code can be mapped from here: it is copied.
        let noexec = directory.join("noexec");
        fs::create_dir(&noexec).unwrap();
        mount(&["-t", "tmpfs", "-o", "noexec", "none"], &noexec);
        assert_eq!(load(&with_cache(&noexec), "good").await, Origin::Stored);
        assert_eq!(load(&with_cache(&noexec), "good").await, Origin::Cache);
    });
}

#[tokio::test]
async fn what_was_not_used_for_longest_goes_first() {
    let cache = TempDir::new().unwrap();
    let guests = ["good", "panic", "exit"];
    let with = |size| {
        let caches = Caches { directories: vec![cache.path().to_owned()], size, ..Caches::default() };
        Sandbox::with(Options { caches, ..Options::default() }).unwrap()
    };
    let mut sizes = Vec::new();
    for name in &guests[..2] {
        let before = names(&cache.path().join("gatehost"));
        assert_eq!(load(&with(Caches::SIZE), name).await, Origin::Stored);
        let new = names(&cache.path().join("gatehost")).into_iter().find(|name| !before.contains(name)).unwrap();
        sizes.push((cache.path().join("gatehost").join(&new), 0));
    }
    for (file, size) in &mut sizes {
        *size = fs::metadata(&file).unwrap().len();
        let hours_ago = SystemTime::now() - Duration::from_hours(9);
        fs::File::open(file).unwrap().set_modified(hours_ago).unwrap();
    }
    // The first is used, so the second is the oldest; there is room for two and a bit.
    assert_eq!(load(&with(Caches::SIZE), guests[0]).await, Origin::Cache);
    let leftover = cache.path().join("gatehost/.new-1-0");
    fs::write(&leftover, "left by a host that was killed").unwrap();
    fs::File::open(&leftover).unwrap().set_modified(SystemTime::now() - Duration::from_hours(9)).unwrap();
    let room = sizes[0].1 * 5 / 2;
    assert_eq!(load(&with(room), guests[2]).await, Origin::Stored);
    assert!(sizes[0].0.exists() && !sizes[1].0.exists(), "{:?}", names(&cache.path().join("gatehost")));
    assert!(!leftover.exists());
    // One that has no room at all is not kept, and nothing goes for it.
    let kept = names(&cache.path().join("gatehost"));
    assert_eq!(load(&with(1000), guests[1]).await, Origin::Compiled);
    assert_eq!(names(&cache.path().join("gatehost")), kept);
}

#[tokio::test]
async fn two_hosts_share_one_cache() {
    let cache = tempfile::tempdir().unwrap();
    let (one, other) = (with_cache(cache.path()), with_cache(cache.path()));
    for name in ["good", "panic", "exit", "pod"] {
        let both = futures::join!(load(&one, name), load(&other, name));
        assert!(both.0 != Origin::Compiled && both.1 != Origin::Compiled, "{both:?}");
    }
    let third = with_cache(cache.path());
    for name in ["good", "panic", "exit", "pod"] {
        assert_eq!(load(&third, name).await, Origin::Cache);
    }
    // What is mapped stays, whatever becomes of the file.
    let plugin = third.load(fs::read(guest("good")).unwrap()).await.unwrap();
    fs::remove_dir_all(cache.path().join("gatehost")).unwrap();
    assert_eq!(plugin.validate("1".into()).await.unwrap(), []);
}
