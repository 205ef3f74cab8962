//! How the C library's allocator keeps memory: for a process that reads pages of pods and keeps little of each.

/// Above this many bytes an allocation is mapped, and given back when it is freed; and so is what is free at the end
/// of the heap. glibc raises both as it goes, up to 32 MiB, unless they are set.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const KEEP: libc::c_int = 128 << 10;

/// Makes the allocator give back what a list of pods leaves. To be called before there are threads.
///
/// By default glibc gives threads heaps of their own, up to eight times as many as there are cores, and each keeps the
/// pages and the pods that once passed through it: several MiB more than all that is held of a thousand pods.
#[cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "the C library's allocator has no settings that Rust knows of")
)]
pub(super) fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, KEEP), (libc::M_TRIM_THRESHOLD, KEEP)] {
        // SAFETY: it takes two numbers and changes the allocator's own settings. A setting that is refused stays as it
        // was: more memory is kept, nothing else.
        let _ = unsafe { libc::mallopt(setting, value) };
    }
}
