//! True while a TCP connection opens, and perhaps the other side says what is expected.

use std::{net::Ipv6Addr, num::NonZeroU16};

use gatehost_sdk::{Check, ConfigError, Description, Fault, OnNoAnswer, Pattern, Pod, Verdict, quoted, tcp::Exchange};
use serde::Deserialize;

/// How much is read unless the config says otherwise: any greeting is shorter.
const READ: u32 = 4096;

/// Where, and what is said.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Config {
    /// A name or an address; `pod`, the pod itself, unless given.
    #[serde(default = "pod")]
    pub host: String,
    /// The port.
    pub port: NonZeroU16,
    /// Text that is sent once the connection is open.
    pub send: Option<String>,
    /// Bytes that are sent instead, each as two hexadecimal digits.
    pub send_hex: Option<String>,
    /// What matches somewhere in what is read then.
    pub expect: Option<Pattern>,
    /// Reading ends with this text; the end of a line unless given.
    pub until: Option<String>,
    /// How many bytes are read at most.
    pub read_bytes: Option<u32>,
    /// What it means that there is no answer.
    pub on_no_answer: Option<OnNoAnswer>,
}

fn pod() -> String {
    "pod".to_owned()
}

/// The check.
pub struct Tcp;

impl Check for Tcp {
    type Config = Config;

    fn describe() -> Description {
        let help = "True while a TCP connection to the pod, or to another server, opens and its banner matches.";
        Description::new("tcp", env!("CARGO_PKG_VERSION"), help).config_schema(include_str!("schema.json"))
    }

    fn validate(config: &Config) -> Result<(), Vec<ConfigError>> {
        let errors = config.errors();
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn evaluate(_: &Pod, config: Config) -> Result<Verdict, Fault> {
        match config.exchange()?.connect() {
            Ok(read) => Ok(decide(&read, &config)),
            Err(failure) => config.on_no_answer.unwrap_or_else(|| OnNoAnswer::by_host(&config.host)).answer(failure),
        }
    }
}

gatehost_sdk::export!(Tcp);

impl Config {
    fn errors(&self) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        let mut error = |at: &str, what: &str| errors.push(ConfigError::new(at, what));
        if self.host.is_empty() || self.host.contains(|c: char| !c.is_ascii_graphic() || "/@?#\\".contains(c)) {
            error("/host", "is no name and no address; write one such as db.example.com, or pod");
        } else if self.host.contains(':') && self.host.trim_matches(['[', ']']).parse::<Ipv6Addr>().is_err() {
            error("/host", "has a colon and is no IPv6 address; write the port in port");
        }
        if self.send.is_some() && self.send_hex.is_some() {
            error("/sendHex", "give either send or sendHex, not both");
        }
        for (at, given) in [("/until", self.until.is_some()), ("/readBytes", self.read_bytes.is_some())] {
            if given && self.expect.is_none() {
                error(at, "nothing is read where expect is missing; add it, or remove this");
            }
        }
        if self.read_bytes.is_some_and(|bytes| !(1..=1 << 16).contains(&bytes)) {
            error("/readBytes", "is no number from 1 to 65536");
        }
        errors.extend(self.payload().err());
        errors
    }

    fn payload(&self) -> Result<Vec<u8>, ConfigError> {
        match (&self.send, &self.send_hex) {
            (Some(text), _) => Ok(text.clone().into_bytes()),
            (None, Some(hex)) => bytes(hex).ok_or_else(|| {
                ConfigError::new("/sendHex", "is no bytes; write each as two digits, as in 0d0a or 0d 0a")
            }),
            (None, None) => Ok(Vec::new()),
        }
    }

    fn exchange(&self) -> Result<Exchange, ConfigError> {
        let exchange = Exchange::new(&self.host, self.port.get()).send(self.payload()?);
        Ok(match self.expect {
            Some(_) => exchange.read(self.read_bytes.unwrap_or(READ)).until(self.until.as_deref().unwrap_or("\n")),
            None => exchange,
        })
    }
}

/// Decides by what an open connection read.
pub fn decide(read: &[u8], config: &Config) -> Verdict {
    let whom = format!("{}:{}", config.host, config.port);
    let Some(expect) = &config.expect else {
        return Verdict::met("Connected").message(format!("{whom} takes connections"));
    };
    let text = String::from_utf8_lossy(read);
    // So that `$` means the end of the line that was read.
    let text = text.trim_end_matches(['\r', '\n']);
    if expect.is_match(text) {
        return Verdict::met("BannerMatches").message(format!("{whom} answers as expected"));
    }
    let said = if read.is_empty() { "nothing".to_owned() } else { quoted(text) };
    let wanted = quoted(&expect.to_string());
    Verdict::unmet("BannerDiffers").message(format!("{whom} answers {said}, which does not match {wanted}"))
}

/// Bytes from pairs of hexadecimal digits, with or without blanks between them.
fn bytes(hex: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = hex.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match *pair {
        [high, low] => Some(digit(high)? * 16 + digit(low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "in a test a panic is the report")]
mod tests {
    use gatehost_sdk::{parse, testing::assert_schema};

    use super::*;

    fn config(text: &str) -> Config {
        parse(text).unwrap()
    }

    #[test]
    fn the_schema_has_the_fields_of_the_config() {
        assert_schema::<Config>(include_str!("schema.json"));
    }

    #[test]
    fn an_open_connection_will_do_where_nothing_is_expected() {
        let expected = Verdict::met("Connected").message("pod:5432 takes connections");
        assert_eq!(decide(b"", &config(r#"{"port": 5432}"#)), expected);
    }

    #[test]
    fn a_banner_matches_without_the_end_of_its_line() {
        let config = config(r#"{"port": 25, "expect": "^220 .*ready$"}"#);
        assert_eq!(decide(b"220 mx ready\r\n", &config).reason, "BannerMatches");
        assert_eq!(decide(b"421 busy\r\n", &config).reason, "BannerDiffers");
        let expected = "pod:25 answers nothing, which does not match \"^220 .*ready$\"";
        assert_eq!(decide(b"", &config).message, expected);
        assert_eq!(decide(b"\xff\xfe", &config).reason, "BannerDiffers");
    }

    #[test]
    fn bytes_are_written_in_pairs_of_digits() {
        assert_eq!(bytes("00000008 04D2162f"), Some(vec![0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f]));
        assert_eq!(bytes(""), Some(vec![]));
        assert_eq!((bytes("0"), bytes("0g"), bytes("+1")), (None, None, None));
    }

    #[test]
    fn what_is_expected_is_read_to_the_end_of_a_line() {
        let shown = |text: &str| format!("{:?}", config(text).exchange().unwrap());
        let line = shown(r#"{"port": 25, "expect": "^220"}"#);
        assert!(line.contains("until: [10]") && line.contains("most-bytes: 4096"), "{line}");
        let byte = shown(r#"{"port": 25, "expect": "^S$", "until": "", "readBytes": 1}"#);
        assert!(byte.contains("until: []") && byte.contains("most-bytes: 1,"), "{byte}");
        assert!(shown(r#"{"port": 25}"#).contains("most-bytes: 0"));
    }

    #[test]
    fn every_mistake_of_a_config_is_named_with_its_place() {
        for (wrong, at) in [
            (r#"{"port": 0}"#, "/port"),
            (r#"{"port": 1, "host": ""}"#, "/host"),
            (r#"{"port": 1, "host": "db:5432"}"#, "/host"),
            (r#"{"port": 1, "host": "http://db"}"#, "/host"),
            (r#"{"port": 1, "send": "a", "sendHex": "00"}"#, "/sendHex"),
            (r#"{"port": 1, "sendHex": "0"}"#, "/sendHex"),
            (r#"{"port": 1, "expect": "("}"#, "/expect"),
            (r#"{"port": 1, "until": "x"}"#, "/until"),
            (r#"{"port": 1, "expect": "x", "readBytes": 0}"#, "/readBytes"),
            (r#"{"port": 1, "expect": "x", "readBytes": 65537}"#, "/readBytes"),
        ] {
            let paths = match parse::<Config>(wrong) {
                Ok(config) => config.errors().into_iter().map(|error| error.path).collect(),
                Err(error) => vec![error.path],
            };
            assert_eq!(paths, [at], "{wrong}");
        }
        for host in ["[fd00::1]", "fd00::1", "db.example.com", "pod"] {
            assert!(config(&format!(r#"{{"port": 1, "host": "{host}"}}"#)).errors().is_empty(), "{host}");
        }
    }
}
