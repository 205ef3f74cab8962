//! The example check in Rust, Python, JavaScript and C (`plugins/examples`): the same verdicts on the same pods, the same
//! faults and the same words about a wrong config, and what a language's own error looks like. `make examples` builds them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{fs, sync::OnceLock, time::Duration};

use gatehost::{
    decide::{Fault, Verdict},
    pod::{Packed, Pod},
    sandbox::{ConfigError, Evaluation, Grant, Kept, Plugin, Sandbox},
};
use gatehost_tests::target;
use tokio::runtime::Runtime;

mod configs;
mod dev;
mod errors;
mod pages;
mod verdicts;

/// Long enough for any call on a busy machine.
const ENOUGH: Duration = Duration::from_secs(30);

/// The instant of all calls, in Unix milliseconds: 2023-11-14T22:13:20.123Z.
const NOW: i64 = 1_700_000_000_123;

const LANGUAGES: [&str; 4] = ["rust", "python", "javascript", "c"];

/// The check in each language.
struct Four {
    runtime: Runtime,
    plugins: Vec<(&'static str, Plugin)>,
}

/// A plugin's file.
fn file(language: &str) -> String {
    format!("on-track-{language}.wasm")
}

/// Loaded once for all tests: two of them take seconds to compile.
fn four() -> &'static Four {
    static FOUR: OnceLock<Four> = OnceLock::new();
    FOUR.get_or_init(|| {
        let runtime = Runtime::new().unwrap();
        let sandbox = Sandbox::new().unwrap();
        let load = |language| {
            let path = target().join("examples").join(file(language));
            let bytes = fs::read(&path)
                .unwrap_or_else(|error| panic!("{}: {error}; build it with `make examples`", path.display()));
            (language, runtime.block_on(sandbox.load(bytes)).unwrap_or_else(|error| panic!("{language}: {error}")))
        };
        let plugins = LANGUAGES.map(load).into();
        Four { runtime, plugins }
    })
}

/// What the plugin of one language says of a pod.
fn ask(language: &str, pod: &Pod, config: &str) -> Result<Verdict, Fault> {
    let four = four();
    let (_, plugin) = four.plugins.iter().find(|(name, _)| *name == language).unwrap();
    let evaluation = Evaluation {
        check: "test".into(),
        pod: Packed::new(pod),
        config: config.into(),
        now: NOW,
        timeout: ENOUGH,
        grant: Grant::default(),
        kept: Kept::default(),
    };
    four.runtime.block_on(plugin.evaluate(evaluation)).answer
}

/// What all four say of a pod.
#[track_caller]
fn ask_all(pod: &Pod, config: &str) -> Result<Verdict, Fault> {
    let answer = ask(LANGUAGES[0], pod, config);
    for language in &LANGUAGES[1..] {
        assert_eq!(ask(language, pod, config), answer, "{language} differs from {} under {config}", LANGUAGES[0]);
    }
    answer
}

/// What all four say of a config.
#[track_caller]
fn judge_all(config: &str) -> Vec<ConfigError> {
    let four = four();
    let judge = |plugin: &Plugin| four.runtime.block_on(plugin.validate(config.into())).unwrap();
    let said = judge(&four.plugins[0].1);
    for (language, plugin) in &four.plugins[1..] {
        assert_eq!(judge(plugin), said, "{language} differs from {} about {config}", four.plugins[0].0);
    }
    said
}
