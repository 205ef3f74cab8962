//! Reads objects as its config says and tells what it saw: `reads` are the arguments of `find_one` and `find_all`, `want`
//! a pointer into all that was read and the value that makes it met, `seek` a word that is looked for in everything that
//! can be reached.

use std::{env, fs};

use gatehost_sdk::{
    Check, Description, Failure, Fault, Pod, Verdict, objects,
    serde::Deserialize,
    serde_json::{Value, json},
};

/// What is read, and what is made of it.
#[derive(Deserialize)]
#[serde(crate = "gatehost_sdk::serde", deny_unknown_fields)]
pub struct Config {
    #[serde(default)]
    reads: Vec<Read>,
    want: Option<(String, Value)>,
    seek: Option<String>,
}

#[derive(Deserialize)]
#[serde(crate = "gatehost_sdk::serde", rename_all = "lowercase")]
enum Read {
    One(String, String, String, String),
    All(String, String, String, String),
}

struct Objects;

impl Read {
    fn find(&self) -> Result<Value, Failure> {
        match self {
            Self::One(version, kind, namespace, name) => {
                Ok(objects::find_one(version, kind, namespace, name)?.unwrap_or_default())
            }
            Self::All(version, kind, namespace, selector) => {
                Ok(objects::find_all(version, kind, namespace, selector)?.into())
            }
        }
    }
}

impl Check for Objects {
    type Config = Config;

    fn describe() -> Description {
        Description::new("objects", "0.1.0", "Tells what it reads.")
    }

    fn evaluate(pod: &Pod, config: Config) -> Result<Verdict, Fault> {
        if let Some(word) = &config.seek {
            return Ok(seek(pod, &config.reads, word));
        }
        let seen = config.reads.iter().map(Read::find).collect::<Result<Vec<_>, _>>()?;
        let seen = Value::from(seen);
        let message: String = seen.to_string().chars().take(900).collect();
        Ok(match config.want {
            Some((pointer, wanted)) if seen.pointer(&pointer) != Some(&wanted) => {
                Verdict::unmet("Other").message(message)
            }
            _ => Verdict::met("Seen").message(message),
        })
    }
}

/// What of all that can be reached holds the word, and how much there was.
fn seek(pod: &Pod, reads: &[Read], word: &str) -> Verdict {
    let mut all: Vec<String> = env::vars().map(|(name, value)| format!("{name}={value}")).chain(env::args()).collect();
    for file in ["/proc/self/environ", "/var/run/secrets/kubernetes.io/serviceaccount/token", "/etc/passwd", "."] {
        all.extend(fs::read_to_string(file));
    }
    all.push(format!("{:?} {:?} {:?}", pod.labels(), pod.containers(), pod.condition("Ready")));
    let own = pod.annotation_keys().iter().filter_map(|key| pod.annotation(key)).collect::<Vec<_>>().join(" ");
    let found: Vec<_> =
        reads.iter().map(|read| read.find().unwrap_or_else(|e| json!(e.to_string())).to_string()).collect();
    all.extend(found);
    let holds = all.iter().filter(|text| text.contains(word)).count() + usize::from(own.contains(word));
    let size: usize = all.iter().map(String::len).sum();
    let message = format!(
        "{holds} of {} hold it, {} bytes: {}",
        all.len(),
        size,
        all.join(" ").chars().take(700).collect::<String>()
    );
    if holds == 0 { Verdict::met("Unseen").message(message) } else { Verdict::unmet("Seen").message(message) }
}

gatehost_sdk::export!(Objects);
