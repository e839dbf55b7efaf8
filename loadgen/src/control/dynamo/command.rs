//! How a worker is started: the words of a command, with places for what differs from worker to worker.

use std::fmt;
use std::str::FromStr;

use engine::units::Role;

use crate::text::Malformed;

/// A program and its arguments, separated by spaces; no shell is between.
///
/// `{role}` becomes `prefill` or `decode`, `{n}` the number of the worker, from 1 on, and `{port}` a port that was free a moment
/// before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    words: Vec<String>,
}

/// What stands for what differs.
const PLACES: [&str; 3] = ["role", "port", "n"];

impl FromStr for WorkerCommand {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let malformed = |allowed: &str| Malformed::new("a command of workers", text, allowed);
        let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err(malformed("write PROGRAM and its arguments, with {role} where a worker is told its role"));
        }
        let unknown = words.iter().flat_map(|word| places(word)).find(|place| !PLACES.contains(place));
        if let Some(unknown) = unknown {
            return Err(malformed(&format!("{{{unknown}}} stands for nothing, only {{role}}, {{port}} and {{n}} do")));
        }
        if !words.iter().any(|word| word.contains("{role}")) {
            return Err(malformed("a worker has to be told its role: {role} becomes prefill or decode"));
        }
        Ok(Self { words })
    }
}

/// What is in braces and looks like a place: small letters alone, so that JSON is none.
fn places(word: &str) -> impl Iterator<Item = &str> {
    let inside = word.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0));
    inside.filter(|inside| !inside.is_empty() && inside.bytes().all(|byte| byte.is_ascii_lowercase()))
}

impl fmt::Display for WorkerCommand {
    /// The program alone: what is told to it may be a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words.first().map_or("", String::as_str))
    }
}

impl WorkerCommand {
    /// Whether a worker is given a port.
    pub(super) fn wants_port(&self) -> bool {
        self.words.iter().any(|word| word.contains("{port}"))
    }

    /// The words for one worker.
    pub(super) fn words(&self, role: Role, n: u32, port: u16) -> Vec<String> {
        let role = if role == Role::Prefill { "prefill" } else { "decode" };
        let (n, port) = (n.to_string(), port.to_string());
        let filled = |word: &String| word.replace("{role}", role).replace("{port}", &port).replace("{n}", &n);
        self.words.iter().map(filled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_filled_and_json_is_left_alone() {
        let command: WorkerCommand =
            r#"env P={port} python -m w --mode {role} --name {role}-{n} --args {"a":1}"#.parse().expect("a command");
        assert!(command.wants_port());
        let words = command.words(Role::Decode, 3, 8123).join(" ");
        assert_eq!(words, r#"env P=8123 python -m w --mode decode --name decode-3 --args {"a":1}"#);
        assert_eq!(command.to_string(), "env");
    }

    #[test]
    fn a_command_without_a_role_or_with_unknown_places_is_refused() {
        for (text, why) in [
            (" ", "write PROGRAM and its arguments"),
            ("python -m w", "has to be told its role"),
            ("python -m w {role} {gpu}", "{gpu} stands for nothing"),
        ] {
            let error = text.parse::<WorkerCommand>().expect_err(text).to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
