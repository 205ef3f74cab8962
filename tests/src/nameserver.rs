//! A DNS server that answers what the test says.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::UdpSocket, task::JoinSet};

/// What it answers to one question.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses, of the kind that was asked for.
    Addresses(Vec<IpAddr>),
    /// The name does not exist.
    NoSuchName,
    /// It cannot tell.
    Failure,
    /// Nothing.
    Silence,
}

#[derive(Debug, Default)]
struct Zone {
    names: HashMap<String, Answer>,
    asked: Vec<String>,
}

/// It ends when it is dropped.
#[derive(Debug)]
pub struct Nameserver {
    zone: Arc<Mutex<Zone>>,
    _task: JoinSet<()>,
}

impl Nameserver {
    /// Listens on this address.
    ///
    /// # Panics
    /// It is taken.
    pub async fn start(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).await.unwrap();
        let zone = Arc::new(Mutex::new(Zone::default()));
        let mut task = JoinSet::new();
        task.spawn({
            let zone = zone.clone();
            async move {
                let mut packet = [0; 1500];
                loop {
                    let Ok((size, from)) = socket.recv_from(&mut packet).await else { continue };
                    let answer = lock(&zone).answer(&packet[..size]);
                    if let Some(answer) = answer {
                        let _ = socket.send_to(&answer, from).await;
                    }
                }
            }
        });
        Self { zone, _task: task }
    }

    /// From now on, a name (in lower case, without a dot at its end) is this.
    pub fn set(&self, name: &str, answer: Answer) {
        lock(&self.zone).names.insert(name.to_owned(), answer);
    }

    /// Addresses in words.
    ///
    /// # Panics
    /// One is none.
    pub fn set_addresses(&self, name: &str, addresses: &[&str]) {
        self.set(name, Answer::Addresses(addresses.iter().map(|address| address.parse().unwrap()).collect()));
    }

    /// The names that were asked for, in order: A before AAAA or the other way round, each.
    pub fn asked(&self) -> Vec<String> {
        lock(&self.zone).asked.clone()
    }
}

fn lock(zone: &Mutex<Zone>) -> std::sync::MutexGuard<'_, Zone> {
    zone.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Zone {
    fn answer(&mut self, packet: &[u8]) -> Option<Vec<u8>> {
        let (name, end) = name(packet)?;
        let kind = u16::from_be_bytes(packet.get(end..end + 2)?.try_into().ok()?);
        self.asked.push(name.clone());
        let known = self.names.get(&name).cloned().unwrap_or(Answer::NoSuchName);
        let (code, addresses) = match known {
            Answer::Addresses(addresses) => (0, addresses),
            Answer::NoSuchName => (3, Vec::new()),
            Answer::Failure => (2, Vec::new()),
            Answer::Silence => return None,
        };
        let fits = |address: &&IpAddr| kind == if address.is_ipv4() { 1 } else { 28 };
        let fitting: Vec<_> = addresses.iter().filter(fits).collect();
        let mut answer = packet[..2].to_vec();
        // An answer, authoritative, that could recur; one question.
        answer.extend([0x85, 0x80 | code, 0, 1, 0, u8::try_from(fitting.len()).unwrap(), 0, 0, 0, 0]);
        answer.extend(&packet[12..end + 4]);
        for address in fitting {
            // The name of the question, kind, class, a lifetime of a minute, length, address.
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1, 0, 0, 0, 60, 0]);
            match address {
                IpAddr::V4(address) => answer.extend([&[4][..], &address.octets()].concat()),
                IpAddr::V6(address) => answer.extend([&[16][..], &address.octets()].concat()),
            }
        }
        Some(answer)
    }
}

/// The name of the question, and where it ends.
fn name(packet: &[u8]) -> Option<(String, usize)> {
    let (mut labels, mut at) = (Vec::new(), 12);
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return Some((labels.join("."), at));
        }
        labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_lowercase());
        at += length;
    }
}
