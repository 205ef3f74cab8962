//! What an expression mentions: what has to be read for it, and names that do not exist.

use std::collections::BTreeSet;

use cel::{
    IdedExpr,
    common::ast::{EntryExpr, Expr, LiteralValue, operators},
};
use gatehost_sdk::shape::FIELDS;

/// What an expression is about.
#[derive(Debug, Default)]
pub(crate) struct Mentions<'e> {
    /// Fields of the pod, those of [`FIELDS`].
    pub(crate) fields: BTreeSet<&'static str>,
    /// Fields of the pod that plugins do not see.
    pub(crate) unseen: BTreeSet<String>,
    /// Other names.
    pub(crate) names: BTreeSet<&'e str>,
    /// Names that macros bind; which part of the expression they mean something in plays no part here.
    pub(crate) bound: BTreeSet<&'e str>,
    /// Functions, and whether they are called on something.
    pub(crate) functions: BTreeSet<(&'e str, bool)>,
    /// What is given to `matches` as text.
    pub(crate) patterns: BTreeSet<&'e str>,
}

impl<'e> Mentions<'e> {
    pub(crate) fn of(expr: &'e IdedExpr) -> Self {
        let mut mentions = Self::default();
        mentions.walk(expr);
        mentions
    }

    fn walk(&mut self, expr: &'e IdedExpr) {
        if let Some(path) = path_into_pod(expr) {
            return self.pod(&path);
        }
        match &expr.expr {
            Expr::Ident(name) if !name.starts_with('@') => _ = self.names.insert(name),
            Expr::Call(call) => {
                let target = call.target.as_deref();
                // `optional.of(x)` is one name with a dot in it.
                let qualified = target.is_some_and(|t| matches!(&t.expr, Expr::Ident(name) if name == "optional"));
                if call.func_name.starts_with(|c: char| c.is_ascii_alphabetic()) && !qualified {
                    self.functions.insert((&call.func_name, target.is_some()));
                }
                if call.func_name == "matches" {
                    self.patterns.extend(call.args.last().and_then(text));
                }
            }
            Expr::Comprehension(c) => {
                self.bound.extend([c.iter_var.as_str()].into_iter().chain(c.iter_var2.as_deref()));
            }
            _ => {}
        }
        for child in children(&expr.expr) {
            self.walk(child);
        }
    }

    fn pod(&mut self, path: &[&str]) {
        let prefix = path[..path.len().min(2)].join(".");
        let is_meant = |f: &&&str| prefix.is_empty() || **f == prefix || f.starts_with(&format!("{prefix}."));
        let mut meant = FIELDS.iter().filter(is_meant).peekable();
        if meant.peek().is_none() {
            self.unseen.insert(format!("pod.{prefix}"));
        }
        self.fields.extend(meant);
    }
}

pub(crate) fn children(expr: &Expr) -> Vec<&IdedExpr> {
    match expr {
        Expr::Select(select) => vec![&select.operand],
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Comprehension(c) => vec![&c.iter_range, &c.accu_init, &c.loop_cond, &c.loop_step, &c.result],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Struct(made) => made.entries.iter().flat_map(|entry| of_entry(&entry.expr)).collect(),
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn of_entry(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(pair) => vec![&pair.key, &pair.value],
    }
}

/// `pod.metadata.labels["a"]` is metadata, labels, a.
fn path_into_pod(expr: &IdedExpr) -> Option<Vec<&str>> {
    let (from, field) = match &expr.expr {
        Expr::Ident(name) if name == "pod" => return Some(Vec::new()),
        Expr::Select(select) => (&*select.operand, select.field.as_str()),
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [from, key] => (from, text(key)?),
            _ => return None,
        },
        _ => return None,
    };
    let mut path = path_into_pod(from)?;
    path.push(field);
    Some(path)
}

fn text(expr: &IdedExpr) -> Option<&str> {
    match &expr.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}
