//! The program as a child, against an engine whose steps can be held up.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Stdio};

/// The program at work.
pub(crate) struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
    said: String,
}

/// What it left behind.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn shift(target: &str, words: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pdtune"));
    command.args(["shift", "--target", target]).args(words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program");
    let err = BufReader::new(child.stderr.take().expect("its stderr"));
    Running { child, err, said: String::new() }
}

impl Running {
    /// Reads until it has said a line with `word`.
    pub(crate) fn until_said(mut self, word: &str) -> Self {
        while !self.said.contains(word) {
            assert!(self.err.read_line(&mut self.said).expect("text") > 0, "it ended: {}", self.said);
        }
        self
    }

    /// Sends what Ctrl-C sends.
    pub(crate) fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }
}

pub(crate) fn run(mut running: Running) -> Ended {
    running.err.read_to_string(&mut running.said).expect("text");
    let output = running.child.wait_with_output().expect("an end");
    let out = String::from_utf8(output.stdout).expect("text");
    Ended { code: output.status.code(), out, err: running.said }
}
