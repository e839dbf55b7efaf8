//! A command of the user's as a control plane: `exec:PROGRAM ARGUMENTS`.
//!
//! | call | what it does | how it answers |
//! |---|---|---|
//! | `PROGRAM ARGUMENTS observe` | looks | one JSON object on stdout: `units`, each with `name`, `role` (`prefill`, `decode` or `aggregated`) and `state` (`starting`, `serving` or `stopping`), and how many `gpus` it spans; `wanted`, a split such as `2P2D`, `generation`, a number that grows with every change of what is wanted, `rival`, who else decides, and `trouble`, a sentence, where there are such |
//! | `PROGRAM ARGUMENTS shift FROM TO HOW` | starts the shift and need not wait for its end | exit code 0: taken; 2: refused, and nothing has changed; any other: nobody knows. The last line on stderr says why |
//!
//! No shell is between; arguments are separated by spaces. A shift is over when `observe` shows exactly the units of `TO`, all of
//! them serving; it is undone by the same call with `FROM` and `TO` exchanged. A call may take 30 s, and print 1 MB.

mod answer;
mod process;

use std::fmt;
use std::str::FromStr;

use engine::cluster::How;
use engine::units::Split;

use super::plane::{Action, Adapter, CallError, Goal, Plan, Step, Topology, Unseen};
use crate::target::Abilities;
use crate::text::Malformed;
use process::{Failed, run};

/// What the name of a command begins with.
pub const PREFIX: &str = "exec:";
/// The exit code of a refusal.
const REFUSED: i32 = 2;

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecCommand {
    program: String,
    arguments: Vec<String>,
}

impl FromStr for ExecCommand {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed =
            || Malformed::new("a command", text, "write exec:PROGRAM, with arguments behind it where it takes some");
        let mut words = text.strip_prefix(PREFIX).ok_or_else(malformed)?.split_whitespace().map(str::to_owned);
        let program = words.next().ok_or_else(malformed)?;
        Ok(Self { program, arguments: words.collect() })
    }
}

impl fmt::Display for ExecCommand {
    /// The program alone: what is told to it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.program)
    }
}

/// A cluster that a command looks at and shifts.
#[derive(Debug)]
pub struct Exec {
    command: ExecCommand,
    /// As last seen.
    seen: Option<Topology>,
}

impl Exec {
    /// Nothing is called yet.
    pub fn new(command: ExecCommand) -> Self {
        Self { command, seen: None }
    }

    fn name(&self) -> &str {
        &self.command.program
    }
}

/// A shift that the command is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    from: Split,
    to: Split,
    how: How,
}

impl Adapter for Exec {
    type Call = Shift;

    fn abilities(&self) -> Abilities {
        Abilities { dry_run: false, ..Abilities::ALL }
    }

    async fn observe(&mut self) -> Result<Topology, Unseen> {
        let name = self.name();
        let said = run(&self.command, &["observe".to_owned()]).await.map_err(|failed| {
            let unseen = if matches!(failed, Failed::Unstarted(_)) { Unseen::Never } else { Unseen::NotYet };
            unseen(format!("{name} observe {failed}"))
        })?;
        let topology = answer::read(&said)
            .map_err(|why| Unseen::Never(format!("{name} observe did not answer as agreed: {why}")))?;
        self.seen = Some(topology.clone());
        Ok(topology)
    }

    fn propose(&self, to: Split, how: How) -> Result<Plan<Shift>, String> {
        let seen = self.seen.as_ref().ok_or("the units have not been seen yet")?;
        let from = seen.wanted.unwrap_or_else(|| seen.serving());
        if from == to {
            return Ok(Plan { from, steps: Vec::new(), moves: None, remarks: Vec::new() });
        }
        let action = |from: Split, to: Split| Action {
            call: Shift { from, to, how },
            says: format!("{} shift {from} {to} {how}", self.name()),
            goal: Goal::All(to),
            wants: seen.wanted.map(|_| to),
        };
        let step = Step { forth: action(from, to), back: Some(action(to, from)) };
        Ok(Plan { from, steps: vec![step], moves: None, remarks: Vec::new() })
    }

    async fn apply(&mut self, call: &Shift) -> Result<(), CallError> {
        let Shift { from, to, how } = call;
        let words = ["shift".to_owned(), from.to_string(), to.to_string(), how.to_string()];
        let name = self.name();
        run(&self.command, &words).await.map(|_| ()).map_err(|failed| match failed {
            Failed::Unstarted(_) | Failed::Exit(Some(REFUSED), _) => {
                CallError::Refused(format!("{name} shift {failed}"))
            }
            Failed::Exit(..) | Failed::TooLong | Failed::Late => CallError::Unclear(format!("{name} shift {failed}")),
        })
    }
}

#[cfg(test)]
mod tests;
