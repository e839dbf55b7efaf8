//! Requests as they go out.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::{Client, RequestBuilder, header};
use serde::Serialize;
use tokio::sync::oneshot;

use crate::http::{ApiKey, HttpAddress, with_key};
use crate::target::Dispatch;
use crate::target::remote::SharedClock;
use crate::time::Micros;

/// Makes requests for completions.
#[derive(Debug)]
pub(super) struct Requests {
    client: Client,
    address: String,
    key: Option<ApiKey>,
    model: String,
    /// Begins the id of every request.
    run: String,
    extension: Extension,
}

/// What a server is asked for beyond `OpenAI`'s protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extension {
    /// vLLM's fields, which other servers ignore.
    TokenIds,
    /// Dynamo's own, whose frontend refuses fields that it does not know: who serves the request, and what took how long.
    Dynamo,
}

#[derive(Serialize)]
struct Completion<'a> {
    model: &'a str,
    prompt: &'a [u32],
    max_tokens: u32,
    min_tokens: u32,
    ignore_eos: bool,
    temperature: f32,
    stream: bool,
    stream_options: StreamOptions,
    #[serde(skip_serializing_if = "Option::is_none")]
    return_token_ids: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nvext: Option<Nvext>,
}

#[derive(Serialize)]
struct Nvext {
    extra_fields: [&'static str; 2],
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

impl Requests {
    pub(super) fn new(client: Client, address: &HttpAddress, key: Option<ApiKey>, model: String, run: String) -> Self {
        Self { client, address: address.at("/v1/completions"), key, model, run, extension: Extension::TokenIds }
    }

    /// The same with another extension.
    pub(super) fn with(self, extension: Extension) -> Self {
        Self { extension, ..self }
    }

    /// The key, to be kept out of messages.
    pub(super) fn key(&self) -> Option<&ApiKey> {
        self.key.as_ref()
    }

    /// The request for an answer. `sent` is told when its body is handed to the socket.
    pub(super) fn completion(
        &self,
        dispatch: &Dispatch,
        clock: SharedClock,
        sent: oneshot::Sender<Micros>,
    ) -> RequestBuilder {
        let completion = Completion {
            model: &self.model,
            prompt: &dispatch.prompt,
            max_tokens: dispatch.output_tokens,
            // A load test wants the length it asked for.
            min_tokens: dispatch.output_tokens,
            ignore_eos: true,
            temperature: 0.0,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            return_token_ids: (self.extension == Extension::TokenIds).then_some(true),
            nvext: (self.extension == Extension::Dynamo).then_some(Nvext { extra_fields: ["timing", "worker_id"] }),
        };
        // Texts and numbers alone: nothing here can fail to be JSON.
        let json = serde_json::to_vec(&completion).unwrap_or_default();
        let body = Stamped { bytes: Some(json.into()), sent: Some(sent), clock };
        let request = self.client.post(&self.address).header(header::CONTENT_TYPE, "application/json");
        let request = request.header(header::ACCEPT, "text/event-stream");
        let request = request.header("x-request-id", format!("{}-{}", self.run, dispatch.index));
        with_key(request, self.key()).body(reqwest::Body::wrap(body))
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
