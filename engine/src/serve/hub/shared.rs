//! The table of requests in flight, and the thread that routes events by it.
//!
//! The table's lock and the cluster's are never held together: what has to be cancelled is collected first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, oneshot, watch};

use super::answer::{Answer, Delivery, End, Over, Token};
use super::counts::{Counts, Times};
use super::news::NewsReader;
use super::{Generation, HubConfig, Refusal};
use crate::drive::wall::{EngineEvent, EngineHandle, EventReader, Submission, SubmitError};
use crate::units::{Nanos, RequestId};

/// How long the router sleeps when nothing happens; the engine's end wakes it.
const IDLE: Duration = Duration::from_mins(1);

/// A request in flight.
#[derive(Debug)]
struct Entry {
    /// `None` once nobody reads the answer any more; the engine is about to let the request go.
    delivery: Option<Delivery>,
    times: Times,
    /// As its consumer saw them when it had all it wanted, if it did before the engine was done.
    complete: Option<Times>,
}

/// Why a consumer reads no further.
#[derive(Clone, Copy, Debug)]
pub(super) enum Why {
    /// It went away.
    Gone,
    /// It has all it wanted: so many tokens, the last of which came then.
    Complete { tokens: u32, at: Nanos },
}

#[derive(Debug)]
struct Table {
    entries: FxHashMap<RequestId, Entry>,
    next: u64,
    counts: Counts,
    closed: bool,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) handle: EngineHandle,
    pub(super) config: HubConfig,
    table: Mutex<Table>,
    in_flight: watch::Sender<usize>,
    /// Taken away when the engine has stopped, which ends every reader.
    news: Mutex<Option<broadcast::Sender<EngineEvent>>>,
}

impl Table {
    /// Hands an event to whom it is for, and gives it back if that is everyone. What has to be cancelled is added to
    /// `cancelled`: it has come out of the engine's inbox, for it has a token.
    fn route(&mut self, event: EngineEvent, cancelled: &mut FxHashSet<RequestId>) -> Option<EngineEvent> {
        let Self { entries, counts, .. } = self;
        match event {
            EngineEvent::Token { at, request, token, logits_digest, logprobs, .. } => {
                let entry = entries.get_mut(&request)?;
                counts.token(&mut entry.times, at);
                let Some(delivery) = &entry.delivery else {
                    // It was in the inbox when it was cancelled, or the engine was faster with the token.
                    cancelled.insert(request);
                    return None;
                };
                let sent = delivery.tokens.try_send(Token { at, token, logits_digest, logprobs });
                if let Err(TrySendError::Full(_)) = sent {
                    counts.overrun += 1;
                    end(entry.delivery.take(), End::Overrun, entry.times);
                    cancelled.insert(request);
                }
            }
            EngineEvent::Finished { finished, .. } => {
                let Entry { delivery, times, complete } = entries.remove(&finished.request)?;
                if let Some(times) = complete {
                    counts.stages(&times, &finished);
                }
                end(delivery, End::Finished(finished), times);
            }
            EngineEvent::Refused { request, why, .. } => {
                let entry = entries.remove(&request)?;
                end(entry.delivery, End::Refused(why.to_string()), entry.times);
            }
            EngineEvent::Notice { .. } | EngineEvent::ShiftDropped { .. } | EngineEvent::UnitLost { .. } => {
                counts.news(&event);
                return Some(event);
            }
        }
        None
    }
}

impl Shared {
    pub(super) fn new(handle: EngineHandle, config: HubConfig) -> Self {
        let table = Table { entries: FxHashMap::default(), next: 0, counts: Counts::new(), closed: false };
        let news = broadcast::Sender::new(config.news_buffer.max(1));
        let in_flight = watch::Sender::new(0);
        Self { handle, config, table: Mutex::new(table), in_flight, news: Mutex::new(Some(news)) }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// See [`super::Hub::generate`].
    pub(super) fn generate(shared: &Arc<Self>, batch: Vec<Generation>) -> Result<Vec<Answer>, Refusal> {
        for generation in &batch {
            shared.check(generation)?;
        }
        let limit = shared.config.in_flight_limit;
        if batch.len() > limit {
            return Err(Refusal::TooMany { asked: batch.len(), limit });
        }
        let (mut answers, mut submissions) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        let submitted = shared.handle.clock().now();
        {
            let mut table = shared.lock();
            if table.closed {
                return Err(Refusal::Closed);
            }
            if table.entries.len() + batch.len() > limit {
                table.counts.turned_away += batch.len() as u64;
                return Err(Refusal::Full { limit });
            }
            for Generation { prompt, output_tokens, sampling, stop, logprobs } in batch {
                let request = RequestId(table.next);
                table.next += 1;
                let (answer, delivery) = Answer::new(request, Arc::clone(shared));
                let prompt_tokens = prompt.len() as u32;
                let times = Times { submitted, first: None, last: None, tokens: 0, prompt_tokens };
                table.entries.insert(request, Entry { delivery: Some(delivery), times, complete: None });
                answers.push(answer);
                submissions.push(Submission { request, prompt, output_tokens, sampling, stop, logprobs });
            }
            shared.tell_in_flight(&table);
        }
        shared.submit(submissions)?;
        Ok(answers)
    }

    fn check(&self, generation: &Generation) -> Result<(), Refusal> {
        let HubConfig { context_tokens: context, vocabulary, .. } = self.config;
        let (prompt, output) = (generation.prompt.len(), generation.output_tokens);
        if prompt == 0 || output == 0 {
            return Err(Refusal::Empty { prompt, output });
        }
        if prompt as u64 + u64::from(output) > u64::from(context) {
            return Err(Refusal::TooLong { prompt, output, context });
        }
        // One unknown id would cost the unit that met it.
        match generation.prompt.iter().find(|&&token| token >= vocabulary) {
            Some(&token) => Err(Refusal::UnknownToken { token, vocabulary }),
            None => Ok(()),
        }
    }

    /// Hands requests to the engine. Where it does not take one, those after it are not submitted either, and the answers
    /// that the caller drops then cancel those before it.
    fn submit(&self, submissions: Vec<Submission>) -> Result<(), Refusal> {
        let lengths: Vec<_> = submissions.iter().map(|one| (one.request, one.prompt.len() as u64)).collect();
        let mut refused = None;
        let mut taken = 0;
        for submission in submissions {
            if let Err(error) = self.handle.submit(submission) {
                refused = Some(error);
                break;
            }
            taken += 1;
        }
        let (taken, left) = lengths.split_at_checked(taken).unwrap_or((&lengths, &[]));
        let mut table = self.lock();
        table.counts.admitted += taken.len() as u64;
        table.counts.prompt_tokens += taken.iter().map(|(_, length)| length).sum::<u64>();
        table.counts.turned_away += left.len() as u64;
        for (request, _) in left {
            table.entries.remove(request);
        }
        self.tell_in_flight(&table);
        match refused {
            None => Ok(()),
            Some(SubmitError::Full | SubmitError::TooMany) => Err(Refusal::Full { limit: self.config.in_flight_limit }),
            Some(SubmitError::Closed) => Err(Refusal::Closed),
        }
    }

    /// The consumer of an answer has come to its end.
    pub(super) fn ended(&self, over: &Over) {
        let counts = &mut self.lock().counts;
        match &over.end {
            End::Finished(finished) => counts.finished(&over.times, finished),
            End::Refused(_) | End::Stopped => counts.failed += 1,
            // Was counted when the hub ended it.
            End::Overrun => {}
        }
    }

    /// The consumer of `request` reads no further; `end` is where it would have come to. How it is counted does not depend on
    /// how far the engine is.
    pub(super) fn leave(&self, request: RequestId, end: &mut oneshot::Receiver<Over>, why: Why) {
        {
            let mut table = self.lock();
            let Table { entries, counts, .. } = &mut *table;
            let Some(entry) = entries.get_mut(&request) else {
                // The engine was done before. One that never was in the engine has no end.
                if let Ok(over) = end.try_recv() {
                    counts.left(&over, why);
                }
                return;
            };
            // One that was ended by the hub has been counted.
            if entry.delivery.take().is_none() {
                return;
            }
            match why {
                Why::Gone => counts.abandoned += 1,
                Why::Complete { tokens, at } => {
                    let times = entry.times.cut(tokens, at);
                    counts.stopped += 1;
                    counts.completed(&times);
                    entry.complete = Some(times);
                }
            }
        }
        self.handle.cancel(request);
    }

    /// Routes events until the engine has stopped, then ends every answer that is left.
    pub(super) fn run(&self, reader: &EventReader) {
        let (mut events, mut cancelled) = (Vec::new(), FxHashSet::default());
        while reader.drain(&mut events, IDLE) {
            self.route(&mut events, &mut cancelled);
            for request in cancelled.drain() {
                self.handle.cancel_accepted(request);
            }
        }
        self.news.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut table = self.lock();
        table.closed = true;
        for (_, entry) in table.entries.drain() {
            end(entry.delivery, End::Stopped, entry.times);
        }
        self.tell_in_flight(&table);
    }

    fn route(&self, events: &mut Vec<EngineEvent>, cancelled: &mut FxHashSet<RequestId>) {
        let mut table = self.lock();
        for event in events.drain(..) {
            if let Some(event) = table.route(event, cancelled)
                && let Some(news) = &*self.news.lock().unwrap_or_else(PoisonError::into_inner)
            {
                // Without a reader there is nobody to tell.
                let _ = news.send(event);
            }
        }
        self.tell_in_flight(&table);
    }

    fn tell_in_flight(&self, table: &Table) {
        self.in_flight.send_if_modified(|now| std::mem::replace(now, table.entries.len()) != table.entries.len());
    }

    pub(super) fn news(&self) -> NewsReader {
        let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        // After the engine's end: a reader whose sender is gone already.
        NewsReader(news.as_ref().map_or_else(|| broadcast::channel(1).1, broadcast::Sender::subscribe))
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts.clone()
    }

    pub(super) fn in_flight(&self) -> usize {
        *self.in_flight.borrow()
    }

    pub(super) fn close(&self) {
        self.lock().closed = true;
    }

    pub(super) async fn idle(&self) {
        // An error would mean that the sender is gone, which is a field of this.
        let _ = self.in_flight.subscribe().wait_for(|requests| *requests == 0).await;
    }
}

/// Tells a consumer, if there still is one, how its answer ended. Dropping the tokens' sender is what makes it look.
fn end(delivery: Option<Delivery>, end: End, times: Times) {
    if let Some(Delivery { tokens, end: told }) = delivery {
        // A consumer that has gone is the one that needs no telling.
        let _ = told.send(Over { end, times });
        drop(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::WallClock;

    #[test]
    fn a_request_that_nobody_waits_for_is_cancelled_once_a_batch() {
        let times = Times { submitted: WallClock::start().now(), first: None, last: None, tokens: 0, prompt_tokens: 1 };
        let entry = || Entry { delivery: None, times, complete: None };
        let entries = [1, 2].map(|request| (RequestId(request), entry())).into_iter().collect();
        let mut table = Table { entries, next: 3, counts: Counts::new(), closed: false };
        let mut cancelled = FxHashSet::default();
        for (index, request) in [1, 2, 1, 1, 7, 2].map(RequestId).into_iter().enumerate() {
            let at = Nanos(index as u64);
            let token = EngineEvent::Token { at, request, index: 0, token: 5, logits_digest: 0, logprobs: None };
            assert!(table.route(token, &mut cancelled).is_none());
        }
        assert_eq!(cancelled, [1, 2].map(RequestId).into_iter().collect());
        assert_eq!(table.counts.output_tokens, 5, "one is unknown");
    }
}
