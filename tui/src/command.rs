//! What the program does, one file for each subcommand, and how it ends.

pub mod calibrate;
mod hang_up;
pub mod live;
pub mod plan;
pub mod profiles;
pub mod progress;
pub mod ready;
pub mod record;
pub mod replay;
pub mod report;
pub mod search;
pub mod serve;
pub mod shift;
pub mod shot;
pub mod signals;
pub mod view;

use std::io::Write;
use std::process::ExitCode;

use crate::cli::{self, Cli, Command};

/// How a command ended when nothing was wrong with its input. Bad input is an error, and exit code 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As asked. Failed requests are data.
    Fine,
    /// The SLO was missed, and `--fail-on-slo` was given.
    SloMissed,
    /// It ran, but no request completed, a shift did not converge, or `--abort-on` ended the load.
    Unsuccessful,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Fine => 0,
            Ending::SloMissed => 1,
            Ending::Unsuccessful => 3,
        })
    }
}

/// Runs the program.
pub fn main() -> ExitCode {
    let ended = match Cli::read(std::env::args_os()) {
        Ok(cli) => run(cli),
        Err(refusal) => match refusal.asked_for() {
            Some(text) => print(&text).map(|()| Ending::Fine),
            None => Err(refusal.into()),
        },
    };
    ended.map_or_else(
        |error| {
            tell(&format!("error: {error:#}"));
            ExitCode::from(2)
        },
        ExitCode::from,
    )
}

fn run(cli: Cli) -> anyhow::Result<Ending> {
    match cli.command(&cli::library())? {
        Command::Live(options) => live::run(options),
        Command::Record(options) => record::run(options),
        Command::View(options) => view::run(&options),
        Command::Replay(options) => replay::run(options),
        Command::Report(options) => report::run(&options),
        Command::Serve(options) => serve::run(options),
        Command::Plan(options) => plan::run(&options),
        Command::Search(options) => search::run(*options),
        Command::Calibrate(options) => calibrate::run(&options),
        Command::Shift(options) => shift::run(options),
        Command::Profiles(options) => profiles::run(&options),
        Command::Shot(options) => shot::run(&options),
    }
}

/// Ends the process as a second Ctrl-C does.
#[expect(clippy::exit, reason = "asked for twice: whatever is still running is not waited for")]
pub(crate) fn leave_at_once() -> ! {
    for line in loadgen::control::half_way::lines() {
        tell(&line);
    }
    // Workers are not left behind, but nobody waits for them either.
    loadgen::control::dynamo::end_all();
    std::process::exit(130)
}

/// A line for people, on stderr. A closed stderr is nobody's problem.
pub(crate) fn tell(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Data, on stdout.
///
/// # Errors
/// When stdout is closed or full.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
