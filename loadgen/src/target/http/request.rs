//! Requests as they go out.

use std::borrow::Cow;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, header};
use serde::Serialize;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::fields::Fields;
use super::secrets::Secrets;
use super::{Api, HttpAddress, Prompts, words};
use crate::schedule::SaidText;
use crate::target::remote::{RunId, SharedClock};
use crate::time::Micros;

/// Makes requests for answers.
#[derive(Debug)]
pub(super) struct Requests {
    pub(super) client: Client,
    pub(super) addresses: Vec<HttpAddress>,
    pub(super) secrets: Secrets,
    pub(super) headers: HeaderMap,
    pub(super) api: Api,
    pub(super) prompts: Prompts,
    pub(super) fields: Fields,
    /// Begins the id of every request.
    pub(super) run: RunId,
    /// Requests sent so far, by which addresses take turns.
    pub(super) turn: AtomicUsize,
}

#[derive(Serialize)]
struct Completion<'a> {
    #[serde(flatten)]
    fields: &'a Map<String, Value>,
    #[serde(flatten)]
    prompt: Prompt<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
}

#[derive(Serialize)]
enum Prompt<'a> {
    #[serde(rename = "prompt")]
    Ids(&'a [u32]),
    #[serde(rename = "prompt")]
    Text(String),
    #[serde(rename = "messages")]
    Chat(Vec<Message<'a>>),
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Cow<'a, str>,
}

/// What the user said and what was answered, by turns. Both begin with the user.
fn texts<'a>(prompt: &'a [u32], said: &'a [SaidText]) -> impl Iterator<Item = Cow<'a, str>> {
    let ends = said.iter().map(|answer| answer.at).chain([prompt.len()]);
    let starts = [0].into_iter().chain(said.iter().map(|answer| answer.at));
    let own = starts.zip(ends).map(|(from, to)| Cow::Owned(words::text(prompt.get(from..to).unwrap_or_default())));
    let answers = said.iter().map(|answer| Some(Cow::Borrowed(&*answer.text))).chain([None]);
    own.zip(answers).flat_map(|(own, answer)| [Some(own), answer]).flatten()
}

fn messages<'a>(prompt: &'a [u32], said: &'a [SaidText]) -> Vec<Message<'a>> {
    let roles = ["user", "assistant"].into_iter().cycle();
    texts(prompt, said).zip(roles).map(|(content, role)| Message { role, content }).collect()
}

impl Requests {
    /// The address whose turn it is.
    pub(super) fn next(&self) -> usize {
        match self.addresses.len() {
            0 | 1 => 0,
            several => self.turn.fetch_add(1, Ordering::Relaxed) % several,
        }
    }

    /// How many there are to take turns.
    pub(super) fn has_several(&self) -> bool {
        self.addresses.len() > 1
    }

    /// Whether what is said is sent as text.
    pub(super) fn sends_text(&self) -> bool {
        self.api == Api::Chat || self.prompts == Prompts::Text
    }

    /// The body of a request. Answers of earlier turns stand in `said`, where they are text.
    pub(super) fn body(&self, prompt: &[u32], said: &[SaidText], output_tokens: u32) -> Bytes {
        let completion = Completion {
            fields: &self.fields.all,
            prompt: match (self.api, self.prompts) {
                (Api::Chat, _) => Prompt::Chat(messages(prompt, said)),
                (Api::Completions, Prompts::Text) => Prompt::Text(texts(prompt, said).collect()),
                (Api::Completions, Prompts::Tokens) => Prompt::Ids(prompt),
            },
            max_tokens: (!self.fields.renamed).then_some(output_tokens),
            max_completion_tokens: self.fields.renamed.then_some(output_tokens),
        };
        // Texts and numbers alone: nothing here can fail to be JSON.
        serde_json::to_vec(&completion).unwrap_or_default().into()
    }

    /// A request with this body to an address; `id` is what it is called there.
    pub(super) fn post(&self, address: usize, id: String, body: reqwest::Body) -> RequestBuilder {
        let path = self.api.path();
        let url = self.addresses.get(address).map(|address| address.at(path)).unwrap_or_default();
        let request = self.client.post(url).header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::ACCEPT, "text/event-stream").header("x-request-id", id);
        request.headers(self.headers.clone()).body(body)
    }

    /// The request of the load with this number. `sent` is told when its body is handed to the socket.
    pub(super) fn numbered(
        &self,
        address: usize,
        index: u64,
        body: Bytes,
        clock: SharedClock,
        sent: oneshot::Sender<Micros>,
    ) -> RequestBuilder {
        let body = Stamped { bytes: Some(body), sent: Some(sent), clock };
        let request = self.post(address, self.run.request(&index.to_string()), reqwest::Body::wrap(body));
        request.header("traceparent", self.run.trace(index))
    }
}

/// A body that tells when it is asked for its bytes: a connection asks when it is there, just before it writes.
struct Stamped {
    bytes: Option<Bytes>,
    sent: Option<oneshot::Sender<Micros>>,
    clock: SharedClock,
}

impl Body for Stamped {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        if let Some(sent) = self.sent.take() {
            // Nobody listens any more when the request has been given up.
            let _ = sent.send(self.clock.now());
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
