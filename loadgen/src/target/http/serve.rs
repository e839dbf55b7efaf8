//! One request over HTTP, from its sending to the end of its answer.

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Duration;

use engine::remote::one_line;
use reqwest::{Response, StatusCode, header};
use tokio::sync::oneshot;

use super::answer::Answer;
use super::failure;
use super::request::Requests;
use super::secrets::Secrets;
use crate::sample::{CutBy, FailureKind, Outcome, WorkerName};
use crate::target::remote::{Arrivals, End, Patience, Protocol, Report, Wait, failed};
use crate::target::{Control, Dispatch};
use crate::time::Micros;

/// Bytes of an error that are read.
const ERROR_BYTES: usize = 64 * 1024;
/// How long an error may take to be read.
const ERROR_TIME: Duration = Duration::from_secs(5);
/// How long a usage and the word that the stream is over are waited for behind the last piece. Servers send them at once, or
/// not at all.
const LAST_WORDS: Duration = Duration::from_secs(2);
/// How long a connection is read on behind the last event, so that it can be used again.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes that may come there.
const LINGER_BYTES: usize = 64 * 1024;

/// The protocol of completions and of chats.
#[derive(Debug)]
pub(super) struct Completions {
    requests: Requests,
    patience: Patience,
    /// Knows the units by what the server calls them.
    control: Option<Weak<dyn Control>>,
}

impl Completions {
    /// Units go by the names that `control` knows. It is not held: whoever shifts ends it.
    pub(super) fn new(requests: Requests, patience: Patience, control: Option<&Arc<dyn Control>>) -> Self {
        Self { requests, patience, control: control.map(Arc::downgrade) }
    }

    /// Puts the units to the names of those who served a request.
    fn place(&self, end: &mut End) {
        let Some(server) = &mut end.server else { return };
        let Some(told) = &server.told else { return };
        let Some(control) = self.control.as_ref().and_then(Weak::upgrade) else { return };
        let unit = |name: &Option<WorkerName>| Some(control.unit_called(name.as_ref()?.as_str())?.0);
        (server.prefill_unit, server.decode_unit) = (unit(&told.prefill), unit(&told.decode));
    }
}

impl Protocol for Completions {
    async fn serve(&self, dispatch: Dispatch, report: &mut Report) -> End {
        let address = self.requests.next();
        if self.requests.has_several() {
            report.goes_to(Some(address as u16));
        }
        let wait = Wait::new(self.patience);
        let (prompt, index) = (dispatch.prompt.len(), dispatch.index);
        let mut answer = Answer::new(prompt, dispatch.output_tokens, &self.requests.secrets);
        if dispatch.is_repeated && self.requests.sends_text() {
            answer.keep_text();
        }
        let body = self.requests.body(&dispatch.prompt, &dispatch.said, dispatch.output_tokens);
        // The prompt is in the body now, and may be long.
        drop(dispatch);
        let (stamp, mut sent) = oneshot::channel();
        let request = self.requests.numbered(address, index, body, report.clock().clone(), stamp);
        let mut asked = pin!(wait.out(request.send()));
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
            Ok(Ok(response)) if response.status() == StatusCode::OK => {
                let mut end = read(response, answer, report, wait).await;
                self.place(&mut end);
                end
            }
            Ok(Ok(response)) => refusal(response, &self.requests.secrets).await.0.into(),
            Ok(Err(error)) => cut_by(CutBy::Connection, failure::of_connection(&error).into()),
            Err(late) => late.into(),
        }
    }
}

/// Says how an answer was cut, if it was.
fn cut_by(by: CutBy, mut end: End) -> End {
    end.account.cut = (end.outcome == Outcome::Cut).then_some(by);
    end
}

/// What an answer of another status than 200 says, and the beginning of its body.
pub(super) async fn refusal(mut response: Response, secrets: &Secrets) -> (Outcome, Vec<u8>) {
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
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
    (failure::of_status(status, &headers, &body, secrets), body)
}

async fn read(response: Response, answer: Answer<'_>, report: &mut Report, wait: Wait) -> End {
    if let Some(kind) = other_kind(&response) {
        return failed(FailureKind::Malformed, format!("answered {kind}, not an event stream")).into();
    }
    let mut reading =
        Reading { response, answer, tokens: Vec::new(), arrivals: Arrivals::default(), answered: None, wait };
    let stop = loop {
        if let Some(stop) = reading.chunk(report).await {
            break stop;
        }
        if reading.answer.is_finished() {
            report.completed();
            break tokio::time::timeout(LAST_WORDS, reading.rest(report)).await.unwrap_or(Stop::Ended);
        }
    };
    let Reading { response, answer, answered, .. } = reading;
    let mut end = match stop {
        Stop::Over => {
            tokio::spawn(linger(response));
            answer.end()
        }
        Stop::Ended => cut_by(CutBy::Ended, answer.end()),
        Stop::Broken(why) => cut_by(CutBy::Connection, answer.broken(why)),
    };
    if let Some(reasoning) = &mut end.account.reasoning {
        reasoning.answer = answered;
    }
    end
}

/// Why nothing more is read of an answer.
enum Stop {
    /// Nothing that may still come is of interest; the connection may be used again.
    Over,
    /// Nothing more comes, or not in time.
    Ended,
    /// The connection was lost, or nothing more waited for.
    Broken(Outcome),
}

/// An answer on its way.
struct Reading<'k> {
    response: Response,
    answer: Answer<'k>,
    /// Kept for its memory.
    tokens: Vec<Option<u32>>,
    arrivals: Arrivals,
    /// When the first token of the answer itself came.
    answered: Option<Micros>,
    wait: Wait,
}

impl Reading<'_> {
    /// Reads what comes next and tells of it.
    async fn chunk(&mut self, report: &mut Report) -> Option<Stop> {
        let chunk = match self.wait.out(self.response.chunk()).await {
            Ok(chunk) => chunk,
            Err(late) => return Some(Stop::Broken(late)),
        };
        let now = report.clock().now();
        let (at, stop) = match chunk {
            Ok(Some(bytes)) => {
                let at = self.arrivals.at(now);
                self.answer.read(&bytes, &mut self.tokens);
                (at, self.answer.is_over().then_some(Stop::Over))
            }
            Ok(None) => {
                self.answer.close(&mut self.tokens);
                (now, Some(Stop::Ended))
            }
            Err(error) => return Some(Stop::Broken(failure::of_connection(&error))),
        };
        if !self.tokens.is_empty() {
            self.wait.came();
        }
        if self.answered.is_none() && self.answer.has_answered() {
            self.answered = Some(at);
        }
        report.tokens(at, self.tokens.drain(..).map(|token| (token, 0))).await;
        stop
    }

    /// Reads to the end.
    async fn rest(&mut self, report: &mut Report) -> Stop {
        loop {
            if let Some(stop) = self.chunk(report).await {
                return stop;
            }
        }
    }
}

/// What the server says it sends, where that is no event stream.
pub(super) fn other_kind(response: &Response) -> Option<String> {
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
