//! A call of the shipped check `expression`, next to the same CEL expression evaluated natively with the same library.
//!
//! A call compiles the expression, reads what it mentions of the pod, evaluates it, and does so in a fresh instance; what
//! that instance costs is shown by the same plugin describing itself under wasmtime alone, and taken off.

use std::{sync::Arc, time::Duration};

use anyhow::{Result, bail, ensure};
use cel::{Context, IdedExpr, Value as Cel, objects::Map, parser::PrattParser};
use gatehost::{
    decide::Status,
    sandbox::{Evaluation, Grant, Plugin, Sandbox},
};
use serde_json::{Value, json};

use crate::{
    Size,
    bare::{self, Guest},
    call::shipped,
    evaluate::question,
    lap::{self, lap, lap_here},
    pinned,
    report::Report,
};

/// The first argument of the process that measures.
pub(crate) const CHILD: &str = "expression-on-this-core";

/// Two reads of the pod, a macro, a comparison: that of the plugin's README, for the pod that is asked about.
const EXPRESSION: &str = r#"pod.metadata.annotations[?"example.com/approved"].orValue("") == "yes" &&
pod.status.containerStatuses.all(c, c.restartCount < 3)"#;

const EVALUATED: &str = "natively, evaluated only";
const NATIVE: &str = "natively, compiled and evaluated";
const INSTANCE: &str = "a fresh instance alone";
const CALL: &str = "a call";
const INSIDE: &str = "a call less its instance";

pub(crate) fn run(size: Size) -> Result<Report> {
    let [rounds, millis] = size.pick(["15", "400"], ["5", "200"]);
    pinned::run(CHILD, &[rounds, millis])
}

/// The measuring process: prints a report as JSON.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [rounds, millis] = arguments else { bail!("give the rounds and how long each takes") };
    let (rounds, span) = (rounds.parse()?, Duration::from_millis(millis.parse()?));
    let sandbox = Sandbox::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&sandbox, rounds, span))?;
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}

async fn measure(sandbox: &Sandbox, rounds: usize, span: Duration) -> Result<Report> {
    let mut report = Report::new("expression", "calls of `expression`, each in a fresh instance, on one core");
    let wasm = shipped("expression")?;
    let instance = Contender::Instance(Arc::new(Guest::new(&bare::engine()?, &wasm)?));
    let asked = question(&json!({ "expression": EXPRESSION }), Grant::default());
    let host = Contender::Host(sandbox.load(wasm).await?, asked);
    let (program, pod) = (compile()?, pod());
    let context = context(&pod);
    for round in 0..=rounds {
        let laps = [
            (EVALUATED, lap_here(span, || is_true(&program, &context))?),
            (NATIVE, lap_here(span, || is_true(&compile()?, &self::context(&pod)))?),
            (INSTANCE, lap(1, span, &instance).await?),
            (CALL, lap(1, span, &host).await?),
        ];
        // The first round warms up.
        for (name, lap) in laps.into_iter().filter(|_| round > 0) {
            lap.add(&mut report, name);
        }
    }
    let cpu = |name: &str| format!("{name}: CPU a call");
    report.difference(&cpu(INSIDE), "us", &cpu(CALL), &cpu(INSTANCE), 1.0);
    report.ratio(&format!("{INSIDE}: next to {NATIVE}"), &cpu(INSIDE), &cpu(NATIVE), None);
    report.ratio(&format!("{CALL}: next to {NATIVE}"), &cpu(CALL), &cpu(NATIVE), None);
    report.ratio(&format!("{CALL}: next to {EVALUATED}"), &cpu(CALL), &cpu(EVALUATED), None);
    Ok(report)
}

#[derive(Clone)]
enum Contender {
    Instance(Arc<Guest>),
    Host(Plugin, Evaluation),
}

impl lap::Contender for Contender {
    async fn call(&self) -> Result<()> {
        match self {
            Self::Instance(guest) => guest.describe().await,
            Self::Host(plugin, question) => {
                let answer = plugin.evaluate(question.clone()).await.answer;
                ensure!(answer.as_ref().is_ok_and(|verdict| verdict.status == Status::True), "{answer:?}");
                Ok(())
            }
        }
    }
}

/// With the parser and the settings of the plugin.
fn compile() -> Result<IdedExpr> {
    let parser = PrattParser::new().enable_optional_syntax(true).max_recursion_depth(32);
    parser.parse(EXPRESSION).map_err(|error| anyhow::anyhow!("{error}"))
}

fn context(pod: &Value) -> Context<'static, 'static> {
    let mut context = Context::default();
    context.add_variable_from_value("pod", value(pod));
    context
}

fn is_true(program: &IdedExpr, context: &Context<'_, '_>) -> Result<()> {
    match context.resolve(program) {
        Ok(Cel::Bool(true)) => Ok(()),
        other => bail!("not true: {other:?}"),
    }
}

/// The fields of the pod that the expression mentions, as the plugin reads them.
fn pod() -> Value {
    let container = |name: &str| {
        let state = json!({ "running": { "startedAt": "2023-11-14T22:13:20Z" } });
        json!({ "name": name, "ready": true, "restartCount": 0, "state": state })
    };
    json!({
        "metadata": { "annotations": { "example.com/approved": "yes", "prometheus.io/scrape": "true" } },
        "spec": {},
        "status": { "containerStatuses": [container("app"), container("proxy")] },
    })
}

fn value(json: &Value) -> Cel {
    match json {
        Value::Null => Cel::Null,
        Value::Bool(value) => Cel::Bool(*value),
        Value::Number(number) => Cel::Int(number.as_i64().unwrap_or_default()),
        Value::String(text) => Cel::String(text.clone().into()),
        Value::Array(list) => Cel::List(Arc::new(list.iter().map(value).collect())),
        Value::Object(map) => {
            Cel::Map(Map { map: Arc::new(map.iter().map(|(key, json)| (key.clone().into(), value(json))).collect()) })
        }
    }
}
