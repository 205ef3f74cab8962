//! Tells everything that it can reach, but for the pod.

use std::{
    collections::hash_map::RandomState,
    env, fs,
    hash::BuildHasher,
    io::Read,
    net::{TcpListener, TcpStream, UdpSocket},
    time::{Instant, SystemTime},
};

use guests::{Fault, Plugin, Pod, Verdict, clock, met};

struct Dump;

fn outcome<T, E>(result: &Result<T, E>) -> &'static str {
    if result.is_ok() { "reached" } else { "denied" }
}

impl Plugin for Dump {
    fn evaluate(_: &Pod, _: &str) -> Result<Verdict, Fault> {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut stdin = Vec::new();
        let read = std::io::stdin().read_to_end(&mut stdin).unwrap_or_default();
        let start = Instant::now();
        met(format!(
            "env={} args={} stdin={read} root={} cwd={} file={} write={} tcp={} listen={} udp={} dns={} \
             wall={} now={} later={} random={}",
            env::vars().count(),
            env::args().count(),
            outcome(&fs::read_dir("/")),
            outcome(&fs::read_dir(".")),
            outcome(&fs::read("/etc/passwd")),
            outcome(&fs::write("/tmp/x", "x")),
            outcome(&TcpStream::connect(("127.0.0.1", 22))),
            outcome(&TcpListener::bind(("127.0.0.1", 0))),
            outcome(&UdpSocket::bind(("127.0.0.1", 0))),
            outcome(&std::net::ToSocketAddrs::to_socket_addrs("localhost:80")),
            wall.as_millis(),
            clock::now_ms(),
            start.elapsed().as_secs(),
            RandomState::new().hash_one(0),
        ))
    }
}

guests::plugin!(Dump);
