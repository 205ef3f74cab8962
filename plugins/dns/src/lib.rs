//! True while a name resolves, perhaps to the pod's own IP or to so many addresses: its record has propagated.

use std::{net::IpAddr, num::NonZeroU32};

use gatehost_sdk::{
    Check, ConfigError, Description, Failure, FailureKind, Fault, OnNoAnswer, Pod, Verdict, dns,
    fields::{Field, Piece, split},
};
use serde::Deserialize;

/// Which name, and to what it has to resolve.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// The name; it may hold fields of the pod.
    pub name: String,
    /// Whether the pod's IP has to be among the addresses.
    #[serde(default, rename = "toPodIP")]
    pub to_pod_ip: bool,
    /// How many addresses there have to be.
    pub at_least: Option<NonZeroU32>,
    /// What it means that the resolver does not answer.
    pub on_no_answer: Option<OnNoAnswer>,
}

/// The check.
pub struct Dns;

impl Check for Dns {
    type Config = Config;

    fn describe() -> Description {
        let help = "True while a name resolves: to anything, to the pod's own IP, or to so many addresses.";
        Description::new("dns", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        match config.wrong() {
            Some(wrong) => Err(vec![ConfigError::new("/name", wrong)]),
            None => Ok(()),
        }
    }

    fn evaluate(pod: &Pod, config: Config) -> Result<Verdict, Fault> {
        let name = match fill(&config.name, |field| field.of(pod)) {
            Ok(name) => name,
            Err(verdict) => return verdict,
        };
        decide(dns::resolve(&name), &name, pod.ip().as_deref(), &config)
    }
}

gatehost_sdk::export!(Dns);

impl Config {
    fn wrong(&self) -> Option<String> {
        let pieces = match split(&self.name) {
            Ok(pieces) => pieces,
            Err(wrong) => return Some(wrong),
        };
        let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let is_part = |piece: &Piece| !matches!(piece, Piece::Text(text) if !text.chars().all(part));
        if pieces.is_empty() || !pieces.iter().all(is_part) {
            return Some("is no name; write one such as db.example.com, or $(metadata.name).web.shop.svc".to_owned());
        }
        if self.name.parse::<IpAddr>().is_ok() || self.name.eq_ignore_ascii_case("pod") {
            return Some("is an address already; write a name such as db.example.com".to_owned());
        }
        None
    }
}

/// The name with the values of the fields in it, or the answer where the pod lacks one.
fn fill(name: &str, value: impl Fn(&Field) -> Option<String>) -> Result<String, Result<Verdict, Fault>> {
    let pieces = split(name).map_err(|wrong| Err(Fault::bad_config("BadName").message(wrong)))?;
    let one = |piece: Piece<'_>| match piece {
        Piece::Text(text) => Ok(text.to_owned()),
        Piece::Field(field) => value(&field).ok_or_else(|| Ok(field.missing())),
    };
    pieces.into_iter().map(one).collect()
}

/// Decides by the addresses of the name; `ip` is the pod's.
pub fn decide(
    addresses: Result<Vec<String>, Failure>,
    name: &str,
    ip: Option<&str>,
    config: &Config,
) -> Result<Verdict, Fault> {
    let addresses = match addresses {
        Ok(addresses) => addresses,
        // That there is no such name is what a resolver answers, not that it did not.
        Err(failure) if failure.kind == FailureKind::Unresolved => {
            return Ok(Verdict::unmet("Unresolved").message(format!("{name} has no address")));
        }
        Err(failure) => return config.on_no_answer.unwrap_or(OnNoAnswer::Fault).answer(failure),
    };
    let few = config.at_least.filter(|least| addresses.len() < least.get() as usize);
    if let Some(least) = few {
        let what = format!("{name} has {} of the {least} addresses that it should have", addresses.len());
        return Ok(Verdict::unmet("TooFewAddresses").message(what));
    }
    if config.to_pod_ip {
        let Some(ip) = ip else { return Ok(Field::Ip.missing()) };
        // One address can be written in several ways.
        let is_ip = |address: &String| match (address.parse::<IpAddr>(), ip.parse::<IpAddr>()) {
            (Ok(one), Ok(other)) => one.to_canonical() == other.to_canonical(),
            _ => address == ip,
        };
        if !addresses.iter().any(is_ip) {
            let what = format!("{name} has other addresses than the pod's, {ip}");
            return Ok(Verdict::unmet("PodIPMissing").message(what));
        }
        return Ok(Verdict::met("Resolved").message(format!("{name} has the pod's address {ip}")));
    }
    Ok(Verdict::met("Resolved").message(format!("{name} has an address")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use gatehost_sdk::{Status, parse, testing::assert_schema};

    use super::*;

    fn config(text: &str) -> Config {
        parse(text).unwrap()
    }

    fn reason(text: &str, addresses: &[&str], ip: Option<&str>) -> String {
        let addresses = addresses.iter().map(|&address| address.to_owned()).collect();
        decide(Ok(addresses), "a.b", ip, &config(text)).unwrap().reason
    }

    #[test]
    fn the_schema_has_the_fields_of_the_config() {
        assert_schema::<Config>(include_str!("schema.json"));
    }

    #[test]
    fn a_name_resolves_to_what_is_asked_for() {
        let pod = Some("fd00::1");
        for (text, addresses, expected) in [
            (r#"{"name": "a.b"}"#, &["10.0.0.1"][..], "Resolved"),
            (r#"{"name": "a.b", "atLeast": 2}"#, &["10.0.0.1", "10.0.0.2"], "Resolved"),
            (r#"{"name": "a.b", "atLeast": 2}"#, &["10.0.0.1"], "TooFewAddresses"),
            (r#"{"name": "a.b", "toPodIP": true}"#, &["10.0.0.1", "fd00:0::1"], "Resolved"),
            (r#"{"name": "a.b", "toPodIP": true}"#, &["10.0.0.1"], "PodIPMissing"),
        ] {
            assert_eq!(reason(text, addresses, pod), expected, "{text} {addresses:?}");
        }
        assert_eq!(reason(r#"{"name": "a.b", "toPodIP": true}"#, &["10.0.0.1"], None), "FieldMissing");
    }

    #[test]
    fn a_name_that_does_not_exist_is_unmet_and_a_resolver_that_does_not_answer_a_fault() {
        let answer = |kind, text| decide(Err(Failure::new(kind, "x")), "a.b", None, &config(text));
        for text in [r#"{"name": "a.b"}"#, r#"{"name": "a.b", "onNoAnswer": "fault"}"#] {
            let verdict = answer(FailureKind::Unresolved, text).unwrap();
            assert_eq!((verdict.status, verdict.reason.as_str()), (Status::Unmet, "Unresolved"));
        }
        assert!(answer(FailureKind::TimedOut, r#"{"name": "a.b"}"#).is_err());
        assert!(answer(FailureKind::TimedOut, r#"{"name": "a.b", "onNoAnswer": "unmet"}"#).is_ok());
        assert!(answer(FailureKind::Denied, r#"{"name": "a.b", "onNoAnswer": "unmet"}"#).is_err());
    }

    #[test]
    fn a_name_holds_fields_of_the_pod() {
        let name = "$(metadata.name).web.$(metadata.namespace).svc";
        let value = |field: &Field| (*field == Field::Name).then(|| "web-0".to_owned());
        assert_eq!(fill("$(metadata.name).web", value).unwrap(), "web-0.web");
        let verdict = fill(name, value).unwrap_err().unwrap();
        assert_eq!((verdict.status, verdict.reason.as_str()), (Status::Unknown, "FieldMissing"));
    }

    #[test]
    fn every_mistake_of_a_config_is_named_with_its_place() {
        for (wrong, at) in [
            ("{}", ""),
            (r#"{"name": ""}"#, "/name"),
            (r#"{"name": "a b"}"#, "/name"),
            (r#"{"name": "http://a"}"#, "/name"),
            (r#"{"name": "10.0.0.1"}"#, "/name"),
            (r#"{"name": "pod"}"#, "/name"),
            (r#"{"name": "$(metadata.nmae).web"}"#, "/name"),
            (r#"{"name": "a", "atLeast": 0}"#, "/atLeast"),
            (r#"{"name": "a", "toPodIp": true}"#, "/toPodIp"),
        ] {
            let found = match parse::<Config>(wrong) {
                Ok(config) => Dns::validate(&config).unwrap_err()[0].path.clone(),
                Err(error) => error.path,
            };
            assert_eq!(found, at, "{wrong}");
        }
        assert!(Dns::validate(&config(r#"{"name": "$(metadata.labels['a']).b_c."}"#)).is_ok());
    }
}
