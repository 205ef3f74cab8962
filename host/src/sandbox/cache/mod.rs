//! Artifacts that outlive the process: directories in which they are looked for, and one that they are written to.
//!
//! ```text
//! --cache DIR ──► DIR/gatehost    this user's, nobody else can write to it: read and written
//!                                 root's, nobody else can write to it: read
//!                                 anything else: not touched, and one line says so
//! ```
//!
//! A file is called after the component's digest and all that code depends on: this program's version, the engine's and
//! its settings, and the instructions of the processor. Nothing that the cache cannot do keeps a plugin from being
//! loaded: it is compiled then.

use std::{
    fmt::Write as _,
    path::PathBuf,
    sync::atomic::{AtomicBool, Ordering},
};

use anyhow::{anyhow, bail};

use self::layer::{Layer, Look};
use super::{artifact::Artifact, engine::Cpu, load::Digest};

mod entry;
mod layer;
#[cfg(test)]
mod tests;

/// The caches that a sandbox is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caches {
    /// Directories; each may be anybody's, and the one for artifacts is made inside. Files are looked for in this order.
    pub directories: Vec<PathBuf>,
    /// How many bytes the one that is written to may hold.
    pub size: u64,
    /// The cache is what the sandbox is for: others may read what is written, and one that cannot be written to is an
    /// error.
    pub fill: bool,
}

impl Caches {
    /// How large a cache becomes unless something else is said, in bytes.
    pub const SIZE: u64 = 1 << 30;
}

impl Default for Caches {
    fn default() -> Self {
        Self { directories: Vec::new(), size: Self::SIZE, fill: false }
    }
}

pub(super) struct Cache {
    layers: Vec<Layer>,
    size: u64,
    /// What files that may be used end with, the best first; the first is what is compiled.
    kinds: Vec<String>,
    /// Whether it was told that nothing can be written.
    told: AtomicBool,
}

/// A file that was found.
pub(super) struct Found {
    pub(super) artifact: Artifact,
    layer: usize,
    name: String,
}

impl Cache {
    /// `configuration` is all that code for such a processor depends on.
    pub(super) fn open(
        caches: &Caches,
        cpu: Cpu,
        configuration: impl Fn(Cpu) -> anyhow::Result<[u8; 32]>,
    ) -> anyhow::Result<Self> {
        let Caches { directories, size, fill } = caches;
        let mut layers = Vec::new();
        for directory in directories {
            match Layer::open(directory, *fill) {
                Ok(layer) => layers.push(layer),
                Err(what) if *fill => return Err(anyhow!(what)),
                Err(what) => tracing::warn!("no cache of compiled plugins: {what}"),
            }
        }
        if *fill && let Some(layer) = layers.iter().find(|layer| !layer.is_own()) {
            bail!("{layer}: belongs to root, and this user cannot write to it");
        }
        let kinds = match cpu {
            _ if layers.is_empty() => &[][..],
            // Code for any machine runs on this one, too, more slowly. Who fills a cache wants what was asked for.
            Cpu::Native if !*fill => &[Cpu::Native, Cpu::Baseline],
            Cpu::Native => &[Cpu::Native],
            Cpu::Baseline => &[Cpu::Baseline],
        };
        let kinds = kinds.iter().map(|cpu| configuration(*cpu).map(|digest| hex(&digest[..16])));
        Ok(Self { layers, size: *size, kinds: kinds.collect::<Result<_, _>>()?, told: AtomicBool::new(false) })
    }

    /// The artifact of a component, verified.
    pub(super) fn find(&self, component: &Digest) -> Option<Found> {
        for kind in &self.kinds {
            let name = name(component, kind);
            for (at, layer) in self.layers.iter().enumerate() {
                match layer.find(&name, component) {
                    Look::None => {}
                    Look::Found(artifact) => return Some(Found { artifact, layer: at, name }),
                    Look::Bad(what) => discard(layer, &name, &what),
                }
            }
        }
        None
    }

    /// What was found is not what its name says.
    pub(super) fn forget(&self, found: &Found, what: &str) {
        discard(&self.layers[found.layer], &found.name, what);
    }

    /// Writes an artifact, where one of the directories is this user's; the file.
    pub(super) fn store(&self, component: &Digest, artifact: &Artifact) -> Option<Artifact> {
        let layer = self.layers.iter().find(|layer| layer.is_own())?;
        let name = name(component, self.kinds.first()?);
        let length = artifact.file().metadata().map_or(u64::MAX, |metadata| metadata.len());
        if length > self.size {
            self.tell(
                layer,
                &format!("an artifact has {} MiB and the cache at most {}", length >> 20, self.size >> 20),
            );
            return None;
        }
        let stored = layer.store(&name, component, artifact);
        // What makes room for the next one.
        let shrunk = layer.shrink(self.size, &name);
        let stored = stored.and_then(|stored| shrunk.map(|()| stored));
        stored.map_err(|error| self.tell(layer, &format!("cannot be written to: {error}"))).ok()
    }

    /// Once: it is the same for all plugins.
    fn tell(&self, layer: &Layer, what: &str) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!("{layer}: {what}; plugins are compiled, and not kept for the next start");
        }
    }
}

fn discard(layer: &Layer, name: &str, what: &str) {
    tracing::warn!("{layer}/{name}: not used: {what}; the plugin is compiled again");
    if layer.is_own() {
        layer.remove(name);
    }
}

fn name(component: &Digest, kind: &str) -> String {
    format!("{}-{kind}.cwasm", hex(component.bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
