//! True once the pod carries an annotation, or one with a given value: the approval of a person or a pipeline.

use gatehost_sdk::{Check, ConfigError, Description, Fault, Pod, Verdict, quoted};
use regex_lite::Regex;
use serde::Deserialize;

mod key;

/// Which annotation, and what its value must be; any value where neither `equals` nor `matches` is given.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The annotation's key.
    pub annotation: String,
    /// The whole value.
    pub equals: Option<String>,
    /// A regular expression that matches anywhere in the value.
    pub matches: Option<String>,
}

/// The check.
pub struct Annotation;

impl Check for Annotation {
    type Config = Config;

    fn describe() -> Description {
        let help = "True once the pod carries an annotation, or one whose value equals or matches what is configured.";
        Description::new("annotation", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        let errors = config.errors();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn evaluate(pod: &Pod, config: Config) -> Result<Verdict, Fault> {
        decide(pod.annotation(&config.annotation).as_deref(), &config)
    }
}

gatehost_sdk::export!(Annotation);

impl Config {
    fn errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if let Err(wrong) = key::check(&self.annotation) {
            errors.push(ConfigError::new("/annotation", wrong));
        }
        if self.equals.is_some() && self.matches.is_some() {
            errors.push(ConfigError::new("/matches", "give either equals or matches, not both"));
        }
        if let Some(Err(error)) = self.matches.as_deref().map(Regex::new) {
            errors.push(ConfigError::new("/matches", format!("is not a regular expression: {error}")));
        }
        errors
    }
}

/// Decides by the annotation's value; `None` where the pod does not carry it.
pub fn decide(value: Option<&str>, config: &Config) -> Result<Verdict, Fault> {
    let key = &config.annotation;
    let Some(value) = value else {
        return Ok(Verdict::unmet("AnnotationMissing").message(format!("the pod has no annotation {key}")));
    };
    let found = quoted(value);
    let (met, wanted) = match (&config.equals, &config.matches) {
        (Some(text), _) => (value == text, format!("does not equal {}", quoted(text))),
        (None, Some(pattern)) => {
            let regex = Regex::new(pattern).map_err(|e| Fault::bad_config("BadPattern").message(e.to_string()))?;
            (regex.is_match(value), format!("does not match {}", quoted(pattern)))
        }
        (None, None) => return Ok(Verdict::met("AnnotationPresent").message(format!("{key} is {found}"))),
    };
    Ok(if met {
        Verdict::met("AnnotationMatches").message(format!("{key} is {found}"))
    } else {
        Verdict::unmet("AnnotationDiffers").message(format!("{key} is {found}, which {wanted}"))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use super::*;

    fn config(equals: Option<&str>, matches: Option<&str>) -> Config {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Config { annotation: "example.com/approved".into(), equals: own(equals), matches: own(matches) }
    }

    fn verdict(value: Option<&str>, config: &Config) -> Verdict {
        decide(value, config).unwrap()
    }

    #[test]
    fn the_schema_has_the_fields_of_the_config() {
        gatehost_sdk::testing::assert_schema::<Config>(include_str!("schema.json"));
    }

    #[test]
    fn a_missing_annotation_is_unmet_and_named() {
        for config in [config(None, None), config(Some("yes"), None), config(None, Some(""))] {
            let expected =
                Verdict::unmet("AnnotationMissing").message("the pod has no annotation example.com/approved");
            assert_eq!(verdict(None, &config), expected);
        }
    }

    #[test]
    fn any_value_will_do_where_none_is_asked_for() {
        assert_eq!(verdict(Some(""), &config(None, None)).reason, "AnnotationPresent");
    }

    #[test]
    fn equals_compares_the_whole_value() {
        let yes = config(Some("yes"), None);
        assert_eq!(verdict(Some("yes"), &yes).reason, "AnnotationMatches");
        let expected = r#"example.com/approved is "yes!", which does not equal "yes""#;
        assert_eq!(verdict(Some("yes!"), &yes), Verdict::unmet("AnnotationDiffers").message(expected));
    }

    #[test]
    fn matches_is_tied_to_the_ends_only_by_its_anchors() {
        assert_eq!(verdict(Some("rev12"), &config(None, Some("v[0-9]"))).reason, "AnnotationMatches");
        assert_eq!(verdict(Some("rev12"), &config(None, Some("^v[0-9]+$"))).reason, "AnnotationDiffers");
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        let message = verdict(Some(&"ä".repeat(500)), &config(None, None)).message;
        assert_eq!(message, format!("example.com/approved is \"{}…\"", "ä".repeat(60)));
    }

    #[test]
    fn every_mistake_of_a_config_is_named_with_its_place() {
        let wrong = Config { annotation: String::new(), ..config(Some("yes"), Some("(")) };
        let paths: Vec<_> = wrong.errors().into_iter().map(|e| e.path).collect();
        assert_eq!(paths, ["/annotation", "/matches", "/matches"]);
        assert!(config(None, Some("^v[0-9]+$")).errors().is_empty());
    }
}
