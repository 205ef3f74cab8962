//! How the compiler's process ends, and what is said of it.

use std::{fs, path::PathBuf, time::Duration};

use gatehost::sandbox::{Compiler, Cpu, LoadError, Options, Origin, Process, Sandbox};

use tokio::time::timeout;

use crate::{ENOUGH, MEMORY, elsewhere, guest, heavy};

async fn refused(options: Options, component: Vec<u8>) -> LoadError {
    Sandbox::with(options).unwrap().load(component).await.unwrap_err()
}

#[tokio::test]
async fn what_was_compiled_elsewhere_runs_here_whatever_it_was_compiled_for() {
    for cpu in [Cpu::Native, Cpu::Baseline] {
        let sandbox = Sandbox::with(Options { cpu, ..elsewhere(MEMORY, ENOUGH) }).unwrap();
        let plugin = sandbox.load(fs::read(guest("good")).unwrap()).await.unwrap();
        assert_eq!((plugin.origin(), plugin.description().name.as_str()), (Origin::Compiled, "guest"), "{cpu:?}");
        assert_eq!(plugin.validate("1".into()).await.unwrap(), [], "{cpu:?}");
    }
}

#[tokio::test]
async fn a_component_that_takes_too_much_memory_is_one_error() {
    let error = refused(elsewhere(256 << 20, ENOUGH), heavy::component(2, 500_000)).await;
    assert!(matches!(error, LoadError::CompilerMemory(_)), "{error:?}");
    let line = "compiling it takes more than 256 MiB of memory, which is all that the compiler gets; raise \
                --compile-memory";
    assert_eq!(error.to_string(), line);
    assert!(!error.may_pass());
}

#[tokio::test]
async fn a_component_that_takes_too_long_is_one_error() {
    let error = refused(elsewhere(MEMORY, Duration::from_secs(1)), heavy::slow()).await;
    assert!(matches!(error, LoadError::CompilerTime { .. }), "{error:?}");
    let line = "compiling it takes more than 1 s, which is all that the compiler gets; raise --compile-timeout";
    assert_eq!(error.to_string(), line);
}

#[tokio::test]
async fn a_damaged_component_is_refused_in_the_same_words_as_here() {
    let mut damaged = fs::read(guest("good")).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    let told = |error: LoadError| match error {
        LoadError::Invalid(why) => why.to_string().lines().next().unwrap().to_owned(),
        other => panic!("{other:?}"),
    };
    let here = told(refused(Options::default(), damaged.clone()).await);
    let there = told(refused(elsewhere(MEMORY, ENOUGH), damaged).await);
    assert!(there.starts_with(&here), "{here:?} and {there:?}");
}

#[tokio::test]
async fn a_compiler_that_cannot_start_or_that_crashes_is_told() {
    let with = |program: &str| {
        let process = Process { program: PathBuf::from(program), memory: MEMORY, time: ENOUGH };
        Options { compiler: Compiler::Process(process), ..Options::default() }
    };
    let good = fs::read(guest("good")).unwrap();
    let error = refused(with("/nonexistent/compiler"), good.clone()).await;
    assert!(matches!(error, LoadError::Compiler(_)) && error.may_pass(), "{error:?}");
    let error = refused(with("/bin/false"), good).await;
    assert_eq!(error.to_string(), "the compiler crashed on it: exit status: 1");
}

#[tokio::test]
async fn one_component_is_compiled_at_a_time_and_one_that_nobody_waits_for_any_more_is_given_up() {
    let sandbox = Sandbox::with(elsewhere(MEMORY, ENOUGH)).unwrap();
    let good = fs::read(guest("good")).unwrap();
    let mut slow = Box::pin(sandbox.load(heavy::slow()));
    assert!(timeout(Duration::from_secs(2), &mut slow).await.is_err(), "it is not slow");
    // The slow one has the compiler, so the other one waits.
    let mut quick = Box::pin(sandbox.load(good));
    let first = async {
        tokio::select! {
            _ = &mut slow => "slow",
            _ = &mut quick => "quick",
        }
    };
    assert!(timeout(Duration::from_secs(3), first).await.is_err(), "two were compiled at once");
    drop(slow);
    timeout(Duration::from_secs(20), quick).await.expect("the slow one is still compiled").unwrap();
}
