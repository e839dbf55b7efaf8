//! `/v1/completions` and `/v1/chat/completions`.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;

use super::body;
use super::events::Events;
use super::respond::{self, EVENTS, JSON, Pieces};
use super::routes::Served;
use crate::clock::unix_seconds;
use crate::serve::choice::{Choice, Step, cached};
use crate::serve::hub::Refusal;
use crate::serve::openai::{ApiError, Ask, Endpoint, Heading, Planned, Reply, Usage, Written};
use crate::serve::text::Transcript;

/// Bodies up to this size are parsed where they are read; larger ones where nobody waits behind them.
const SMALL_BODY: usize = 32 * 1024;
/// The same for text that has to become tokens, which takes longer.
const SMALL_TEXT: usize = 2 * 1024;
/// The same for answers that have to become JSON.
const SMALL_ANSWER: usize = 64 * 1024;

pub(super) async fn completion(served: State<Arc<Served>>, headers: HeaderMap, body: Body) -> Response<Body> {
    let answered = generate(&served, Endpoint::Completion, &headers, body).await;
    answered.unwrap_or_else(|error| respond::error(&error))
}

pub(super) async fn chat(served: State<Arc<Served>>, headers: HeaderMap, body: Body) -> Response<Body> {
    let answered = generate(&served, Endpoint::Chat, &headers, body).await;
    answered.unwrap_or_else(|error| respond::error(&error))
}

async fn generate(
    served: &Arc<Served>,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, ApiError> {
    let body = body::read(headers, body, &served.config, &served.bodies).await?;
    let number = served.next.fetch_add(1, Ordering::Relaxed);
    let (reader, large) = (Arc::clone(served), body.bytes.len() > SMALL_BODY);
    let (ask, body) = apart(large, move || Ok((read(&reader, endpoint, &body.bytes)?, body))).await?;
    let (stream, n) = (ask.stream, ask.n());
    let logprobs = ask.logprobs().then(|| Arc::clone(&served.model.text));
    let (planner, large) = (Arc::clone(served), ask.work() > SMALL_TEXT);
    let planned = apart(large, move || ask.plan(&planner.model, number)).await?;
    // Its share goes back now rather than with the answer.
    drop(body);
    let told = if stream.is_none() { room_for(planned.logprobs(), served)? } else { None };
    let Planned { generations, untils, engine_stops, prompt_tokens, prompts } = planned;
    let answers = served.hub.generate(generations)?;
    let choices = answers.into_iter().zip(untils).map(|(answer, until)| {
        let transcript = Transcript::new(Arc::clone(&served.model.text), until);
        Choice::new(answer, transcript, engine_stops)
    });
    let choices = choices.collect();
    let streaming = stream.unwrap_or_default();
    let (created, model) = (unix_seconds(), served.model.name.clone());
    let reply = Reply::new(Heading { endpoint, number, created, model, streaming, prompts, logprobs });
    let usage = Usage { prompt: prompt_tokens, ..Usage::default() };
    if stream.is_none() {
        let (all, usage) = whole(choices, n, usage).await?;
        let large = all.iter().map(Written::work).sum::<usize>() > SMALL_ANSWER;
        let bytes = apart(large, move || Ok(reply.whole(&all, usage))).await?;
        return Ok(respond::with(StatusCode::OK, JSON, Body::new(Pieces { bytes, _share: told })));
    }
    let events = Events::new(reply, choices, n, usage);
    let mut response = respond::with(StatusCode::OK, EVENTS, Body::new(events));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Does `work` here, or where nobody waits behind it if it is `large`.
async fn apart<T: Send + 'static>(
    large: bool,
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    if large { spawn_blocking(work).await.map_err(|_| ApiError::stopping())? } else { work() }
}

fn read(served: &Served, endpoint: Endpoint, body: &[u8]) -> Result<Ask, ApiError> {
    let ask = Ask::read(endpoint, body, &served.model)?;
    let (asked, limit) = (ask.answers(), served.hub.config().in_flight_limit);
    if asked > limit {
        return Err(Refusal::TooMany { asked, limit }.into());
    }
    Ok(ask)
}

/// Takes room for `asked` log-probabilities in answers that are not streamed.
fn room_for(asked: u64, served: &Served) -> Result<Option<OwnedSemaphorePermit>, ApiError> {
    let limit = served.config.logprobs_limit;
    match u32::try_from(asked) {
        Ok(0) => Ok(None),
        Ok(asked) if asked as usize <= limit => {
            let share = Arc::clone(&served.logprobs).try_acquire_many_owned(asked);
            share.map(Some).map_err(|_| ApiError::busy("too many log-probabilities in all answers at once"))
        }
        Ok(_) | Err(_) => Err(ApiError::too_many_logprobs(asked, limit)),
    }
}

/// Waits for all choices and what they took. They are read in turn, all of them, so that none falls behind.
async fn whole(mut choices: Vec<Choice>, n: usize, usage: Usage) -> Result<(Vec<Written>, Usage), ApiError> {
    let mut all = vec![Written::default(); choices.len()];
    let mut over = vec![false; choices.len()];
    poll_fn(|context| {
        for ((choice, written), over) in choices.iter_mut().zip(&mut all).zip(&mut over) {
            while !*over {
                match choice.poll_next(context, &mut written.text) {
                    Poll::Pending => break,
                    Poll::Ready(Some(Step::Token(token, finish))) => {
                        written.tokens.push((token.token, token.logprobs));
                        written.finish = finish;
                    }
                    Poll::Ready(Some(Step::Failed(failure))) => {
                        return Poll::Ready(Err(ApiError::from(failure)));
                    }
                    Poll::Ready(Some(Step::Done) | None) => *over = true,
                }
            }
        }
        if over.iter().all(|over| *over) { Poll::Ready(Ok(())) } else { Poll::Pending }
    })
    .await?;
    let hits: Vec<_> = choices.iter().map(Choice::cached_tokens).collect();
    let completion = choices.iter().map(|choice| u64::from(choice.tokens())).sum();
    Ok((all, Usage { completion, cached: cached(&hits, n), ..usage }))
}
