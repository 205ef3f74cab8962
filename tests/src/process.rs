//! Child processes that never outlive the one that started them.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{OnceLock, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};

/// A running child; killed when dropped, and by the kernel when this process ends without dropping it.
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both its outputs appended to `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = OpenOptions::new().create(true).append(true).open(log).with_context(|| log.display().to_string())?;
        let err = out.try_clone()?;
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        // Ctrl-C is for the one that started it, who ends it in order.
        command.process_group(0);
        let program = command.get_program().to_owned();
        let child = spawn_on_lasting_thread(command).with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_owned() })
    }

    /// The name it was started under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has printed.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails, with the end of its log, when the process has ended.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, tail(&self.log, 15)),
        }
    }

    /// The exit status, or none while it runs.
    pub fn status(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal; a process that has ended is left alone.
    pub fn signal(&mut self, signal: Signal) -> Result<()> {
        if self.child.try_wait()?.is_none() {
            kill_process(Pid::from_child(&self.child), signal)?;
        }
        Ok(())
    }

    /// Waits at most `bound` for it to end.
    pub fn wait(&mut self, bound: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + bound;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > end {
                bail!("{} still runs after {bound:?}:\n{}", self.name, tail(&self.log, 15));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Kills it and waits until it is gone, its ports included.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // A process that is gone already is what was wanted.
        let _ = self.kill();
    }
}

/// The last lines of a file, or why there are none.
pub fn tail(path: &Path, lines: usize) -> String {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let all: Vec<_> = text.lines().collect();
            all[all.len().saturating_sub(lines)..].join("\n")
        }
        Err(error) => format!("{}: {error}", path.display()),
    }
}

/// Creates an empty file or empties one.
pub(crate) fn truncate(path: &Path) -> Result<()> {
    File::create(path).map(drop).with_context(|| path.display().to_string())
}

/// The kernel sends the death signal when the *thread* that forked ends, not the process. Test threads end with
/// their test, so every child is forked by one thread that lives as long as the process.
#[expect(unsafe_code, reason = "nothing else ends a child with its parent, however that ends")]
fn spawn_on_lasting_thread(command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (orders, inbox) = mpsc::channel::<Order>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // SAFETY: between fork and exec only one system call is made; it allocates nothing, takes no lock.
                unsafe {
                    command.pre_exec(|| set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from));
                }
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    let (answer, child) = mpsc::channel();
    let ended = || io::Error::other("the thread that starts processes has ended");
    spawner.send((command, answer)).map_err(|_| ended())?;
    child.recv().map_err(|_| ended())?
}
