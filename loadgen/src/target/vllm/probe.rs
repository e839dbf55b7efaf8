//! One small request before the load: what fails every request of a run should not take a run to be found.

use std::sync::Arc;
use std::time::Duration;

use engine::remote::vllm::{VllmAddress, VllmEngine, VllmRequest};
use engine::remote::{RemoteError, StatusCode};

use super::OpenError;
use super::answer::Answer;
use super::serve::{linger, outcome};
use crate::sample::{FailureKind, Outcome};
use crate::target::remote::{FIRST_ANSWER, RunId, failed};

/// Its prompt: ids that most models have.
const PROMPT: [u32; 4] = [100, 101, 102, 103];
/// Tokens of its answer.
const OUTPUT: u32 = 1;

/// Asks for one token, and gives back what is to be remarked of the answer. It may take so long: an engine that is slow or full is
/// not refused for that, the load will show it.
///
/// # Errors
/// When the engine refuses what the load would be made of.
pub(super) async fn probe(
    engine: &VllmEngine,
    address: &VllmAddress,
    run: RunId,
    vocabulary: u32,
    within: Duration,
) -> Result<Option<String>, OpenError> {
    let prompt: Arc<[u32]> = PROMPT.iter().map(|token| token % vocabulary.max(1)).collect();
    let request = VllmRequest { id: run.request("probe"), traceparent: None, prompt, output_tokens: OUTPUT };
    let within = within.max(FIRST_ANSWER);
    let outcome = match tokio::time::timeout(within, ask(engine, &request)).await {
        Ok(Err(error)) if refuses(&error) => return Err(OpenError::Refused { address: address.clone(), error }),
        Ok(answered) => answered.unwrap_or_else(|error| outcome(&error)),
        Err(_) => failed(FailureKind::Timeout, format!("no answer within {within:?}")),
    };
    let why = match outcome {
        Outcome::Completed => return Ok(None),
        Outcome::Failed(failure) => format!("{}: {}", failure.kind, failure.message),
        other => format!("{other:?}").to_lowercase(),
    };
    Ok(Some(format!("a request for one token before the load was not answered well: {why}")))
}

/// Whether it would refuse any other request as well.
fn refuses(error: &RemoteError) -> bool {
    let refusals = [
        StatusCode::InvalidArgument,
        StatusCode::Unauthenticated,
        StatusCode::PermissionDenied,
        StatusCode::NotFound,
        StatusCode::Unimplemented,
    ];
    error.code().is_some_and(|code| refusals.contains(&code))
}

async fn ask(engine: &VllmEngine, request: &VllmRequest) -> Result<Outcome, RemoteError> {
    let mut answer = Answer::new(request.prompt.len(), request.output_tokens);
    let mut stream = engine.generate(request, || {}).await?;
    while !answer.is_over() {
        let Some(event) = stream.next().await else { break };
        answer.take(event?);
    }
    linger(stream).await;
    Ok(answer.end(Outcome::Cut).outcome)
}
