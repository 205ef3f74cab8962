//! The part of WASI 0.2 that plugins get: what the standard libraries of languages import whether they use it or
//! not. Nothing in it reaches outside the call.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use wasmtime::{
    Result,
    component::{HasData, Linker, ResourceTable},
};
use wasmtime_wasi::{
    HostWallClock, WasiCtx, WasiCtxView, WasiView,
    cli::{WasiCli, WasiCliView as _},
    clocks::{WasiClocks, WasiClocksView as _},
    filesystem::{WasiFilesystem, WasiFilesystemView as _},
    p2::bindings::{cli, clocks, filesystem, random, sockets},
    random::WasiRandom,
    sockets::{WasiSockets, WasiSocketsView as _},
};
use wasmtime_wasi_io::bindings::wasi::io;

use super::{limits::RANDOM_BYTES, output::Output, state::State};

/// Adds one interface to a linker.
type Add = fn(&mut Linker<State>) -> Result<()>;

/// The WASI minor version that is linked. A component built for an older or newer 0.2.x links as well, as long as
/// all that it imports exists here.
pub(super) const VERSION: &str = "0.2";

/// All of WASI that is linked, one interface a line.
pub(super) const TABLE: &[(&str, Add)] = &[
    ("wasi:cli/environment", |l| cli::environment::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/exit", |l| cli::exit::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/stdin", |l| cli::stdin::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/stdout", |l| cli::stdout::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/stderr", |l| cli::stderr::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/terminal-input", |l| cli::terminal_input::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/terminal-output", |l| cli::terminal_output::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/terminal-stdin", |l| cli::terminal_stdin::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/terminal-stdout", |l| cli::terminal_stdout::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:cli/terminal-stderr", |l| cli::terminal_stderr::add_to_linker::<State, WasiCli>(l, State::cli)),
    ("wasi:clocks/wall-clock", |l| clocks::wall_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)),
    ("wasi:clocks/monotonic-clock", |l| clocks::monotonic_clock::add_to_linker::<State, WasiClocks>(l, State::clocks)),
    ("wasi:random/random", |l| random::random::add_to_linker::<State, WasiRandom>(l, |s| s.wasi.get().random())),
    ("wasi:random/insecure", |l| random::insecure::add_to_linker::<State, WasiRandom>(l, |s| s.wasi.get().random())),
    ("wasi:random/insecure-seed", |l| {
        random::insecure_seed::add_to_linker::<State, WasiRandom>(l, |s| s.wasi.get().random())
    }),
    ("wasi:io/error", |l| io::error::add_to_linker::<State, Io>(l, |s| &mut s.table)),
    ("wasi:io/poll", |l| io::poll::add_to_linker::<State, Io>(l, |s| &mut s.table)),
    ("wasi:io/streams", |l| io::streams::add_to_linker::<State, Io>(l, |s| &mut s.table)),
    ("wasi:filesystem/types", |l| filesystem::types::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)),
    ("wasi:filesystem/preopens", |l| {
        filesystem::preopens::add_to_linker::<State, WasiFilesystem>(l, State::filesystem)
    }),
    ("wasi:sockets/instance-network", |l| {
        sockets::instance_network::add_to_linker::<State, WasiSockets>(l, State::sockets)
    }),
    ("wasi:sockets/network", |l| {
        sockets::network::add_to_linker::<State, WasiSockets>(
            l,
            &sockets::network::LinkOptions::default(),
            State::sockets,
        )
    }),
    ("wasi:sockets/ip-name-lookup", |l| {
        sockets::ip_name_lookup::add_to_linker::<State, WasiSockets>(l, State::sockets)
    }),
    ("wasi:sockets/tcp", |l| sockets::tcp::add_to_linker::<State, WasiSockets>(l, State::sockets)),
    ("wasi:sockets/tcp-create-socket", |l| {
        sockets::tcp_create_socket::add_to_linker::<State, WasiSockets>(l, State::sockets)
    }),
    ("wasi:sockets/udp", |l| sockets::udp::add_to_linker::<State, WasiSockets>(l, State::sockets)),
    ("wasi:sockets/udp-create-socket", |l| {
        sockets::udp_create_socket::add_to_linker::<State, WasiSockets>(l, State::sockets)
    }),
];

/// Adds the whole table.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> Result<()> {
    TABLE.iter().try_for_each(|(_, add)| add(linker))
}

struct Io;

impl HasData for Io {
    type Data<'a> = &'a mut ResourceTable;
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: self.wasi.get(), table: &mut self.table }
    }
}

/// The WASI world of one call: no arguments, no environment, no directory, no network; the call's instant for a
/// wall clock, a monotonic clock that starts with it, and the call's chance. It is made when the guest first asks for
/// anything of it: most never do.
pub(super) struct World {
    now: u64,
    chance: u64,
    secret: Secret,
    output: Output,
    made: Option<Box<WasiCtx>>,
}

impl World {
    pub(super) fn new(now: u64, chance: u64, secret: &Chance, output: &Output) -> Self {
        Self { now, chance, secret: secret.secret, output: output.clone(), made: None }
    }

    fn get(&mut self) -> &mut WasiCtx {
        let Self { now, chance, secret, output, made } = self;
        made.get_or_insert_with(|| {
            let mut builder = WasiCtx::builder();
            builder
                .stdout(output.clone())
                .stderr(output.clone())
                .wall_clock(Instant(Duration::from_millis(*now)))
                .secure_random(secret.generator(*chance))
                .insecure_random(secret.generator(!*chance))
                .insecure_random_seed((*chance).into())
                .max_random_size(RANDOM_BYTES);
            Box::new(builder.build())
        })
    }
}

/// A wall clock that stands still.
struct Instant(Duration);

impl HostWallClock for Instant {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        self.0
    }
}

/// Where the random numbers of guests come from: within one process the same question gets the same numbers, so that
/// a verdict is a function of what was asked; nobody outside can tell them.
pub(super) struct Chance {
    secret: Secret,
    keys: RandomState,
}

/// What nobody outside knows.
#[derive(Clone, Copy)]
struct Secret([u8; 32]);

impl Chance {
    pub(super) fn new() -> Self {
        Self { secret: Secret(rand::random()), keys: RandomState::new() }
    }

    /// The chance of one question.
    pub(super) fn of(&self, question: impl std::hash::Hash) -> u64 {
        self.keys.hash_one(question)
    }
}

impl Secret {
    fn generator(self, chance: u64) -> StdRng {
        let mut seed = self.0;
        seed[..8].copy_from_slice(&chance.to_le_bytes());
        StdRng::from_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Engine;

    use super::*;

    /// Whether the linker has this interface: it refuses to define one twice.
    fn has(linker: &Linker<State>, interface: &str) -> bool {
        let name = format!("{interface}@{VERSION}.12");
        linker.clone().root().func_wrap(&name, |_, (): ()| Ok(())).is_err()
    }

    #[test]
    fn what_is_linked_is_what_the_table_says() {
        let engine = Engine::default();
        for (name, add) in TABLE {
            let mut linker = Linker::new(&engine);
            add(&mut linker).unwrap();
            for (other, _) in TABLE {
                assert_eq!(has(&linker, other), other == name, "{other} in a linker of {name}");
            }
        }
        let mut linker = Linker::new(&engine);
        add_to_linker(&mut linker).unwrap();
        for unwanted in ["wasi:http/types", "wasi:http/outgoing-handler", "wasi:config/store", "wasi:cli/run"] {
            assert!(!has(&linker, unwanted), "{unwanted}");
        }
    }

    #[test]
    fn the_table_holds_the_six_packages_and_no_other() {
        let allowed = ["wasi:cli/", "wasi:clocks/", "wasi:random/", "wasi:io/", "wasi:filesystem/", "wasi:sockets/"];
        for (name, _) in TABLE {
            assert!(allowed.iter().any(|package| name.starts_with(package)), "{name}");
        }
    }
}
