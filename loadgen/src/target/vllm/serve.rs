//! One request over vLLM's gRPC.

use std::pin::pin;
use std::time::Duration;

use engine::remote::vllm::{VllmAnswer, VllmEngine, VllmRequest};
use engine::remote::{RemoteError, StatusCode};
use tokio::sync::oneshot;

use super::answer::Answer;
use crate::sample::{FailureKind, Outcome};
use crate::target::Dispatch;
use crate::target::remote::{Arrivals, End, Patience, Protocol, Report, RunId, Wait, of_call};

/// How long the end of a stream is waited for behind its last message: given up before, the engine would be told to abort what it
/// has just finished.
const LINGER: Duration = Duration::from_secs(1);

/// The protocol of generations.
#[derive(Debug)]
pub(super) struct Generations {
    pub(super) engine: VllmEngine,
    pub(super) patience: Patience,
    pub(super) run: RunId,
}

impl Protocol for Generations {
    async fn serve(&self, dispatch: Dispatch, report: &mut Report) -> End {
        let Dispatch { index, prompt, output_tokens, .. } = dispatch;
        let wait = Wait::new(self.patience);
        let answer = Answer::new(prompt.len(), output_tokens);
        let id = self.run.request(&index.to_string());
        let request = VllmRequest { id, traceparent: Some(self.run.trace(index)), prompt, output_tokens };
        let (stamp, mut sent) = oneshot::channel();
        let clock = report.clock().clone();
        let stamp = move || {
            // Nobody listens any more when the request has been given up.
            let _ = stamp.send(clock.now());
        };
        let mut asked = pin!(wait.out(self.engine.generate(&request, stamp)));
        let accepted = tokio::select! {
            biased;
            Ok(at) = &mut sent => {
                report.sent(at).await;
                asked.await
            }
            accepted = &mut asked => {
                if let Ok(at) = sent.try_recv() {
                    report.sent(at).await;
                }
                accepted
            }
        };
        match accepted {
            Ok(Ok(stream)) => read(stream, answer, report, wait).await,
            Ok(Err(error)) => outcome(&error).into(),
            Err(late) => late.into(),
        }
    }
}

async fn read(mut stream: VllmAnswer, mut answer: Answer, report: &mut Report, mut wait: Wait) -> End {
    let mut arrivals = Arrivals::default();
    while !answer.is_over() {
        let event = match wait.out(stream.next()).await {
            Ok(Some(Ok(event))) => event,
            // A server that stops says so to every call under way.
            Ok(Some(Err(error))) if answer.has_begun() && error.code() == Some(StatusCode::Unavailable) => {
                return answer.end(Outcome::Cut);
            }
            Ok(Some(Err(error))) => return answer.end(outcome(&error)),
            // The server says that all is well, and has not said how the answer ended.
            Ok(None) => return answer.end(Outcome::Cut),
            Err(late) => return answer.end(late),
        };
        let now = report.clock().now();
        let tokens = answer.take(event);
        if !tokens.is_empty() {
            wait.came();
            report.tokens(arrivals.at(now), tokens.into_iter().map(|token| (Some(token), 0))).await;
        }
    }
    let end = answer.end(Outcome::Cut);
    if end.outcome.is_completed() {
        tokio::spawn(linger(stream));
    }
    end
}

/// Reads what is left behind the last message, usually nothing but the end.
pub(super) async fn linger(mut stream: VllmAnswer) {
    let rest = async { while let Some(Ok(_)) = stream.next().await {} };
    let _ = tokio::time::timeout(LINGER, rest).await;
}

/// What an error is for a load test.
pub(super) fn outcome(error: &RemoteError) -> Outcome {
    of_call(error, |code| match code {
        StatusCode::ResourceExhausted => FailureKind::Limited,
        StatusCode::Unavailable => FailureKind::Refused,
        StatusCode::Internal | StatusCode::Aborted => FailureKind::Engine,
        _ => FailureKind::Status,
    })
}
