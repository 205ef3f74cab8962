//! True while one CEL expression over the pod, and over another object if one is named, is true: custom logic with no
//! build at all.

use cel::IdedExpr;
use gatehost_sdk::{
    Check, ConfigError, Description, Fault, Pod, Verdict, clock, objects::Reference, serde_json::Value, shape,
};
use serde::Deserialize;

mod mentions;
mod program;

use mentions::Mentions;

/// The expression, and what it is about besides the pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// In CEL, at most 4096 bytes.
    pub expression: String,
    /// For people, while it is false.
    pub message: Option<String>,
    /// What it calls `object`.
    pub object: Option<Reference>,
}

/// The check.
pub struct Expression;

impl Check for Expression {
    type Config = Config;

    fn describe() -> Description {
        let help = "True while a CEL expression over the pod, and over another object if one is named, is true.";
        Description::new("expression", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        let errors = config.errors();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn evaluate(pod: &Pod, config: Config) -> Result<Verdict, Fault> {
        let program = config.compile()?;
        let object = match &config.object {
            Some(object) => object.find(pod)?,
            None => None,
        };
        decide(&config, &program, shape::read(pod, &Mentions::of(&program).fields), object, clock::now())
    }
}

gatehost_sdk::export!(Expression);

impl Config {
    fn compile(&self) -> Result<IdedExpr, ConfigError> {
        program::compile(&self.expression).map_err(|wrong| ConfigError::new("/expression", wrong))
    }

    fn errors(&self) -> Vec<ConfigError> {
        let program = match self.compile() {
            Ok(program) => program,
            Err(error) => return vec![error],
        };
        let at = |what: String| ConfigError::new("/expression", what);
        let mut errors: Vec<_> = program::mistakes(&program).into_iter().map(at).collect();
        let mentioned = Mentions::of(&program).names.contains("object");
        let Some(object) = &self.object else {
            errors.extend(mentioned.then(|| at("mentions object; say in object which one is meant".to_owned())));
            return errors;
        };
        if !mentioned {
            errors.push(ConfigError::new("/object", "the expression does not mention object; remove this, or use it"));
        }
        errors.extend(object.errors("/object"));
        errors
    }
}

/// Decides by the fields of the pod that the expression mentions, the object, and now, in Unix milliseconds.
fn decide(config: &Config, program: &IdedExpr, pod: Value, object: Option<Value>, now: u64) -> Result<Verdict, Fault> {
    let (pod, object) = (program::value(pod), program::value(object.unwrap_or_default()));
    let variables = vec![("pod", pod), ("object", object), ("now", program::timestamp(now))];
    match program::evaluate(program, variables) {
        Ok(true) => Ok(Verdict::met("ExpressionTrue").message("the expression is true")),
        Ok(false) => {
            let message = config.message.as_deref().unwrap_or("the expression is false");
            Ok(Verdict::unmet("ExpressionFalse").message(message))
        }
        Err((reason, message)) => Err(Fault::bad_config(reason).message(message)),
    }
}

#[cfg(test)]
mod tests;
