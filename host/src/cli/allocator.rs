//! How the C library's allocator keeps memory: for a process that reads pages of pods and keeps little of each.

#[cfg(all(target_os = "linux", target_env = "gnu"))]
use crate::sandbox::workers;

/// Above this many bytes an allocation is mapped, and given back when it is freed; and so is what is free at the end
/// of the heap. glibc raises both as it goes, up to 32 MiB, unless they are set.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEEP: libc::c_int = 128 << 10;

/// Makes the allocator give back what a list of pods leaves. To be called before there are threads.
///
/// By default glibc gives threads heaps of their own, up to eight times as many as there are cores, and each keeps the
/// pages and the pods that once passed through it. With a single heap, guests on two cores wait for each other's turn at
/// it most of the time. So there is one for each of the guests' threads, and one more.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the C library's allocator has no settings that Rust knows of")
)]
pub(super) fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    let heaps = workers().saturating_add(1).try_into().unwrap_or(libc::c_int::MAX);
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in [(libc::M_ARENA_MAX, heaps), (libc::M_MMAP_THRESHOLD, KEEP), (libc::M_TRIM_THRESHOLD, KEEP)]
    {
        // SAFETY: it takes two numbers and changes the allocator's own settings. A setting that is refused stays as it
        // was: more memory is kept, nothing else.
        let _ = unsafe { libc::mallopt(setting, value) };
    }
}
