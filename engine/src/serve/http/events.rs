//! A streamed answer: a response body that is made as it is asked for.
//!
//! Whoever writes the socket pulls; while the client does not read, nothing is pulled and the hub's buffers fill up to
//! their bound. Dropping the body drops the choices, which cancels their requests.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame};

use crate::serve::choice::{Choice, Step, cached};
use crate::serve::openai::{ApiError, Piece, Reply, Usage, sse};

/// Bytes after which a frame is sent even if there is more.
const FRAME: usize = 16 * 1024;

/// The events of one request.
#[derive(Debug)]
pub(super) struct Events {
    reply: Reply,
    choices: Vec<Stream>,
    /// Choices of each prompt.
    n: usize,
    /// The usage so far.
    usage: Usage,
    /// The text of one token; kept for its memory.
    text: String,
    /// What has not been asked for yet; kept for its memory, which the last frame has given back by the next one.
    out: BytesMut,
    over: bool,
}

#[derive(Debug)]
struct Stream {
    choice: Choice,
    begun: bool,
    over: bool,
    /// Characters of the tokens so far, as far as anybody wants to know.
    offset: usize,
}

impl Events {
    pub(super) fn new(reply: Reply, choices: Vec<Choice>, n: usize, usage: Usage) -> Self {
        let stream = |choice| Stream { choice, begun: false, over: false, offset: 0 };
        Self {
            reply,
            choices: choices.into_iter().map(stream).collect(),
            n,
            usage,
            text: String::new(),
            out: BytesMut::new(),
            over: false,
        }
    }

    /// Appends what is there; `true` when nothing more will come.
    fn pull(&mut self, context: &mut Context<'_>, out: &mut BytesMut) -> bool {
        for (index, stream) in self.choices.iter_mut().enumerate() {
            while !stream.over && out.len() < FRAME {
                self.text.clear();
                match stream.choice.poll_next(context, &mut self.text) {
                    Poll::Pending => break,
                    Poll::Ready(Some(Step::Token(token, finish))) => {
                        let (text, first) = (self.text.as_str(), !stream.begun);
                        self.usage.completion += 1;
                        let (token, offset, usage) = ((token.token, token.logprobs), &mut stream.offset, self.usage);
                        self.reply.piece(Piece { index, text, first, finish, token, offset, usage }, out);
                        stream.begun = true;
                    }
                    Poll::Ready(Some(Step::Failed(failure))) => {
                        sse::push(&ApiError::from(failure).body(), out);
                        out.extend_from_slice(sse::DONE);
                        return true;
                    }
                    Poll::Ready(Some(Step::Done) | None) => stream.over = true,
                }
            }
        }
        if !self.choices.iter().all(|stream| stream.over) {
            return false;
        }
        let hits: Vec<_> = self.choices.iter().map(|stream| stream.choice.cached_tokens()).collect();
        self.reply.usage(Usage { cached: cached(&hits, self.n), ..self.usage }, out);
        out.extend_from_slice(sse::DONE);
        true
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut out = std::mem::take(&mut self.out);
        if self.pull(cx, &mut out) {
            self.over = true;
            self.choices.clear();
        }
        let frame = out.split().freeze();
        self.out = out;
        if frame.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }
}
