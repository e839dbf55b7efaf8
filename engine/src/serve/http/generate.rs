//! `/v1/completions` and `/v1/chat/completions`.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use tokio::task::spawn_blocking;

use super::body;
use super::body::Bytes;
use super::events::Events;
use super::respond::{self, EVENTS, JSON};
use super::routes::Served;
use crate::clock::unix_seconds;
use crate::serve::choice::{Choice, Step};
use crate::serve::hub::Refusal;
use crate::serve::openai::{ApiError, Ask, Endpoint, Heading, Planned, Reply, Usage, Written};
use crate::serve::text::Transcript;

/// Bodies up to this size are parsed and tokenized where they are read; larger ones where nobody waits behind them.
const SMALL_BODY: usize = 8 * 1024;

pub(super) async fn completion(served: State<Arc<Served>>, headers: HeaderMap, body: Body) -> Response<Body> {
    let answered = generate(&served, Endpoint::Completion, &headers, body).await;
    answered.unwrap_or_else(|error| respond::error(&error))
}

pub(super) async fn chat(served: State<Arc<Served>>, headers: HeaderMap, body: Body) -> Response<Body> {
    let answered = generate(&served, Endpoint::Chat, &headers, body).await;
    answered.unwrap_or_else(|error| respond::error(&error))
}

/// What a body has become.
struct Prepared {
    planned: Planned,
    stream: bool,
    include_usage: bool,
}

async fn generate(
    served: &Arc<Served>,
    endpoint: Endpoint,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response<Body>, ApiError> {
    let body = body::read(headers, body, &served.config, &served.bodies).await?;
    let number = served.next.fetch_add(1, Ordering::Relaxed);
    let prepared = if body.bytes.len() <= SMALL_BODY {
        prepare(served, endpoint, &body, number)?
    } else {
        let served = Arc::clone(served);
        let prepared = spawn_blocking(move || prepare(&served, endpoint, &body, number)).await;
        prepared.map_err(|_| ApiError::stopping())??
    };
    let Prepared { planned, stream, include_usage } = prepared;
    let Planned { generations, untils, engine_stops, prompt_tokens, prompts } = planned;
    let answers = served.hub.generate(generations)?;
    let choices = answers.into_iter().zip(untils).map(|(answer, until)| {
        let transcript = Transcript::new(Arc::clone(&served.model.text), until);
        Choice::new(answer, transcript, engine_stops)
    });
    let choices = choices.collect();
    let (created, model) = (unix_seconds(), served.model.name.clone());
    let reply = Reply::new(Heading { endpoint, number, created, model, include_usage, prompts });
    let usage = Usage { prompt: prompt_tokens, ..Usage::default() };
    if !stream {
        return Ok(respond::with(StatusCode::OK, JSON, whole(choices, &reply, usage).await?));
    }
    let events = Events::new(reply, choices, include_usage.then_some(usage));
    let mut response = respond::with(StatusCode::OK, EVENTS, Body::new(events));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn prepare(served: &Served, endpoint: Endpoint, body: &Bytes, number: u64) -> Result<Prepared, ApiError> {
    let ask = Ask::read(endpoint, &body.bytes, &served.model.name)?;
    let (asked, limit) = (ask.answers(), served.hub.config().in_flight_limit);
    if asked > limit {
        return Err(Refusal::TooMany { asked, limit }.into());
    }
    let (stream, include_usage) = (ask.stream, ask.include_usage);
    Ok(Prepared { planned: ask.plan(&served.model, number)?, stream, include_usage })
}

/// Waits for all choices and puts them together. They are read in turn, all of them, so that none falls behind.
async fn whole(mut choices: Vec<Choice>, reply: &Reply, mut usage: Usage) -> Result<Vec<u8>, ApiError> {
    let mut all = vec![Written::default(); choices.len()];
    let mut over = vec![false; choices.len()];
    poll_fn(|context| {
        for ((choice, written), over) in choices.iter_mut().zip(&mut all).zip(&mut over) {
            while !*over {
                match choice.poll_next(context, &mut written.text) {
                    Poll::Pending => break,
                    Poll::Ready(Some(Step::Token(token, finish))) => {
                        written.tokens.push(token.token);
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
    for choice in &choices {
        usage.completion += u64::from(choice.tokens());
        usage.cached += u64::from(choice.cached_tokens().unwrap_or(0));
    }
    Ok(reply.whole(&all, usage))
}
