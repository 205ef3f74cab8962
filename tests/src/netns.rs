//! A thread in a network and a mount namespace of its own: any address is its own machine's, any resolver its own, and
//! nothing of it is seen or reached outside.

use std::{fs, net::IpAddr, path::Path, process::Command, thread};

use rustix::thread::{UnshareFlags, unshare_unsafe};

/// What there is in the namespace.
#[derive(Debug, Default)]
pub struct Machine<'a> {
    /// Addresses of its loopback interface besides 127.0.0.0/8 and `::1`.
    pub addresses: &'a [IpAddr],
    /// Its /etc/resolv.conf.
    pub resolv_conf: &'a str,
    /// Its /etc/hosts.
    pub hosts: &'a str,
}

/// Runs `work` on a runtime of one thread there. Threads and processes that it starts are there, too. Needs root.
///
/// # Panics
/// There can be no such namespace, or `work` panics.
#[expect(unsafe_code, reason = "a thread leaves its namespaces")]
pub fn run<T: Send>(machine: &Machine<'_>, work: impl AsyncFnOnce(&Path) -> T + Send) -> T {
    let directory = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            // SAFETY: neither flag touches the memory or the files that this thread shares with others.
            unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }.expect("namespaces need root");
            system("mount", &["--make-rprivate", "/"]);
            for (name, content) in [("resolv.conf", machine.resolv_conf), ("hosts", machine.hosts)] {
                let file = directory.path().join(name);
                fs::write(&file, content).unwrap();
                system("mount", &["--bind", file.to_str().unwrap(), &format!("/etc/{name}")]);
            }
            system("ip", &["link", "set", "lo", "up"]);
            for address in machine.addresses {
                let length = if address.is_ipv4() { 32 } else { 128 };
                system("ip", &["address", "add", &format!("{address}/{length}"), "dev", "lo", "nodad"]);
            }
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(work(directory.path()))
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn system(command: &str, args: &[&str]) {
    let path = "/usr/sbin:/usr/bin:/sbin:/bin";
    let done = Command::new(command).args(args).env("PATH", path).output().unwrap();
    assert!(done.status.success(), "{command} {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}
