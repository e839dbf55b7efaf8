//! One run of the command, bounded in time and in what it says.

use std::process::Stdio;
use std::time::Duration;

use engine::remote::one_line;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::ExecCommand;

/// How long a run may take.
const TIME: Duration = Duration::from_secs(30);
/// How long is read on once it has ended: what it has started, and left running, may hold its streams open.
const LAST_WORDS: Duration = Duration::from_millis(500);
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
    let streams = (child.stdout.take(), child.stderr.take());
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let running = async {
        let reading = async { tokio::join!(read(streams.0, &mut out), read(streams.1, &mut errors)) };
        tokio::pin!(reading);
        let ended = tokio::select! {
            ended = child.wait() => {
                // What has not come by then is not waited for.
                let _ = timeout(LAST_WORDS, &mut reading).await;
                ended
            }
            _ = &mut reading => child.wait().await,
        };
        ended.map_err(|error| Failed::Unstarted(error.to_string()))
    };
    let status = timeout(TIME, running).await.unwrap_or(Err(Failed::Late))?;
    if out.len() > BYTES || errors.len() > BYTES {
        return Err(Failed::TooLong);
    }
    if status.success() {
        return Ok(out);
    }
    let errors = String::from_utf8_lossy(&errors);
    let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(Failed::Exit(status.code(), one_line(last)))
}

/// Reads to the end, and one byte further than allowed. A stream that breaks has ended.
async fn read(stream: Option<impl AsyncRead + Unpin>, said: &mut Vec<u8>) {
    if let Some(stream) = stream {
        let _ = stream.take(BYTES as u64 + 1).read_to_end(said).await;
    }
}
