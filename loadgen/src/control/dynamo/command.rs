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
        self.words.iter().map(|word| filled(word, role, n, port)).collect()
    }

    /// What is not to be repeated of them: every word behind the program, and what such a word has behind a `=`, but for the names
    /// of options, for what stands in a place, and for what is too short to be a secret.
    pub(super) fn hidden(&self, role: Role, n: u32, port: u16) -> Vec<Hidden> {
        let mut hidden = Vec::new();
        for (at, word) in self.words.iter().enumerate().skip(1) {
            let value = word.split_once('=').map(|(_, value)| value);
            let parts = std::iter::once(word.as_str()).chain(value);
            for part in parts.filter(|part| !is_option(part) && !is_place(part)) {
                let part = filled(part, role, n, port);
                if part.chars().count() >= SHORTEST {
                    hidden.push(Hidden { text: part, word: at + 1 });
                }
            }
        }
        // What is part of another goes after it.
        hidden.sort_by_key(|hidden| std::cmp::Reverse(hidden.text.len()));
        hidden
    }
}

/// Shorter words are hardly secrets, and stand in any sentence.
const SHORTEST: usize = 5;

/// A word of a command that is not to be repeated.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hidden {
    text: String,
    /// Which it is, from 1 on.
    word: usize,
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hidden(<word {}>)", self.word)
    }
}

/// A line with the numbers of words in their place.
pub(super) fn hide(words: &[Hidden], line: String) -> String {
    words.iter().fold(line, |line, Hidden { text, word }| line.replace(text, &format!("<word {word}>")))
}

fn is_option(word: &str) -> bool {
    let name = word.trim_start_matches('-');
    name.len() < word.len()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Whether a word is all place.
fn is_place(word: &str) -> bool {
    word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).is_some_and(|place| PLACES.contains(&place))
}

fn filled(word: &str, role: Role, n: u32, port: u16) -> String {
    let role = if role == Role::Prefill { "prefill" } else { "decode" };
    word.replace("{role}", role).replace("{port}", &port.to_string()).replace("{n}", &n.to_string())
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
    fn what_stands_behind_the_program_is_not_repeated() {
        let text = "env TOKEN=hunter2 python -m worker --key abc12 --name=top-{role} --port={port} --role {role} x";
        let command: WorkerCommand = text.parse().expect("a command");
        let hidden = command.hidden(Role::Decode, 3, 8123);
        let shown = |line: &str| hide(&hidden, line.to_owned());
        assert_eq!(shown("cannot log in as hunter2: 401"), "cannot log in as <word 2>: 401");
        assert_eq!(shown("env: TOKEN=hunter2 and 'abc12'"), "env: <word 2> and '<word 7>'");
        assert_eq!(shown("python: No module named worker"), "<word 3>: No module named <word 5>");
        assert_eq!(shown("--key: port 8123 of top-decode is taken"), "--key: port 8123 of <word 8> is taken");
        assert_eq!(shown("an extra x of decode"), "an extra x of decode");
        assert!(!format!("{hidden:?}").contains("hunter2"));
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
