//! One request over gRPC.

use std::sync::Arc;

use engine::executor::Sampling;
use engine::remote::{RemoteEngine, RemoteError, StatusCode};
use engine::serve::hub::Generation;
use engine::units::Nanos;

use crate::control::server_clock::ServerClock;
use crate::sample::{FailureKind, Outcome};
use crate::target::remote::{End, Protocol, Report, of_call};
use crate::target::{Dispatch, embedded};

/// The protocol of generations.
#[derive(Debug)]
pub(super) struct Generations {
    pub(super) engine: RemoteEngine,
    pub(super) clock: Arc<ServerClock>,
}

impl Protocol for Generations {
    async fn serve(&self, dispatch: Dispatch, report: &mut Report) -> End {
        let generation = Generation {
            prompt: dispatch.prompt,
            output_tokens: dispatch.output_tokens,
            sampling: Sampling::Greedy,
            // A load test wants the length it asked for.
            stop: Arc::new([]),
            logprobs: None,
        };
        let sent = report.clock().now();
        let accepted = self.engine.generate(&generation).await;
        drop(generation);
        if !matches!(accepted, Err(RemoteError::Connect { .. })) {
            report.sent(sent).await;
        }
        let mut answer = match accepted {
            Ok(answer) => answer,
            Err(error) => return outcome(&error).into(),
        };
        while let Some(event) = answer.next().await {
            let at = report.clock().now();
            let event = match event {
                Ok(event) => event,
                Err(error) => return outcome(&error).into(),
            };
            report.tokens(at, event.tokens.iter().map(|token| (Some(token.token), token.logits_digest))).await;
            if let Some(finished) = event.finished {
                let on_run = |instant: Nanos| self.clock.on_run(instant, at);
                let server = Some(embedded::server_side(&finished, on_run));
                return End { server, ..embedded::outcome(finished.reason).into() };
            }
        }
        Outcome::Cut.into()
    }
}

/// What an error is for a load test.
fn outcome(error: &RemoteError) -> Outcome {
    of_call(error, |code| match code {
        StatusCode::ResourceExhausted | StatusCode::Unavailable => FailureKind::Refused,
        // The engine gave up an answer that we did not read fast enough, or could not compute it.
        StatusCode::Aborted => FailureKind::Engine,
        _ => FailureKind::Status,
    })
}
