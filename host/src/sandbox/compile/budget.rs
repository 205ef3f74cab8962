//! How much memory the compiler may have beside the host in one container, where running out would end both.

use std::{fmt, fs, path::Path};

/// Where the limits of containers are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What the host itself gets of a container's memory, in bytes, and at least a quarter of it.
const HOST: u64 = 256 << 20;

/// What the compiler may have, and why no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Its address space, in bytes.
    pub(super) memory: u64,
    /// The container's limit, where it is that what holds it below what was asked for.
    pub(super) container: Option<u64>,
}

impl Budget {
    /// As much as was asked for, and at most what the container's memory leaves beside the host's share.
    pub(super) fn new(asked: u64, container: Option<u64>) -> Self {
        let left = container.map(|limit| limit.saturating_sub(share(limit)));
        match left {
            Some(left) if left < asked => Self { memory: left, container },
            _ => Self { memory: asked, container: None },
        }
    }

    /// Whether it is the container that sets it.
    pub(in crate::sandbox) fn is_of_container(&self) -> bool {
        self.container.is_some()
    }

    /// The same for this process's container as it is now: a limit can be changed while it runs.
    pub(super) fn here(asked: u64) -> Self {
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self::new(asked, memory_max(Path::new(CGROUPS), &own))
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes >> 20;
        write!(f, "{} MiB of memory, ", mib(self.memory))?;
        match self.container {
            Some(limit) => {
                let (share, limit) = (mib(share(limit)), mib(limit));
                write!(f, "which is what the container's limit of {limit} MiB leaves beside the host's {share} MiB; ")?;
                write!(f, "raise that limit")
            }
            None => write!(f, "which is all that the compiler gets; raise --compile-memory"),
        }
    }
}

/// The host's part of a container's memory.
fn share(limit: u64) -> u64 {
    HOST.max(limit / 4)
}

/// The lowest `memory.max` of the cgroup that /proc/self/cgroup names and of those around it. Nothing where there is no
/// limit, or no cgroup of version 2.
fn memory_max(root: &Path, own: &str) -> Option<u64> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mut group = root.join(path);
    let mut lowest: Option<u64> = None;
    loop {
        let here = fs::read_to_string(group.join("memory.max")).ok();
        let here = here.and_then(|text| text.trim().parse().ok());
        lowest = [lowest, here].into_iter().flatten().min();
        if group == root || !group.pop() || !group.starts_with(root) {
            return lowest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_on_the_way_up_counts() {
        let root = tempfile::tempdir().unwrap();
        let limit = |group: &str, text: &str| {
            fs::create_dir_all(root.path().join(group)).unwrap();
            fs::write(root.path().join(group).join("memory.max"), text).unwrap();
        };
        let seen = |own: &str| memory_max(root.path(), own);
        assert_eq!(seen("0::/\n"), None);
        limit("a/b", "max\n");
        assert_eq!(seen("9:memory:/x\n0::/a/b\n"), None);
        limit("a", "536870912\n");
        assert_eq!(seen("0::/a/b\n"), Some(536_870_912));
        limit("a/b", "1073741824\n");
        assert_eq!(seen("0::/a/b\n"), Some(536_870_912));
        limit("a/b", "268435456\n");
        assert_eq!(seen("0::/a/b\n"), Some(268_435_456));
        assert_eq!(seen("4:memory:/a\n"), None);
    }

    #[test]
    fn a_container_is_shared_with_the_host() {
        let free = Budget::new(512 << 20, None);
        assert_eq!(free, Budget::new(512 << 20, Some(768 << 20)));
        assert!(free.to_string().ends_with("raise --compile-memory"), "{free}");
        let tight = Budget::new(512 << 20, Some(640 << 20));
        let line = "384 MiB of memory, which is what the container's limit of 640 MiB leaves beside the host's 256 MiB; \
                    raise that limit";
        assert_eq!(tight.to_string(), line);
        assert_eq!(Budget::new(1 << 40, Some(4 << 30)).memory, 3 << 30);
        assert_eq!(Budget::new(1 << 30, Some(128 << 20)).memory, 0);
    }
}
