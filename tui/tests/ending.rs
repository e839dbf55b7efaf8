//! What ends a run without a screen, and what is said before one: signals, rules, files, readiness.

#![cfg(unix)]
#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::Duration;

use loadgen::recording::Reader;

/// A load on a simulated cluster that goes on for longer than any test.
const LOAD: &str = "--target sim:mi325x-qwen3-235b --rate 20 --isl 500 --osl 30 --duration 600s --out run.jsonl.zst";

/// The program at work, under a shell that sets something before.
struct Running {
    child: Child,
    err: BufReader<ChildStderr>,
    said: String,
}

/// Tests may themselves be run under `nohup`, and a shell cannot undo that.
const ANEW: &str = if cfg!(target_os = "linux") { "exec env --default-signal=HUP" } else { "exec" };

fn start(folder: &Path, before: &str, words: &str) -> Running {
    let exec = if before.is_empty() { ANEW } else { "exec" };
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} {exec} \"$PDTUNE\" {words}")]).env("PDTUNE", env!("CARGO_BIN_EXE_pdtune"));
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a shell");
    let err = BufReader::new(child.stderr.take().expect("its stderr"));
    Running { child, err, said: String::new() }
}

impl Running {
    fn until_said(&mut self, word: &str) {
        while !self.said.contains(word) {
            assert!(self.err.read_line(&mut self.said).expect("text") > 0, "it ended: {}", self.said);
        }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill");
        assert!(sent.success());
    }

    /// Its exit code, its stdout and its stderr.
    fn end(mut self) -> (Option<i32>, String, String) {
        self.err.read_to_string(&mut self.said).expect("text");
        let mut out = String::new();
        self.child.stdout.take().expect("its stdout").read_to_string(&mut out).expect("text");
        let code = self.child.wait().expect("an end").code();
        (code, out, std::mem::take(&mut self.said))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // What has ended already cannot be killed, and need not be.
        let _ = self.child.kill();
    }
}

/// Whether the recording has its end, and why there was an end before its time.
fn recorded(path: &Path) -> (bool, Option<String>) {
    let mut reader = Reader::open(path).expect("a recording");
    while reader.next().transpose().expect("a record").is_some() {}
    (reader.end().is_some(), reader.end().and_then(|end| end.aborted.clone()))
}

#[test]
fn a_terminal_that_goes_ends_a_run_as_ctrl_c_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = start(folder.path(), "", &format!("record {LOAD}"));
    run.until_said("sent ");
    run.signal("HUP");
    run.until_said("stopping: waiting for what is in flight");
    let (code, out, err) = run.end();
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("complete)"), "{out}");
    assert_eq!(recorded(&folder.path().join("run.jsonl.zst")), (true, None));
}

#[test]
fn a_run_that_was_to_outlive_its_terminal_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut run = start(folder.path(), "trap '' HUP;", &format!("record {LOAD}"));
    run.until_said("sent ");
    run.signal("HUP");
    // Both are told in the order in which they came, if at all.
    run.signal("TERM");
    run.until_said("stopping");
    let (code, _, err) = run.end();
    assert_eq!((code, err.matches("stopping").count()), (Some(0), 1), "{err}");
}

#[test]
fn another_signal_after_a_hang_up_leaves_at_once_with_what_was_recorded() {
    let folder = tempfile::tempdir().expect("a folder");
    // Answers that take minutes, so that nothing in flight ends by itself.
    let words = LOAD.replace("--osl 30", "--osl 20000");
    let mut run = start(folder.path(), "", &format!("record {words}"));
    run.until_said("sent ");
    run.signal("HUP");
    run.until_said("stopping");
    run.signal("TERM");
    let (code, _, err) = run.end();
    assert_eq!(code, Some(130), "{err}");
    assert_eq!(recorded(&folder.path().join("run.jsonl.zst.partial")), (false, None));
}

/// A control plane that takes a shift, says so to whoever reads, and never does anything.
const STUBBORN: &str = r#"
[ "$1" = shift ] && exec echo taken > told
echo '{"wanted": "2P1D", "units": [{"name": "a", "role": "prefill", "state": "serving"},
    {"name": "b", "role": "prefill", "state": "stopping"}, {"name": "c", "role": "decode", "state": "serving"}]}'
"#;

#[test]
fn whoever_leaves_at_once_is_told_what_a_shift_has_left() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("plane.sh"), STUBBORN).expect("a script");
    let made = Command::new("mkfifo").arg(folder.path().join("told")).status().expect("mkfifo");
    assert!(made.success());
    let server = server(Says::Nothing);
    let words = format!(
        "record --target {server} --no-wait --arrival constant --rate 50 --duration 600s --isl 20 --osl 4 --out run.jsonl.zst \
         --control 'exec:sh plane.sh' --shift 1s=1P2D"
    );
    let mut run = start(folder.path(), "", &words);
    let told = folder.path().join("told");
    let (over, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || over.send(std::fs::read_to_string(told)));
    let told = asked.recv_timeout(Duration::from_mins(1)).expect("it is asked to shift").expect("a pipe");
    assert_eq!(told, "taken\n");
    run.signal("TERM");
    run.until_said("stopping");
    run.signal("TERM");
    let (code, _, err) = run.end();
    assert_eq!(code, Some(130), "{err}");
    let left = "the shift from 2P1D to 1P2D is left half-way: prefill 1 serving, 1 stopping (b); decode 1 serving\n";
    assert!(err.ends_with(left), "{err}");
}

#[test]
fn a_broken_rule_is_exit_code_3_and_stands_in_the_summary() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = start(folder.path(), "", &format!("record {LOAD} --abort-on 'errors>5%,ttft.p50>1ms' --json"));
    let (code, out, err) = run.end();
    assert_eq!(code, Some(3), "{err}");
    let summary: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let why = summary["aborted"].as_str().expect("a reason");
    assert!(why.starts_with("ttft.p50>1ms: ") && why.contains("for their first token"), "{why}");
    assert!(err.contains(&format!("warning: --abort-on ended the load: {why}")), "{err}");
    assert_eq!(recorded(&folder.path().join("run.jsonl.zst")), (true, Some(why.to_owned())));
    let (_, report, _) = start(folder.path(), "", "report run.jsonl.zst").end();
    assert!(report.contains("aborted      nothing more was sent: ttft.p50>1ms"));
}

/// What a server that has a model says to requests.
#[derive(Clone, Copy)]
enum Says {
    /// It is never done with loading the model.
    Loading,
    /// Nothing, and it keeps the connection.
    Nothing,
}

/// A server that has a model; it answers for as long as the test lasts.
fn server(says: Says) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("a stream"));
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|bytes| bytes > 0) {
                let line = head.trim_end().rsplit("\r\n").next().unwrap_or_default().to_lowercase();
                length = line.strip_prefix("content-length: ").map_or(length, |value| value.parse().unwrap_or(0));
            }
            let _ = reader.read_exact(&mut vec![0; length]);
            let (status, body) = match says {
                _ if head.starts_with("GET /v1/models") => {
                    ("200 OK", r#"{"data": [{"id": "m", "max_model_len": 4096}]}"#)
                }
                Says::Loading => ("503 Service Unavailable", r#"{"error": {"message": "the model is loading"}}"#),
                Says::Nothing => {
                    kept.push(stream);
                    continue;
                }
            };
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    });
    format!("http://{address}")
}

#[test]
fn a_server_that_is_not_ready_gets_no_load_unless_that_is_wanted() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(Says::Loading);
    let words = format!("record --target {server} --requests 5 --rate 50 --isl 20 --osl 4 --out run.jsonl.zst");
    let (code, out, err) = start(folder.path(), "", &format!("{words} --ready-timeout 5s")).end();
    assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
    let waited = "waiting for an answer: a request of 4 tokens failed (refused: 503: the model is loading)\n";
    assert!(err.contains(waited), "{err}");
    assert!(err.contains("is not ready: a request of 4 tokens failed"), "{err}");
    assert!(err.contains("hint: a longer --ready-timeout"), "{err}");
    assert!(!folder.path().join("run.jsonl.zst").exists());

    let (code, out, err) = start(folder.path(), "", &format!("{words} --no-wait")).end();
    assert_eq!(code, Some(3), "no request completed: {err}");
    assert!(out.contains("5 failed"), "{out}");
}

#[test]
fn too_few_files_are_said_before_the_load() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = server(Says::Loading);
    let words =
        format!("record --target {server} --no-wait --requests 2 --rate 50 --isl 20 --osl 4 --out run.jsonl.zst");
    let (_, _, err) = start(folder.path(), "ulimit -n 200;", &words).end();
    let said = "warning: at most 136 requests can be in flight: 8256 open files are needed for 8192, and the system allows 200;";
    assert!(err.starts_with(said), "{err}");
}
