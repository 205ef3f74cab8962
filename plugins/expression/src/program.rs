//! Compiles and evaluates an expression.

use std::sync::Arc;

use cel::{
    Context, ExecutionError, IdedExpr, ParseError, Value,
    common::ast::{CallExpr, Expr, LiteralValue},
    extractors::This,
    objects::Map,
    parser::PrattParser,
};
use gatehost_sdk::{clock::rfc3339, serde_json::Value as Json, shape};
use regex_lite::Regex;

use crate::mentions::{Mentions, children};

/// How long an expression may be, in bytes.
const MAX_LENGTH: usize = 4096;

/// How deep it may be nested: what is deeper might overflow the stack that this plugin asks for.
const MAX_DEPTH: u16 = 32;

/// Compiles it.
///
/// # Errors
/// The first mistake in one line, with its place: those after it follow from it.
pub(crate) fn compile(source: &str) -> Result<IdedExpr, String> {
    if source.len() > MAX_LENGTH {
        return Err(format!("has {} bytes; an expression has at most {MAX_LENGTH}", source.len()));
    }
    let parser = PrattParser::new().enable_optional_syntax(true).max_recursion_depth(MAX_DEPTH);
    let root = parser.parse(source).map_err(|e| e.errors.first().map(|e| told(e, source)).unwrap_or_default())?;
    let mut level = vec![&root];
    // The parser counts neither the terms of a sum nor what a macro stands for.
    for _ in 0..MAX_DEPTH {
        level = level.into_iter().flat_map(|expr| children(&expr.expr)).collect();
    }
    if !level.is_empty() {
        // To drop it would need as much stack as to evaluate it; it goes with the call.
        std::mem::forget(root);
        return Err(format!("is nested too deep; there are at most {MAX_DEPTH} levels"));
    }
    Ok(root)
}

/// What is wrong with it that no pod can make right.
pub(crate) fn mistakes(root: &IdedExpr) -> Vec<String> {
    let (mentions, context, mut wrong) = (Mentions::of(root), context(), Vec::new());
    for field in &mentions.unseen {
        wrong.push(format!("{field} is no field that plugins see; those are {}", shape::FIELDS.join(", ")));
    }
    let node = |expr| IdedExpr { id: 0, expr };
    let exists = |expr| !matches!(context.resolve(&node(expr)), Err(ExecutionError::UndeclaredReference(_)));
    let own = |name: &&&str| matches!(**name, "now" | "object" | "optional") || mentions.bound.contains(**name);
    for name in mentions.names.iter().filter(|name| !own(name)) {
        // Types are names as well.
        if !exists(Expr::Ident((*name).to_owned())) {
            wrong.push(format!("there is no variable {name}; there are pod, now and object"));
        }
    }
    for (name, is_method) in &mentions.functions {
        let null = || node(Expr::Literal(LiteralValue::Null));
        let target = is_method.then(|| Box::new(null()));
        if !exists(Expr::Call(CallExpr { func_name: (*name).to_owned(), target, args: vec![null()] })) {
            wrong.push(format!("there is no function {name}"));
        }
    }
    for pattern in &mentions.patterns {
        wrong.extend(Regex::new(pattern).err().map(|e| format!("{pattern:?} is no regular expression: {e}")));
    }
    // Without variables, its value is the same whenever it is asked for.
    let fixed = mentions.fields.is_empty() && !mentions.names.contains("now") && !mentions.names.contains("object");
    if matches!(root.expr, Expr::List(_) | Expr::Map(_)) {
        wrong.push("gives a list or a map, not true or false".to_owned());
    } else if wrong.is_empty() && fixed {
        wrong.extend(evaluate(root, Vec::new()).err().map(|(_, message)| message));
    }
    wrong
}

/// Its value, or a reason and a message. No values are in the message, so that it is the same from call to call.
pub(crate) fn evaluate(root: &IdedExpr, variables: Vec<(&str, Value)>) -> Result<bool, (&'static str, String)> {
    let mut context = context();
    for (name, value) in variables {
        context.add_variable_from_value(name, value);
    }
    match context.resolve(root) {
        Ok(Value::Bool(value)) => Ok(value),
        Ok(other) => Err(("NotBoolean", format!("gives a value of type {}, not true or false", other.type_of()))),
        Err(error) => Err(failed(&error)),
    }
}

fn context() -> Context<'static, 'static> {
    let mut context = Context::default();
    let matches = |This(text): This<Arc<String>>, pattern: Arc<String>| {
        let regex = Regex::new(&pattern).map_err(|error| ExecutionError::function_error("matches", error))?;
        Ok::<bool, ExecutionError>(regex.is_match(&text))
    };
    // Only a name that is taken is refused; without cel's own regular expressions this one is free.
    let added = context.add_function("matches", matches);
    debug_assert!(added.is_ok());
    context
}

/// JSON as expressions in Kubernetes see it: whole numbers are `int`.
pub(crate) fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(value),
        Json::Number(number) => {
            let whole = number.as_i64().map(Value::Int).or_else(|| number.as_u64().map(Value::UInt));
            whole.unwrap_or_else(|| Value::Float(number.as_f64().unwrap_or(f64::NAN)))
        }
        Json::String(text) => Value::String(text.into()),
        Json::Array(list) => Value::List(Arc::new(list.into_iter().map(value).collect())),
        Json::Object(map) => {
            Value::Map(Map { map: Arc::new(map.into_iter().map(|(key, json)| (key.into(), value(json))).collect()) })
        }
    }
}

/// An instant in Unix milliseconds.
pub(crate) fn timestamp(unix_ms: u64) -> Value {
    rfc3339(unix_ms).parse().map_or(Value::Null, Value::Timestamp)
}

fn failed(error: &ExecutionError) -> (&'static str, String) {
    use ExecutionError as E;
    match error {
        E::NoSuchKey(key) => ("NoSuchKey", format!("there is no {key}; has() tells whether there is")),
        E::IndexOutOfBounds(_) => ("NoSuchKey", "a list is shorter than an index needs".to_owned()),
        E::NoSuchOverload(_) | E::UnexpectedType { .. } => ("TypeMismatch", error.to_string()),
        E::ValuesNotComparable(a, b) | E::UnsupportedBinaryOperator(_, a, b) | E::UnsupportedIndex(a, b) => {
            ("TypeMismatch", format!("types {} and {} do not go together", a.type_of(), b.type_of()))
        }
        E::UnsupportedTargetType { target: value }
        | E::NotSupportedAsMethod { target: value, .. }
        | E::UnsupportedKeyType(value) => {
            ("TypeMismatch", format!("a value of type {} cannot be used like this", value.type_of()))
        }
        E::DivisionByZero(_) | E::RemainderByZero(_) => ("EvaluationFailed", "divides by 0".to_owned()),
        E::FunctionError { function, .. } => ("EvaluationFailed", format!("{function} cannot take what it is given")),
        E::Overflow(..) => ("EvaluationFailed", "a number becomes too large".to_owned()),
        _ => ("EvaluationFailed", "cannot be evaluated".to_owned()),
    }
}

/// A mistake with its place, and what stands there.
fn told(error: &ParseError, source: &str) -> String {
    let message = error.msg.split_whitespace().collect::<Vec<_>>().join(" ");
    let (Ok(line @ 1..), Ok(column)) = (usize::try_from(error.pos.0), usize::try_from(error.pos.1)) else {
        return message;
    };
    let rest = source.lines().nth(line - 1).unwrap_or_default().chars().skip(column.saturating_sub(1));
    let rest: String = rest.take(20).collect();
    let there = if rest.is_empty() { "the end".to_owned() } else { format!("{rest:?}") };
    format!("line {line}, column {column}, at {there}: {message}")
}
