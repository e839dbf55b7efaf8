//! Processes that were started here, and only those: each is ended by SIGTERM, on which a worker of Dynamo takes nothing new and
//! ends what it holds.
//!
//! A process is the first of a group of its own, so that a ctrl-c at the terminal is not its end. It may be a script that has
//! started the worker and ends without it: then whoever is left of its group is asked to end, too. Its stdout goes nowhere; of its
//! stderr the last line is kept, for the case that it dies, without the words of the command.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use engine::remote::one_line;
use engine::units::Role;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::command::{Hidden, WorkerCommand, hide};

/// How long processes have, at the end of the run, before they are killed. What they still hold is nobody's by then.
const GRACE: Duration = Duration::from_mins(1);
/// How long they may take to be gone then.
const KILLED: Duration = Duration::from_secs(5);
/// Between two looks whether they are over.
const LOOK: Duration = Duration::from_millis(100);
/// How long the last words of a process that has ended are waited for: what it has started may hold its stderr open.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Most bytes of the last line of stderr.
const LINE: usize = 1024;

/// The processes of this program that run now, for whoever has to leave at once.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

fn running() -> MutexGuard<'static, BTreeSet<i32>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks every process to end and waits for none: for a program that is left at once.
pub fn end_all() {
    for pid in running().iter().filter_map(|pid| Pid::from_raw(*pid)) {
        // One that has just ended is what is wanted.
        let _ = kill_process_group(pid, Signal::TERM);
    }
}

/// The group of a process, which may outlive it.
#[derive(Debug)]
struct Group(Pid);

impl Group {
    fn of(pid: Pid) -> Self {
        running().insert(pid.as_raw_nonzero().get());
        Self(pid)
    }

    /// Whether anybody is left of it.
    fn lives(&self) -> bool {
        test_kill_process_group(self.0).is_ok()
    }

    fn tell(&self, signal: Signal) {
        // Those that have just ended are what is wanted.
        let _ = kill_process_group(self.0, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        running().remove(&self.0.as_raw_nonzero().get());
    }
}

/// One process.
#[derive(Debug)]
struct Process {
    n: u32,
    group: Group,
    child: Child,
    /// What is not to be repeated of its command.
    words: Vec<Hidden>,
    /// The last line of its stderr so far.
    said: Arc<Mutex<Vec<u8>>>,
    listening: JoinHandle<()>,
}

/// A process that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) n: u32,
    /// How, and what it said last.
    pub(super) how: String,
}

/// All processes that run.
#[derive(Debug, Default)]
pub(super) struct Crew {
    processes: Vec<Process>,
    /// Whoever outlives the process that has started it.
    left: Vec<Group>,
    started: u32,
}

impl Crew {
    /// Starts a process and gives it a number.
    ///
    /// # Errors
    /// One line: why there is none.
    pub(super) fn start(&mut self, command: &WorkerCommand, role: Role) -> Result<u32, String> {
        let failed = |error: std::io::Error| format!("{command} cannot be run: {error}");
        let n = self.started + 1;
        let port = if command.wants_port() { free_port().map_err(failed)? } else { 0 };
        let words = command.words(role, n, port);
        let (program, arguments) = words.split_first().ok_or("there is no command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let pid =
            child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).ok_or("the process has no number")?;
        let said = Arc::default();
        let listening = tokio::spawn(listen(child.stderr.take(), Arc::clone(&said)));
        self.started = n;
        let (group, words) = (Group::of(pid), command.hidden(role, n, port));
        self.processes.push(Process { n, group, child, words, said, listening });
        Ok(n)
    }

    /// Asks a process to end.
    ///
    /// # Errors
    /// One line: why it cannot be asked.
    pub(super) fn stop(&mut self, n: u32) -> Result<(), String> {
        let process = self.processes.iter().find(|process| process.n == n).ok_or("the process has ended")?;
        let pid = process.group.0;
        kill_process(pid, Signal::TERM).map_err(|error| format!("SIGTERM to process {pid}: {error}"))
    }

    /// Those that have ended since the last look.
    pub(super) async fn ended(&mut self) -> Vec<Ended> {
        let mut ended = Vec::new();
        for process in &mut self.processes {
            // A process that cannot be asked about is not known to have ended.
            if let Ok(Some(status)) = process.child.try_wait() {
                process.group.tell(Signal::TERM);
                let _ = timeout(LAST_WORDS, &mut process.listening).await;
                ended.push(Ended { n: process.n, how: last_words(status, &process.said, &process.words) });
            }
        }
        let over = self.processes.extract_if(.., |process| ended.iter().any(|ended| ended.n == process.n));
        self.left.extend(over.map(|process| process.group));
        self.left.retain(Group::lives);
        ended
    }

    /// Ends all of them, and kills what has not ended in time.
    pub(super) async fn close(&mut self) {
        for process in &self.processes {
            let _ = kill_process(process.group.0, Signal::TERM);
        }
        if timeout(GRACE, self.all_ended()).await.is_err() {
            for group in self.processes.iter().map(|process| &process.group).chain(&self.left) {
                group.tell(Signal::KILL);
            }
            // A process that even so does not end hangs in the system, and is not waited for.
            let _ = timeout(KILLED, self.all_ended()).await;
        }
    }

    async fn all_ended(&mut self) {
        while !self.processes.is_empty() || !self.left.is_empty() {
            sleep(LOOK).await;
            self.ended().await;
        }
    }
}

/// A port of loopback that nobody has just now.
fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn last_words(status: ExitStatus, said: &Mutex<Vec<u8>>, words: &[Hidden]) -> String {
    let how = status.code().map_or_else(|| "by a signal".to_owned(), |code| format!("with exit code {code}"));
    let said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let said = hide(words, one_line(&String::from_utf8_lossy(&said)));
    if said.is_empty() { how } else { format!("{how}: {said}") }
}

/// Keeps the last line that has anything in it.
async fn listen(stream: Option<impl AsyncRead + Unpin>, said: Arc<Mutex<Vec<u8>>>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = [0; 4096];
    let mut is_over = false;
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        for byte in &buffer[..read] {
            match byte {
                b'\n' | b'\r' => is_over = true,
                byte => {
                    if std::mem::take(&mut is_over) && !byte.is_ascii_whitespace() {
                        said.clear();
                    }
                    if said.len() < LINE {
                        said.push(*byte);
                    }
                }
            }
        }
    }
}
