//! Many consumers of one engine, without any transport.
//!
//! A wall engine has one event reader. The hub owns it, and everything that serves the engine to the outside goes through
//! a [`Hub`]: it admits requests up to a bound, numbers them, routes every token to the answer it belongs to, cancels what
//! nobody reads any more, counts, and passes the news of units and shifts on.
//!
//! # Queues, and what a full one does
//! - Requests in flight: bounded by [`HubConfig::in_flight_limit`]; a batch that does not fit whole is refused, nothing of
//!   it is submitted. A cancelled request counts until the engine has let it go.
//! - Tokens of an answer: bounded by [`HubConfig::answer_buffer`]; a consumer that is further behind loses its request, which
//!   is cancelled, ends with [`End::Overrun`] and is counted. So no consumer can stall the engine's events.
//! - News: bounded by [`HubConfig::news_buffer`]; a reader that is further behind is told how many it missed.
//!
//! # Ends
//! An answer ends with exactly one [`End`], unless it is dropped before: then its request is cancelled at once. It is counted
//! when its consumer comes to the end, leaves, or has all it wanted, and not when the engine is done: how far the engine is
//! ahead does not decide what is counted. Between the two it is neither in flight nor over. Only a consumer that is too far
//! behind is counted at once.

mod answer;
mod counts;
mod news;
mod shared;

use std::sync::Arc;
use std::thread::JoinHandle;

pub use answer::{Answer, End, Part, Token};
pub use counts::Counts;
pub use news::{News, NewsReader};

use crate::cluster::{How, ShiftId};
use crate::drive::wall::{EventReader, Observation, ShiftError, WallEngine};
use crate::executor::Sampling;
use crate::units::Split;
use shared::Shared;

/// The bounds of a hub, and what the engine behind it can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HubConfig {
    /// Requests in flight at most.
    pub in_flight_limit: usize,
    /// Tokens that an answer's consumer may be behind.
    pub answer_buffer: usize,
    /// News that a reader of them may be behind.
    pub news_buffer: usize,
    /// Longest sequence, prompt and answer together.
    pub context_tokens: u32,
    /// Token ids run from 0 to this, exclusive.
    pub vocabulary: u32,
}

impl HubConfig {
    /// Bounds that suit an engine on one machine.
    pub fn new(context_tokens: u32, vocabulary: u32) -> Self {
        Self { in_flight_limit: 1024, answer_buffer: 1024, news_buffer: 1024, context_tokens, vocabulary }
    }
}

/// An answer that is wanted.
#[derive(Clone, Debug)]
pub struct Generation {
    /// Token ids of the prompt.
    pub prompt: Arc<[u32]>,
    /// Tokens after which the answer ends at the latest.
    pub output_tokens: u32,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens that end the answer.
    pub stop: Arc<[u32]>,
    /// Whether to tell how likely each token was, and how many of the likeliest beside it.
    pub logprobs: Option<u8>,
}

impl Generation {
    /// Stop tokens of one request at most; each token of an answer is compared with all of them.
    pub(crate) const STOP_TOKENS: usize = 1024;
    /// The highest temperature.
    pub(crate) const HOTTEST: f32 = 2.0;
}

/// Why nothing of a batch was submitted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No token in the prompt, or none asked for.
    #[error("a request needs at least one prompt token and one answer token, not {prompt} and {output}")]
    Empty {
        /// Prompt tokens.
        prompt: usize,
        /// Answer tokens.
        output: u32,
    },
    /// Prompt and answer together exceed the context.
    #[error("{prompt} prompt tokens and {output} answer tokens exceed the context of {context} tokens")]
    TooLong {
        /// Prompt tokens.
        prompt: usize,
        /// Answer tokens.
        output: u32,
        /// Most tokens of both together.
        context: u32,
    },
    /// A token id that the model does not have.
    #[error("token id {token} is outside the vocabulary of {vocabulary}")]
    UnknownToken {
        /// The id.
        token: u32,
        /// Ids run from 0 to this, exclusive.
        vocabulary: u32,
    },
    /// More requests than could ever be in flight.
    #[error("{asked} answers at once are more than the {limit} that may be in flight")]
    TooMany {
        /// Answers asked for.
        asked: usize,
        /// The bound.
        limit: usize,
    },
    /// As many requests as allowed are in flight; later there may be room.
    #[error("too many requests are in flight: {limit} at most")]
    Full {
        /// The bound.
        limit: usize,
    },
    /// The hub admits nothing any more.
    #[error("the server is stopping")]
    Closed,
}

/// A served engine; cheap to clone. The engine stops when the last clone is dropped, which waits for its threads.
#[derive(Clone, Debug)]
pub struct Hub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    engine: Option<WallEngine>,
    router: Option<JoinHandle<()>>,
}

impl Hub {
    /// Takes an engine over.
    ///
    /// # Errors
    /// When the thread that routes events cannot be started.
    pub fn start(engine: WallEngine, reader: EventReader, config: HubConfig) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(engine.handle(), config));
        let routed = Arc::clone(&shared);
        let router = std::thread::Builder::new().name("hub".to_owned()).spawn(move || routed.run(&reader))?;
        Ok(Self(Arc::new(Inner { shared, engine: Some(engine), router: Some(router) })))
    }

    /// The bounds.
    pub fn config(&self) -> &HubConfig {
        &self.0.shared.config
    }

    /// Submits all of `batch` or nothing; the answers stand in its order.
    ///
    /// # Errors
    /// When one of them could never be served, there is no room for all, or the hub is closed.
    pub fn generate(&self, batch: Vec<Generation>) -> Result<Vec<Answer>, Refusal> {
        Shared::generate(&self.0.shared, batch)
    }

    /// Asks for a shift, unless the engine's state is no longer of the [generation](Observation::generation) that is `expected`,
    /// if one is. What becomes of it is told by the news, under the number returned here.
    ///
    /// # Errors
    /// When the split is not for this engine's units or could not serve, too many shifts wait, or something has moved; nothing
    /// has changed then.
    pub fn shift(&self, to: Split, how: How, expected: Option<u64>) -> Result<ShiftId, ShiftError> {
        self.0.shared.handle.shift_at(to, how, expected)
    }

    /// The engine as it is now.
    pub fn observe(&self) -> Observation {
        self.0.shared.handle.observe()
    }

    /// Everything from now on that happens to units and shifts.
    pub fn news(&self) -> NewsReader {
        self.0.shared.news()
    }

    /// What was counted since the start.
    pub fn counts(&self) -> Counts {
        self.0.shared.counts()
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> usize {
        self.0.shared.in_flight()
    }

    /// Admits nothing from now on; what is in flight goes on.
    pub fn close(&self) {
        self.0.shared.close();
    }

    /// Waits until nothing is in flight.
    pub async fn idle(&self) {
        self.0.shared.idle().await;
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // First the engine: its end is what the router waits for.
        drop(self.engine.take());
        if let Some(router) = self.router.take() {
            // A router that panicked has ended all answers by dropping their senders; there is nobody left to tell.
            let _ = router.join();
        }
    }
}
