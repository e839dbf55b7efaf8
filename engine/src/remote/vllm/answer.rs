//! An answer of vLLM's as it comes.

use std::sync::Arc;

use tonic::Streaming;

use crate::remote::RemoteError;
use crate::remote::peer::Peer;
use crate::wire::Malformed;
use crate::wire::vllm::generate_response::Response;
use crate::wire::vllm::{GenerateComplete, GenerateResponse, GenerateStreamChunk};

/// Something of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VllmEvent {
    /// Tokens.
    Chunk(VllmChunk),
    /// The end of the answer.
    Complete(VllmComplete),
}

/// Tokens that came since the chunk before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VllmChunk {
    /// Their ids, in order.
    pub tokens: Vec<u32>,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Those of them that the prefix cache had.
    pub cached_tokens: u32,
}

/// How an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VllmComplete {
    /// Behind chunks, the tokens of the last one again; else all of the answer.
    pub tokens: Vec<u32>,
    /// Why it ended: `stop`, `length`, `abort` or `error`.
    pub finish_reason: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Those of them that the prefix cache had.
    pub cached_tokens: u32,
}

/// The answer to one request as it arrives. Dropped before its end, it cancels the request in the engine.
#[derive(Debug)]
pub struct VllmAnswer {
    peer: Arc<Peer>,
    stream: Streaming<GenerateResponse>,
}

impl VllmAnswer {
    pub(super) fn new(peer: Arc<Peer>, stream: Streaming<GenerateResponse>) -> Self {
        Self { peer, stream }
    }

    /// What comes next; `None` once the server has said that nothing more comes. May be given up at any moment without losing
    /// anything.
    ///
    /// # Errors
    /// When the server ended the answer before its time, the connection broke, or what came makes no sense.
    pub async fn next(&mut self) -> Option<Result<VllmEvent, RemoteError>> {
        match self.stream.message().await {
            Ok(Some(message)) => Some(self.event(message)),
            Ok(None) => None,
            Err(status) => Some(Err(self.peer.status(&status))),
        }
    }

    fn event(&self, message: GenerateResponse) -> Result<VllmEvent, RemoteError> {
        let (event, index) = match message.response {
            Some(Response::Chunk(GenerateStreamChunk { token_ids, prompt_tokens, cached_tokens, index })) => {
                (VllmEvent::Chunk(VllmChunk { tokens: token_ids, prompt_tokens, cached_tokens }), index)
            }
            Some(Response::Complete(complete)) => {
                let GenerateComplete { output_ids, finish_reason, prompt_tokens, cached_tokens, index } = complete;
                let finish_reason = self.peer.words(&finish_reason);
                let complete = VllmComplete { tokens: output_ids, finish_reason, prompt_tokens, cached_tokens };
                (VllmEvent::Complete(complete), index)
            }
            None => {
                return Err(self.peer.malformed(&Malformed("a piece of an answer without tokens or end".to_owned())));
            }
        };
        match index {
            0 => Ok(event),
            _ => Err(self.peer.malformed(&Malformed(format!("answer {index} of one that was asked for")))),
        }
    }
}
