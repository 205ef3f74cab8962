//! `spec.limits`: how much one call of a check's plugin may use. The same names stand in the host's `--max-limits`.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    fields::{Complaints, Object},
    node::{Node, Value},
};

/// Something that is counted in each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Limit {
    /// All linear memories of a call together, in bytes.
    Memory,
    /// All tables of a call together, in elements.
    TableElements,
    /// Handles that the plugin holds at once.
    Handles,
    /// What the plugin hands over in one call of a host function, or in its answer, in bytes.
    HostCall,
    /// What is kept of standard output, standard error and log lines of one call, in bytes.
    Log,
    /// What all calls of a check may write to the host's log in the long run, in bytes a second.
    LogPerSecond,
}

/// Some of the limits: those that a document or a flag gives.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(BTreeMap<Limit, u32>);

impl Limit {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Memory, Self::TableElements, Self::Handles, Self::HostCall, Self::Log, Self::LogPerSecond];

    /// Its field, below `spec.limits`.
    pub fn field(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::TableElements => "tableElements",
            Self::Handles => "handles",
            Self::HostCall => "hostCall",
            Self::Log => "log",
            Self::LogPerSecond => "logPerSecond",
        }
    }

    /// What a call has where nobody says more or less.
    pub const fn usual(self) -> u32 {
        match self {
            Self::Memory => 64 << 20,
            Self::TableElements => 100_000,
            Self::Handles => 1000,
            // The most that an import sends for a plugin, and room for what stands around that.
            Self::HostCall => (1 << 20) + (128 << 10),
            Self::Log | Self::LogPerSecond => 8 << 10,
        }
    }

    /// What it may be set to. The most is what costs the host no more than memory.
    pub fn bounds(self) -> RangeInclusive<u32> {
        match self {
            Self::Memory => 64 << 10..=2 << 30,
            Self::TableElements => 1..=10_000_000,
            Self::Handles => 10..=100_000,
            Self::HostCall => 4 << 10..=64 << 20,
            Self::Log => 1 << 10..=1 << 20,
            Self::LogPerSecond => 1 << 10..=16 << 20,
        }
    }

    fn counts_bytes(self) -> bool {
        !matches!(self, Self::TableElements | Self::Handles)
    }

    /// A value as documents write it: `64Mi`, `1000`.
    pub fn written(self, value: u32) -> String {
        match value {
            0 => "0".to_owned(),
            n if self.counts_bytes() && n.is_multiple_of(1 << 30) => format!("{}Gi", n >> 30),
            n if self.counts_bytes() && n.is_multiple_of(1 << 20) => format!("{}Mi", n >> 20),
            n if self.counts_bytes() && n.is_multiple_of(1 << 10) => format!("{}Ki", n >> 10),
            n => n.to_string(),
        }
    }

    /// A value that was written so, if it is within bounds.
    ///
    /// # Errors
    /// What is expected, to complete "expected ...".
    pub fn read(self, text: &str) -> Result<u32, String> {
        let value = if self.counts_bytes() { quantity(text) } else { text.parse().ok() };
        let value = value.and_then(|value| u32::try_from(value).ok()).filter(|value| self.bounds().contains(value));
        value.ok_or_else(|| {
            let what = if self.counts_bytes() { "a quantity of bytes such as 32Mi" } else { "a whole number" };
            let (least, most) = (self.written(*self.bounds().start()), self.written(*self.bounds().end()));
            format!("{what}, {least} to {most}")
        })
    }
}

impl Limits {
    /// What was given for this limit.
    pub fn get(&self, limit: Limit) -> Option<u32> {
        self.0.get(&limit).copied()
    }

    /// Reads `memory=256Mi`, as flags are written.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn read_pair(pair: &str) -> Result<(Limit, u32), String> {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let known = || Limit::ALL.map(Limit::field).join(", ");
        let limit = Limit::ALL.into_iter().find(|limit| limit.field() == name.trim());
        let limit = limit.ok_or_else(|| format!("no limit has the name {:?}; known here: {}", name.trim(), known()))?;
        let value = limit.read(value.trim()).map_err(|expected| format!("{}: expected {expected}", limit.field()))?;
        Ok((limit, value))
    }
}

impl FromIterator<(Limit, u32)> for Limits {
    fn from_iter<I: IntoIterator<Item = (Limit, u32)>>(pairs: I) -> Self {
        Self(pairs.into_iter().collect())
    }
}

/// Reads `spec.limits`; nothing where something in it is wrong, which has been told then.
pub(super) fn read_limits(spec: &Object, to: &mut Complaints) -> Option<Limits> {
    let Some(node) = spec.get("limits") else { return Some(Limits::default()) };
    let object = spec.within("limits", node, "spec.limits.", to)?;
    let before = to.errors.len();
    object.only(&Limit::ALL.map(Limit::field), to);
    let mut limits = Limits::default();
    for limit in Limit::ALL {
        let Some(node) = object.get(limit.field()) else { continue };
        if let Some(value) = read_value(&object, limit.field(), node, limit, to) {
            limits.0.insert(limit, value);
        }
    }
    (to.errors.len() == before).then_some(limits)
}

/// A quantity as Kubernetes writes them, in whole numbers: `1048576`, `1024Ki`, `1Mi`, `1M`.
fn quantity(text: &str) -> Option<u64> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let unit = match &text[digits..] {
        "" => 1,
        "k" => 1000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        _ => return None,
    };
    text[..digits].parse::<u64>().ok()?.checked_mul(unit)
}

/// Reads a field that holds what a limit may be set to; nothing where it is wrong, which has been told then.
pub(super) fn read_value(object: &Object, name: &str, node: &Node, limit: Limit, to: &mut Complaints) -> Option<u32> {
    let text = match &node.value {
        Value::Text(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    limit.read(&text).map_err(|expected| object.mismatch(name, node, &expected, to)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_writes_them() {
        for (text, bytes) in [("65536", 65_536), ("64Ki", 65_536), ("1M", 1_000_000), ("2Gi", 2 << 30), ("0k", 0)] {
            assert_eq!(quantity(text), Some(bytes), "{text}");
        }
        for text in ["", "Mi", "1.5Mi", "-1", "1 Mi", "1mi", "99999999999999999999", "99999999999Gi"] {
            assert_eq!(quantity(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_as_it_was() {
        for limit in Limit::ALL {
            let (bounds, usual) = (limit.bounds(), limit.usual());
            assert!(bounds.contains(&usual), "{limit:?}");
            for value in [usual, *bounds.start(), *bounds.end(), usual + 1] {
                assert_eq!(limit.read(&limit.written(value)), Ok(value), "{limit:?}");
            }
            assert!(limit.read(&(u64::from(*bounds.end()) + 1).to_string()).is_err(), "{limit:?}");
        }
    }

    #[test]
    fn a_pair_of_a_flag_is_a_limit_and_a_value() {
        assert_eq!(Limits::read_pair("memory=256Mi"), Ok((Limit::Memory, 256 << 20)));
        assert_eq!(Limits::read_pair("handles=10"), Ok((Limit::Handles, 10)));
        for wrong in ["memory", "memory=", "memory=1Ki", "handles=1Ki", "stack=1Mi", ""] {
            assert!(Limits::read_pair(wrong).is_err(), "{wrong}");
        }
    }
}
