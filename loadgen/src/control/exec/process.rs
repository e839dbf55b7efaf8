//! One run of the command, bounded in time and in what it says.

use std::process::Stdio;
use std::time::Duration;

use engine::remote::one_line;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::ExecCommand;

/// How long a run may take.
const TIME: Duration = Duration::from_secs(30);
/// Most bytes that it may print to either stream.
const BYTES: usize = 1 << 20;

/// Why a run has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failed {
    /// The program could not be started.
    #[error("cannot be run: {0}")]
    Unstarted(String),
    /// It ended otherwise than with 0; by which code, unless by a signal, and what it said last.
    #[error("ended with {}{}", code(*.0), colon(.1))]
    Exit(Option<i32>, String),
    /// It said too much.
    #[error("said more than {} MB", BYTES >> 20)]
    TooLong,
    /// It took too long, and was killed.
    #[error("took longer than {} s", TIME.as_secs())]
    Late,
}

fn code(code: Option<i32>) -> String {
    code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"))
}

fn colon(said: &str) -> String {
    if said.is_empty() { String::new() } else { format!(": {said}") }
}

/// Runs the command with `words` behind its own arguments; what it has printed to stdout.
pub(super) async fn run(command: &ExecCommand, words: &[String]) -> Result<Vec<u8>, Failed> {
    let mut child = Command::new(&command.program)
        .args(&command.arguments)
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failed::Unstarted(error.to_string()))?;
    let (out, errors) = (child.stdout.take(), child.stderr.take());
    let running = async {
        let (out, errors) = tokio::join!(read(out), read(errors));
        let status = child.wait().await.map_err(|error| Failed::Unstarted(error.to_string()))?;
        let (out, errors) = (out?, errors?);
        if status.success() {
            return Ok(out);
        }
        let errors = String::from_utf8_lossy(&errors);
        let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
        Err(Failed::Exit(status.code(), one_line(last)))
    };
    tokio::time::timeout(TIME, running).await.unwrap_or(Err(Failed::Late))
}

/// Reads to the end, and no further than allowed. A stream that breaks has ended.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, Failed> {
    let mut said = Vec::new();
    let Some(stream) = stream else { return Ok(said) };
    let _ = stream.take(BYTES as u64 + 1).read_to_end(&mut said).await;
    if said.len() > BYTES { Err(Failed::TooLong) } else { Ok(said) }
}
