//! Requests for answers, and answers.

use super::topology::read_unit_id;
use super::v1::generate_request::Sampling as Wire;
use super::{Malformed, needed, v1};
use crate::cluster::{FinishReason, Finished, Stages};
use crate::executor::Sampling;
use crate::serve::hub::{Generation, Token};
use crate::units::{Nanos, RequestId};

pub(crate) fn request(generation: &Generation) -> v1::GenerateRequest {
    let sampling = match generation.sampling {
        Sampling::Greedy => Wire::Greedy(v1::Greedy {}),
        Sampling::TopP { temperature, top_p, seed } => Wire::TopP(v1::TopP { temperature, top_p, seed }),
    };
    v1::GenerateRequest {
        model: String::new(),
        prompt: generation.prompt.to_vec(),
        output_tokens: generation.output_tokens,
        sampling: Some(sampling),
        stop: generation.stop.to_vec(),
    }
}

/// What is asked for, as far as the message itself can tell that it is right.
pub(crate) fn asked(request: v1::GenerateRequest) -> Result<Generation, Malformed> {
    let v1::GenerateRequest { prompt, output_tokens, sampling, stop, .. } = request;
    if stop.len() > Generation::STOP_TOKENS {
        let (tokens, most) = (stop.len(), Generation::STOP_TOKENS);
        return Err(Malformed(format!("`stop` has {tokens} tokens, at most {most} are possible")));
    }
    let sampling = match sampling {
        None | Some(Wire::Greedy(_)) => Sampling::Greedy,
        Some(Wire::TopP(v1::TopP { temperature, top_p, seed })) => {
            // What is no number is in no range.
            if !(temperature > 0.0 && temperature <= Generation::HOTTEST) {
                let hint = "leave the sampling out for greedy";
                let allowed = format!("above 0 and at most {}; {hint}", Generation::HOTTEST);
                return Err(Malformed(format!("`top_p.temperature` is {temperature}, it has to be {allowed}")));
            }
            if !(top_p > 0.0 && top_p <= 1.0) {
                return Err(Malformed(format!("`top_p.top_p` is {top_p}, it has to be above 0 and at most 1")));
            }
            Sampling::TopP { temperature, top_p, seed }
        }
    };
    Ok(Generation { prompt: prompt.into(), output_tokens, sampling, stop: stop.into(), logprobs: None })
}

/// Tokens, the end, or both.
pub(crate) fn event(tokens: &[Token], finished: Option<&Finished>) -> v1::GenerateEvent {
    let token = |token: &Token| v1::Token { id: token.token, at_ns: token.at.0, logits_digest: token.logits_digest };
    v1::GenerateEvent { tokens: tokens.iter().map(token).collect(), finish: finished.map(finish) }
}

pub(crate) fn read_event(event: &v1::GenerateEvent) -> Result<(Vec<Token>, Option<Finished>), Malformed> {
    let token = |token: &v1::Token| Token {
        at: Nanos(token.at_ns),
        token: token.id,
        logits_digest: token.logits_digest,
        logprobs: None,
    };
    Ok((event.tokens.iter().map(token).collect(), event.finish.as_ref().map(read_finish).transpose()?))
}

fn finish(finished: &Finished) -> v1::Finish {
    let reason = match finished.reason {
        FinishReason::Length => v1::FinishReason::Length,
        FinishReason::Stop => v1::FinishReason::Stop,
        FinishReason::Cancelled => v1::FinishReason::Cancelled,
        FinishReason::NoCapacity => v1::FinishReason::NoCapacity,
    };
    let stages = &finished.stages;
    v1::Finish {
        reason: reason.into(),
        request: finished.request.0,
        output_tokens: finished.output_tokens,
        prefill_unit: finished.prefill_unit.map(|unit| unit.0.into()),
        decode_unit: finished.decode_unit.map(|unit| unit.0.into()),
        prefix_queried: finished.prefix_queried,
        prefix_hit: finished.prefix_hit,
        preemptions: finished.preemptions,
        stages: Some(v1::Stages {
            arrived_ns: stages.arrived.0,
            prefill_start_ns: stages.prefill_start.map(|at| at.0),
            prefill_end_ns: stages.prefill_end.map(|at| at.0),
            handoff_start_ns: stages.handoff_start.map(|at| at.0),
            handoff_end_ns: stages.handoff_end.map(|at| at.0),
            decode_start_ns: stages.decode_start.map(|at| at.0),
        }),
    }
}

fn read_finish(finish: &v1::Finish) -> Result<Finished, Malformed> {
    let reason = match v1::FinishReason::try_from(finish.reason) {
        Ok(v1::FinishReason::Length) => FinishReason::Length,
        Ok(v1::FinishReason::Stop) => FinishReason::Stop,
        Ok(v1::FinishReason::Cancelled) => FinishReason::Cancelled,
        Ok(v1::FinishReason::NoCapacity) => FinishReason::NoCapacity,
        Ok(v1::FinishReason::Unspecified) | Err(_) => {
            return Err(Malformed(format!("`reason` is {}, which is none", finish.reason)));
        }
    };
    let stages = needed(finish.stages, "stages")?;
    Ok(Finished {
        request: RequestId(finish.request),
        reason,
        output_tokens: finish.output_tokens,
        prefix_queried: finish.prefix_queried,
        prefix_hit: finish.prefix_hit,
        preemptions: finish.preemptions,
        prefill_unit: finish.prefill_unit.map(read_unit_id).transpose()?,
        decode_unit: finish.decode_unit.map(read_unit_id).transpose()?,
        stages: Stages {
            arrived: Nanos(stages.arrived_ns),
            prefill_start: stages.prefill_start_ns.map(Nanos),
            prefill_end: stages.prefill_end_ns.map(Nanos),
            handoff_start: stages.handoff_start_ns.map(Nanos),
            handoff_end: stages.handoff_end_ns.map(Nanos),
            decode_start: stages.decode_start_ns.map(Nanos),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::UnitId;

    #[test]
    fn every_field_comes_back_as_itself() {
        // Another value for each, so that two that were mixed up would show.
        let finished = Finished {
            request: RequestId(1),
            reason: FinishReason::Stop,
            output_tokens: 2,
            prefix_queried: 3,
            prefix_hit: 4,
            preemptions: 5,
            prefill_unit: Some(UnitId(6)),
            decode_unit: Some(UnitId(7)),
            stages: Stages {
                arrived: Nanos(8),
                prefill_start: Some(Nanos(9)),
                prefill_end: Some(Nanos(10)),
                handoff_start: Some(Nanos(11)),
                handoff_end: Some(Nanos(12)),
                decode_start: Some(Nanos(13)),
            },
        };
        let tokens = [14, 15].map(|token| Token { at: Nanos(20), token, logits_digest: 21, logprobs: None });
        let read = read_event(&event(&tokens, Some(&finished)));
        assert_eq!(read, Ok((tokens.to_vec(), Some(finished))));
        let sampling = Sampling::TopP { temperature: 0.5, top_p: 0.25, seed: 3 };
        let wanted = Generation { prompt: [4, 5].into(), output_tokens: 6, sampling, stop: [7].into(), logprobs: None };
        let asked = asked(request(&wanted)).expect("a request");
        assert_eq!((asked.prompt, asked.stop, asked.output_tokens), (wanted.prompt, wanted.stop, 6));
        assert_eq!((asked.sampling, asked.logprobs), (sampling, None));
    }
}
