//! `gatehost completion`: shell completion.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::CommandFactory as _;

use super::{Cli, Failure};

/// Print a shell's completion script
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(gatehost completion bash)
  gatehost completion zsh > \"${fpath[1]}/_gatehost\"
  gatehost completion fish > ~/.config/fish/completions/gatehost.fish")]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, Failure> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    // Through memory, because the generator panics where its writer fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gatehost", &mut script);
    io::stdout().write_all(&script).context("stdout")?;
    Ok(ExitCode::SUCCESS)
}
