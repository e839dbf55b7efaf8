//! One request over HTTP, from its sending to the end of its answer.

use std::pin::pin;
use std::time::Duration;

use engine::remote::one_line;
use reqwest::{Response, StatusCode, header};
use tokio::sync::oneshot;

use super::answer::Answer;
use super::failure;
use super::request::Requests;
use crate::sample::{FailureKind, Outcome};
use crate::target::Dispatch;
use crate::target::remote::{End, Protocol, Report, failed};
use crate::time::Micros;

/// What is read within this time of what came before has come with it: a server's one write, in chunks that the client's
/// connection hands over one by one. No model is so fast.
const TOGETHER: Micros = Micros(100);
/// Bytes of an error that are read.
const ERROR_BYTES: usize = 64 * 1024;
/// How long an error may take to be read.
const ERROR_TIME: Duration = Duration::from_secs(5);
/// How long a connection is read on behind the last event, so that it can be used again.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that may come there.
const LINGER_BYTES: usize = 64 * 1024;

/// The protocol of completions.
#[derive(Debug)]
pub(super) struct Completions {
    requests: Requests,
}

impl Completions {
    pub(super) fn new(requests: Requests) -> Self {
        Self { requests }
    }
}

impl Protocol for Completions {
    async fn serve(&self, dispatch: Dispatch, report: &mut Report) -> End {
        let answer = Answer::new(dispatch.prompt.len(), dispatch.output_tokens, self.requests.key());
        let (stamp, mut sent) = oneshot::channel();
        let request = self.requests.completion(&dispatch, report.clock().clone(), stamp);
        // The prompt is in the request now, and may be long.
        drop(dispatch);
        let mut asked = pin!(request.send());
        let response = tokio::select! {
            biased;
            Ok(at) = &mut sent => {
                report.sent(at).await;
                asked.await
            }
            response = &mut asked => {
                if let Ok(at) = sent.try_recv() {
                    report.sent(at).await;
                }
                response
            }
        };
        match response {
            Ok(response) if response.status() == StatusCode::OK => read(response, answer, report).await,
            Ok(response) => self.refused(response).await.into(),
            Err(error) => failure::of_connection(&error).into(),
        }
    }
}

impl Completions {
    async fn refused(&self, mut response: Response) -> Outcome {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        let reading = async {
            while let Ok(Some(bytes)) = response.chunk().await {
                let room = ERROR_BYTES - body.len();
                body.extend_from_slice(&bytes[..bytes.len().min(room)]);
                if body.len() == ERROR_BYTES {
                    return;
                }
            }
        };
        // What has come by then will do.
        let _ = tokio::time::timeout(ERROR_TIME, reading).await;
        failure::of_status(status, &body, self.requests.key())
    }
}

async fn read(mut response: Response, mut answer: Answer<'_>, report: &mut Report) -> End {
    if let Some(kind) = other_kind(&response) {
        return failed(FailureKind::Malformed, format!("answered {kind}, not an event stream")).into();
    }
    let mut tokens = Vec::new();
    let mut last = None;
    loop {
        match response.chunk().await {
            Ok(Some(bytes)) => {
                let now = report.clock().now();
                let at = last.filter(|last| now.since(*last) < TOGETHER).unwrap_or(now);
                last = Some(at);
                answer.read(&bytes, &mut tokens);
                report.tokens(at, tokens.drain(..).map(|token| (token, 0))).await;
                if answer.is_over() {
                    tokio::spawn(linger(response));
                    return answer.end();
                }
            }
            Ok(None) => {
                let at = report.clock().now();
                answer.close(&mut tokens);
                report.tokens(at, tokens.drain(..).map(|token| (token, 0))).await;
                return answer.end();
            }
            Err(error) => return answer.broken(failure::of_connection(&error)),
        }
    }
}

/// What the server says it sends, where that is no event stream.
fn other_kind(response: &Response) -> Option<String> {
    let kind = response.headers().get(header::CONTENT_TYPE)?.to_str().unwrap_or("something");
    let events = kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"));
    (!events).then(|| one_line(kind))
}

/// Reads what is left behind the last event, usually nothing but the end.
async fn linger(mut response: Response) {
    let rest = async {
        let mut room = LINGER_BYTES;
        while let Ok(Some(bytes)) = response.chunk().await {
            let Some(left) = room.checked_sub(bytes.len()) else { return };
            room = left;
        }
    };
    let _ = tokio::time::timeout(LINGER, rest).await;
}
