//! A simulated cluster behind `pdtune serve`, asked over HTTP as any client would.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// The program, and where it listens.
struct Server {
    child: Child,
    address: String,
    /// What it said until then.
    said: String,
}

impl Server {
    fn start(words: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pdtune"));
        command.args(["serve", "--target", "sim:mi325x-qwen3-235b", "--listen", "127.0.0.1:0"]).args(words);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("the program");
        let mut err = BufReader::new(child.stderr.take().expect("its stderr"));
        let (mut said, mut address) = (String::new(), None);
        while address.is_none() {
            let mut line = String::new();
            assert!(err.read_line(&mut line).expect("text") > 0, "it ended: {said}");
            address = line.trim().strip_prefix("listening on http://").map(str::to_owned);
            said.push_str(&line);
        }
        Self { child, address: address.expect("an address"), said }
    }

    /// The status and the body of an answer.
    fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).expect("a connection");
        let length = body.len();
        let head = "Content-Type: application/json\r\nConnection: close";
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .expect("a request");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        (status, body.to_owned())
    }

    fn complete(&self, body: &Value) -> (u16, Value) {
        let (status, answer) = self.ask("POST", "/v1/completions", &body.to_string());
        (status, serde_json::from_str(&answer).expect("JSON"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_answers_as_a_server_does_and_nobody_takes_it_for_one() {
    let server = Server::start(&["--split", "2P2D", "--control-listen", "none", "--time-scale", "50"]);
    assert!(server.said.contains("model SIMULATED-mi325x-qwen3-235b") && server.said.contains("answers mean nothing"));
    let (status, models) = server.ask("GET", "/v1/models", "");
    let models: Value = serde_json::from_str(&models).expect("JSON");
    assert_eq!((status, &models["data"][0]["id"]), (200, &json!("SIMULATED-mi325x-qwen3-235b")));

    let name = models["data"][0]["id"].clone();
    let prompt: Vec<u32> = (0..3_000).collect();
    let (status, answer) = server.complete(&json!({"model": name, "prompt": prompt, "max_tokens": 40}));
    assert_eq!((status, &answer["usage"]["prompt_tokens"]), (200, &json!(3_000)), "{answer}");
    assert_eq!(answer["usage"]["completion_tokens"], json!(40));
    assert_eq!(answer["choices"][0]["finish_reason"], json!("length"));

    let (status, metrics) = server.ask("GET", "/metrics", "");
    assert_eq!(status, 200);
    let counted = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).expect(name);
        line.rsplit(' ').next().and_then(|value| value.parse::<f64>().ok()).expect("a number")
    };
    assert!((counted("vllm:prompt_tokens_total") - 3_000.0).abs() < 0.5, "{metrics}");
    assert!((counted("vllm:generation_tokens_total") - 40.0).abs() < 0.5, "{metrics}");
    let ttft = counted("vllm:time_to_first_token_seconds_sum");
    assert!(ttft > 0.03, "the model of 32 GPUs needs more than {ttft} s for 3,000 tokens and their hand-off");
}

#[test]
fn its_context_is_that_of_the_cluster() {
    let server = Server::start(&["--control-listen", "127.0.0.1:0", "--served-model-name", "qwen"]);
    let long: Vec<u32> = vec![1; 32_768];
    let ask = json!({"model": "SIMULATED-qwen", "prompt": long, "max_tokens": 10});
    let (status, answer) = server.complete(&ask);
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"]["message"].as_str().is_some_and(|why| why.contains("32768")), "{answer}");
    let (status, _) = server.complete(&json!({"model": "qwen", "prompt": [1], "max_tokens": 1}));
    assert_eq!(status, 404, "the name says what it is");
}
