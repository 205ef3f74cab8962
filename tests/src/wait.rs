//! Waiting for states.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How long a state may take that should be there at once on an idle machine.
pub const SOON: Duration = Duration::from_secs(30);

/// Looks again and again, 20 times a second, until `look` answers with a value; its errors end the wait at once.
///
/// # Errors
/// After `bound`, with `what` was waited for and the last thing `look` said it saw instead.
pub async fn until<T>(bound: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<Seen<T>>) -> Result<T> {
    let start = Instant::now();
    loop {
        let instead = match look().await.with_context(|| format!("while waiting until {what}"))? {
            Seen::Yes(value) => return Ok(value),
            Seen::NotYet(instead) => instead,
        };
        if start.elapsed() > bound {
            bail!("waited {bound:?} until {what}; instead: {instead}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Looks for `period` and fails as soon as `look` sees something else: for what must not happen.
pub async fn throughout<T>(period: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<Seen<T>>) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < period {
        if let Seen::NotYet(instead) = look().await? {
            bail!("after {:?} of {period:?} it no longer held that {what}; instead: {instead}", start.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// What one look saw.
pub enum Seen<T> {
    /// The state that was waited for.
    Yes(T),
    /// Something else, in words for the failure message.
    NotYet(String),
}

impl Seen<()> {
    /// `Yes` when `yes` holds; else what was seen instead.
    pub fn when(yes: bool, instead: impl FnOnce() -> String) -> Self {
        if yes { Self::Yes(()) } else { Self::NotYet(instead()) }
    }
}
