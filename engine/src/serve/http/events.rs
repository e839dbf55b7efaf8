//! A streamed answer: a response body that is made as it is asked for.
//!
//! Whoever writes the socket pulls; while the client does not read, nothing is pulled and the hub's buffers fill up to
//! their bound. Dropping the body drops the choices, which cancels their requests.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};

use crate::serve::choice::{Choice, Step};
use crate::serve::openai::{ApiError, Piece, Reply, Usage, sse};

/// Bytes after which a frame is sent even if there is more.
const FRAME: usize = 16 * 1024;

/// The events of one request.
#[derive(Debug)]
pub(super) struct Events {
    reply: Reply,
    choices: Vec<Stream>,
    /// The usage so far, where the client wants it in the end.
    usage: Option<Usage>,
    /// The text of one token; kept for its memory.
    text: String,
    over: bool,
}

#[derive(Debug)]
struct Stream {
    choice: Choice,
    begun: bool,
    over: bool,
}

impl Events {
    pub(super) fn new(reply: Reply, choices: Vec<Choice>, usage: Option<Usage>) -> Self {
        let stream = |choice| Stream { choice, begun: false, over: false };
        Self { reply, choices: choices.into_iter().map(stream).collect(), usage, text: String::new(), over: false }
    }

    /// Appends what is there; `true` when nothing more will come.
    fn pull(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> bool {
        for (index, stream) in self.choices.iter_mut().enumerate() {
            while !stream.over && out.len() < FRAME {
                self.text.clear();
                match stream.choice.poll_next(context, &mut self.text) {
                    Poll::Pending => break,
                    Poll::Ready(Some(Step::Token(token, finish))) => {
                        let (text, first) = (self.text.as_str(), !stream.begun);
                        self.reply.piece(Piece { index, text, first, finish, token: token.token }, out);
                        stream.begun = true;
                    }
                    Poll::Ready(Some(Step::Failed(failure))) => {
                        sse::push(&ApiError::from(failure).body(), out);
                        out.extend_from_slice(sse::DONE);
                        return true;
                    }
                    Poll::Ready(Some(Step::Done) | None) => {
                        stream.over = true;
                        if let Some(usage) = &mut self.usage {
                            usage.completion += u64::from(stream.choice.tokens());
                            usage.cached += u64::from(stream.choice.cached_tokens().unwrap_or(0));
                        }
                    }
                }
            }
        }
        if !self.choices.iter().all(|stream| stream.over) {
            return false;
        }
        if let Some(usage) = self.usage {
            self.reply.usage(usage, out);
        }
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
        let mut out = Vec::new();
        if self.pull(cx, &mut out) {
            self.over = true;
            self.choices.clear();
        }
        if out.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }
}
