//! One small request before the load: whether the server answers at all, which fields it will not have, and what it calls
//! itself. What fails every request of a run should not take a run to be found.

use std::time::Duration;

use reqwest::header::SERVER;
use reqwest::{Response, StatusCode};
use tokio::time::{Instant, sleep};

use super::answer::Answer;
use super::complaint::Complaint;
use super::fields::Remedy;
use super::request::Requests;
use super::serve::refusal;
use super::{Api, OpenError};
use crate::sample::Outcome;
use crate::target::remote::FIRST_ANSWER;

/// Its prompt: ids that every model has.
const PROMPT: [u32; 4] = [100, 101, 102, 103];
/// Tokens of its answer.
const OUTPUT: u32 = 1;

/// What it has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shown {
    /// Of the head of the answer.
    pub(super) server: Option<String>,
    /// Of its pieces.
    pub(super) fingerprint: Option<String>,
    /// What people should know before the load.
    pub(super) remark: Option<String>,
    /// It answered, and did not tell the ids of what it answered.
    pub(super) tells_no_ids: bool,
}

/// Asks every address for one token, without the fields that any of them refuses. What was shown is what the first has shown, and
/// the first thing to be remarked. It has so long to answer, and all but the first have so long together: a server that is slow or
/// full is not refused for that, the load will show it.
///
/// # Errors
/// When it refuses what the load would be made of.
pub(super) async fn probe(requests: &mut Requests, within: Duration) -> Result<Shown, OpenError> {
    let within = within.max(FIRST_ANSWER);
    let mut first = probe_one(requests, 0, sleep(within).deadline(), within).await?;
    let until = sleep(within).deadline();
    for address in 1..requests.addresses.len() {
        let shown = probe_one(requests, address, until, within).await?;
        first.remark = first.remark.or(shown.remark);
        first.tells_no_ids |= shown.tells_no_ids;
    }
    Ok(first)
}

async fn probe_one(
    requests: &mut Requests,
    address: usize,
    until: Instant,
    within: Duration,
) -> Result<Shown, OpenError> {
    loop {
        let tried = tokio::time::timeout_at(until, ask(requests, address)).await;
        let (shown, outcome) = tried.unwrap_or_else(|_| (Shown::default(), Said::Late));
        let remark = match outcome {
            Said::Answer(Outcome::Completed) => None,
            Said::No(status @ (400 | 422), Outcome::Failed(failure), body) => {
                let users = match requests.fields.leave_out(&Complaint::read(&body)) {
                    Remedy::Done => continue,
                    Remedy::Users(name) => Some(name),
                    Remedy::None => None,
                };
                return Err(refused(requests, address, status, failure.message, users));
            }
            Said::No(status @ (401 | 403 | 404 | 405), Outcome::Failed(failure), _) => {
                return Err(refused(requests, address, status, failure.message, None));
            }
            Said::No(_, outcome, _) | Said::Answer(outcome) => Some(match outcome {
                Outcome::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
                other => format!("{other:?}").to_lowercase(),
            }),
            Said::Late => Some(format!("no answer within {within:?}")),
        };
        let whom = match requests.addresses.get(address) {
            Some(address) if requests.has_several() => format!(" by {address}"),
            _ => String::new(),
        };
        let remark =
            remark.map(|why| format!("a request for one token before the load was not answered well{whom}: {why}"));
        return Ok(Shown { remark, ..shown });
    }
}

enum Said {
    /// An answer, and how it ended.
    Answer(Outcome),
    /// Another status than 200, and what came with it.
    No(u16, Outcome, Vec<u8>),
    /// Nothing in time.
    Late,
}

async fn ask(requests: &Requests, address: usize) -> (Shown, Said) {
    let body = requests.body(&PROMPT, &[], OUTPUT);
    let response = match requests.post(address, requests.run.request("probe"), body.into()).send().await {
        Ok(response) => response,
        Err(error) => return (Shown::default(), Said::Answer(super::failure::of_connection(&error))),
    };
    let server = response.headers().get(SERVER).and_then(|name| name.to_str().ok());
    let server = server.map(|name| requests.secrets.line(name));
    let shown = Shown { server, ..Shown::default() };
    let status = response.status();
    if status != StatusCode::OK {
        let (outcome, body) = refusal(response, &requests.secrets).await;
        return (shown, Said::No(status.as_u16(), outcome, body));
    }
    if let Some(kind) = super::serve::other_kind(&response) {
        let message = format!("answered {kind}, not an event stream");
        return (shown, Said::Answer(crate::target::remote::failed(crate::sample::FailureKind::Malformed, message)));
    }
    let (fingerprint, end) = read(response, Answer::new(PROMPT.len(), OUTPUT, &requests.secrets)).await;
    let tells_no_ids = end.outcome.is_completed() && !end.has_ids;
    (Shown { fingerprint, tells_no_ids, ..shown }, Said::Answer(end.outcome))
}

/// How its answer ended.
struct Ended {
    outcome: Outcome,
    /// Whether ids of tokens came with it.
    has_ids: bool,
}

/// Reads to the end, which is near.
async fn read(mut response: Response, mut answer: Answer<'_>) -> (Option<String>, Ended) {
    let mut tokens = Vec::new();
    let broken = loop {
        match response.chunk().await {
            Ok(Some(bytes)) => answer.read(&bytes, &mut tokens),
            Ok(None) => {
                answer.close(&mut tokens);
                break Outcome::Cut;
            }
            Err(error) => break super::failure::of_connection(&error),
        }
        tokens.clear();
        if answer.is_over() {
            break Outcome::Cut;
        }
    };
    let (fingerprint, has_ids) = (answer.fingerprint().map(str::to_owned), answer.tells_ids());
    (fingerprint, Ended { outcome: answer.broken(broken).outcome, has_ids })
}

/// `users` is the field of the user's that it is about, if it is.
fn refused(requests: &Requests, address: usize, status: u16, message: String, users: Option<String>) -> OpenError {
    let address = requests.addresses.get(address).map_or_else(String::new, ToString::to_string);
    let path = requests.api.path();
    if let Some(name) = users {
        let hint = format!("\nhint: {name} was given with --body-field; --body-field {name}=null leaves it out");
        return OpenError::Refused { address: address + path, status, message, hint };
    }
    let hint = match (status, requests.api) {
        (401 | 403, _) => super::KEY_HINT,
        (404 | 405, Api::Completions) => "\nhint: a server without completions may have chats: --api chat",
        (404 | 405, Api::Chat) => "\nhint: a server without chats may have completions: --api completions",
        (_, Api::Completions) => "\nhint: one that takes no token ids may take text: --prompt text",
        _ => "",
    };
    OpenError::Refused { address: address + path, status, message, hint: hint.to_owned() }
}
