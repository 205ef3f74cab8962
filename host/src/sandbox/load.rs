//! From bytes to a plugin: what kind of file it is, find or compile its code, link, describe; and what is said of a file
//! that is none.

use std::{fmt, sync::Arc};

use sha2::{Digest as _, Sha256};
use wasmtime::component::{Component, types::ComponentItem};

use super::{
    Description, answer,
    artifact::Artifact,
    call::{self, Code},
    engine::Shared,
    limits::{MAX_FILE, SCHEMA},
    wasi,
};

mod error;

pub use error::LoadError;

/// The version of the WIT package `gatehost:check` of this host.
pub(super) const VERSION: &str = "0.1.1";

/// The package's interfaces that plugins may import, with the functions of each.
pub(super) const INTERFACES: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("clock", &["now-ms"]),
    ("log", &["write"]),
    ("reach", &[]),
    ("http", &["send"]),
    ("tcp", &["connect"]),
    ("dns", &["resolve"]),
    ("objects", &["find-one", "find-all"]),
    ("memory", &["kept", "keep"]),
    (
        "pod",
        &[
            "name",
            "namespace-name",
            "uid",
            "generation",
            "created-at-ms",
            "label",
            "labels",
            "annotation",
            "annotation-keys",
            "ip",
            "node",
            "service-account",
            "phase",
            "containers",
            "condition",
            "condition-names",
            "owner",
            "gates",
        ],
    ),
];

/// What the interface `gate` must export.
const EXPORTS: &[&str] = &["describe", "validate", "evaluate"];

/// The SHA-256 of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// All that a [`super::Plugin`] holds.
pub(super) struct Loaded {
    pub(super) shared: Arc<Shared>,
    pub(super) code: Arc<Code>,
    pub(super) description: Description,
    pub(super) digest: Digest,
    pub(super) origin: Origin,
}

/// Where a plugin's compiled code came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was in a cache.
    Cache,
    /// It was compiled, and is in a cache now.
    Stored,
    /// It was compiled, and is in no cache.
    Compiled,
}

/// Whoever knows the digest has looked into the cache with [`find`]. `turn` is dropped before the plugin is asked to describe itself.
pub(super) async fn load(
    shared: &Arc<Shared>,
    bytes: Vec<u8>,
    digest: Option<Digest>,
    turn: impl Send,
) -> Result<Loaded, LoadError> {
    let bytes = Arc::new(bytes);
    let (origin, code, digest) = code(shared, &bytes, digest).await?;
    drop((bytes, turn));
    describe(shared, origin, code, digest).await
}

/// The plugin whose file has this digest, where its code is in a cache.
pub(super) async fn find(shared: &Arc<Shared>, digest: Digest) -> Result<Option<Loaded>, LoadError> {
    let finding = {
        let shared = shared.clone();
        move || cached(&shared, &digest)
    };
    match shared.guests().spawn_blocking(finding).await.map_err(LoadError::Host)?? {
        Some(code) => describe(shared, Origin::Cache, code, digest).await.map(Some),
        None => Ok(None),
    }
}

async fn describe(shared: &Arc<Shared>, origin: Origin, code: Arc<Code>, digest: Digest) -> Result<Loaded, LoadError> {
    tracing::debug!(%digest, ?origin, "a plugin's code");
    let description = call::describe(shared, &code).await?;
    let size = description.config_schema.len();
    if size > SCHEMA {
        return Err(LoadError::SchemaTooLarge { size });
    }
    Ok(Loaded { shared: shared.clone(), code, description: answer::description(&description), digest, origin })
}

/// The code of a component, from the cache where it is there, compiled otherwise.
async fn code(
    shared: &Arc<Shared>,
    bytes: &Arc<Vec<u8>>,
    digest: Option<Digest>,
) -> Result<(Origin, Arc<Code>, Digest), LoadError> {
    let known = {
        let (shared, bytes) = (shared.clone(), bytes.clone());
        move || {
            recognise(&bytes)?;
            if let Some(digest) = digest {
                return Ok((digest, None));
            }
            let digest = Digest::of(&bytes);
            Ok((digest, cached(&shared, &digest)?))
        }
    };
    let known = shared.guests().spawn_blocking(known).await.map_err(LoadError::Host)?;
    let (digest, known) = known?;
    if let Some(code) = known {
        return Ok((Origin::Cache, code, digest));
    }
    let artifact = shared.compiling.compile(shared.guests(), bytes).await?;
    let taken = {
        let shared = shared.clone();
        move || {
            let map = |artifact: &Artifact| artifact.map(&shared.engine);
            let component = map(&artifact).map_err(|error| LoadError::Invalid(error.into_boxed_dyn_error()))?;
            // What is in the cache can be dropped from memory at any time and read again; what is only in memory cannot.
            let stored = shared.cache.store(&digest, &artifact).and_then(|stored| map(&stored).ok());
            let origin = if stored.is_some() { Origin::Stored } else { Origin::Compiled };
            Ok((origin, link(&shared, &stored.unwrap_or(component))?))
        }
    };
    let (origin, code) = shared.guests().spawn_blocking(taken).await.map_err(LoadError::Host)??;
    Ok((origin, code, digest))
}

/// The code of the component with this digest, where it is in a cache. Blocks.
fn cached(shared: &Shared, digest: &Digest) -> Result<Option<Arc<Code>>, LoadError> {
    let mapped = shared.cache.find(digest).and_then(|found| match found.artifact.map(&shared.engine) {
        Ok(component) => Some(component),
        Err(error) => {
            shared.cache.forget(&found, &format!("{error:#}"));
            None
        }
    });
    mapped.map(|component| link(shared, &component)).transpose()
}

/// Checks what a component exports and imports, and links it.
fn link(shared: &Shared, component: &Component) -> Result<Arc<Code>, LoadError> {
    check_exports(component)?;
    check_imports(component)?;
    let code = shared.linker.instantiate_pre(component).and_then(Code::new);
    code.map(Arc::new).map_err(|error| LoadError::Mismatch(error.into_boxed_dyn_error()))
}

/// What the first bytes and the sizes of the sections tell, so that the usual mistakes get a line of their own.
fn recognise(bytes: &[u8]) -> Result<(), LoadError> {
    if bytes.len() as u64 > MAX_FILE {
        return Err(LoadError::TooLarge { size: bytes.len() as u64 });
    }
    let Some(rest) = bytes.strip_prefix(b"\0asm") else { return Err(LoadError::NotWasm) };
    let mut rest = match rest {
        [1, 0, 0, 0, ..] => return Err(LoadError::CoreModule),
        [0x0d, 0, 1, 0, rest @ ..] => rest,
        [_, _, _, _, ..] => return Err(LoadError::NotWasm),
        _ => return Err(LoadError::Truncated),
    };
    while let [_, section @ ..] = rest {
        let (size, section) = leb128(section).ok_or(LoadError::Truncated)?;
        rest = section.get(size..).ok_or(LoadError::Truncated)?;
    }
    Ok(())
}

/// An unsigned 32-bit number in LEB128, and what follows it.
fn leb128(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0usize;
    for (i, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[i + 1..]));
        }
    }
    None
}

fn check_exports(component: &Component) -> Result<(), LoadError> {
    let engine = component.engine();
    let ty = component.component_type();
    let gate = ty.exports(engine).find_map(|(name, item)| {
        let (path, version) = split(name);
        (path == "gatehost:check/gate").then_some((version, item.ty))
    });
    let Some((version, ComponentItem::ComponentInstance(gate))) = gate else {
        return Err(LoadError::MissingExport { export: format!("gatehost:check/gate@{VERSION}") });
    };
    check_version(version)?;
    match EXPORTS.iter().find(|f| gate.get_export(engine, f).is_none()) {
        Some(function) => Err(LoadError::MissingExport { export: format!("gate.{function}") }),
        None => Ok(()),
    }
}

fn check_imports(component: &Component) -> Result<(), LoadError> {
    let engine = component.engine();
    for (name, item) in component.component_type().imports(engine) {
        let (path, version) = split(name);
        let Some(interface) = path.strip_prefix("gatehost:check/") else {
            let known = wasi::TABLE.iter().any(|(known, _)| *known == path)
                && version.strip_prefix(wasi::VERSION).is_some_and(|patch| patch.starts_with('.'));
            if known {
                continue;
            }
            return Err(LoadError::UnknownImport { import: name.to_owned() });
        };
        check_version(version)?;
        let newer = |missing: String| LoadError::Newer { built_for: version.to_owned(), missing };
        let Some((_, functions)) = INTERFACES.iter().find(|(known, _)| *known == interface) else {
            return Err(newer(format!("the import {interface}")));
        };
        let ComponentItem::ComponentInstance(instance) = item.ty else { continue };
        for (export, item) in instance.exports(engine) {
            let function = export.rsplit(['.', ']']).next().unwrap_or(export);
            if matches!(item.ty, ComponentItem::ComponentFunc(_)) && !functions.contains(&function) {
                return Err(newer(format!("{interface}.{function}")));
            }
        }
    }
    Ok(())
}

/// `namespace:package/interface` and the version after it.
fn split(name: &str) -> (&str, &str) {
    name.split_once('@').unwrap_or((name, ""))
}

/// Before 1.0 the minor version tells what is compatible.
fn check_version(version: &str) -> Result<(), LoadError> {
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    if minor(version) == minor(VERSION) {
        Ok(())
    } else {
        Err(LoadError::OtherVersion { built_for: version.to_owned() })
    }
}

impl Digest {
    /// The digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the functions in a WIT file.
    fn functions(wit: &str) -> Vec<&str> {
        wit.lines().filter_map(|line| line.trim().split_once(": func(")).map(|(name, _)| name).collect()
    }

    #[test]
    fn the_interfaces_are_those_of_the_contract() {
        for (name, wit) in [
            ("types", include_str!("../../../wit/types.wit")),
            ("clock", include_str!("../../../wit/clock.wit")),
            ("log", include_str!("../../../wit/log.wit")),
            ("reach", include_str!("../../../wit/reach.wit")),
            ("http", include_str!("../../../wit/http.wit")),
            ("tcp", include_str!("../../../wit/tcp.wit")),
            ("dns", include_str!("../../../wit/dns.wit")),
            ("objects", include_str!("../../../wit/objects.wit")),
            ("memory", include_str!("../../../wit/memory.wit")),
            ("pod", include_str!("../../../wit/pod.wit")),
        ] {
            let (_, known) = INTERFACES.iter().find(|(known, _)| *known == name).unwrap();
            assert_eq!(functions(wit), *known, "{name}");
        }
        assert_eq!(functions(include_str!("../../../wit/gate.wit")), EXPORTS);
        let world = include_str!("../../../wit/world.wit");
        assert!(world.contains(&format!("package gatehost:check@{VERSION};")));
        let imports: Vec<_> = world.lines().filter_map(|line| line.trim().strip_prefix("import ")).collect();
        assert_eq!(imports.len(), INTERFACES.len(), "{imports:?}");
    }

    #[test]
    fn a_number_in_leb128_ends_within_five_bytes() {
        assert_eq!(leb128(&[0x7f, 9]), Some((0x7f, &[9][..])));
        assert_eq!(leb128(&[0xe5, 0x8e, 0x26]), Some((624_485, &[][..])));
        assert_eq!(leb128(&[0x80]), None);
        assert_eq!(leb128(&[0x80; 6]), None);
    }
}
