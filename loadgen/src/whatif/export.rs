//! A prediction for other programs.

use engine::cluster::How;
use engine::units::Split;
use serde_json::{Value, json};

use super::{Aspect, Change, Grounds, MoveCost, Outcome, Outlook, SplitPrediction, WhatIf, findings};

/// The version of the keys; a new optional key does not change it.
const SCHEMA: u32 = 1;

/// A prediction as JSON, with what was measured of earlier ones. `selected` is the split whose reasons are told.
pub fn export(of: &WhatIf, told: &Outlook, selected: Split) -> Value {
    json!({
        "schema": SCHEMA,
        "kind": "what-if",
        "at_s": of.at.as_secs_f64(),
        "window_s": of.window.as_secs_f64(),
        "requests": of.requests,
        "rate_rps": of.rate_rps,
        "answer_tokens": of.answer_tokens,
        "slo": of.slo.to_string(),
        "split": of.now.to_string(),
        "best": of.best().map(|best| best.split.to_string()),
        "draws": of.draws,
        "times": times(&of.grounds),
        "splits": of.splits.iter().map(prediction).collect::<Vec<_>>(),
        "mixed": of.mixed.iter().map(prediction).collect::<Vec<_>>(),
        "changes": of.changes.iter().map(change).collect::<Vec<_>>(),
        "selected": selected.to_string(),
        "why": findings(of, selected).iter().map(ToString::to_string).collect::<Vec<_>>(),
        "score": {
            "error": told.score.error(),
            "tests": told.score.outcomes.iter().map(outcome).collect::<Vec<_>>(),
        },
    })
}

fn times(grounds: &Grounds) -> Value {
    match grounds {
        Grounds::Profile(name) => json!({ "by": "profile", "profile": name }),
        Grounds::Fitted(fit) => json!({
            "by": "fit",
            "requests": fit.requests,
            "window_s": fit.window.as_secs_f64(),
            "residual": fit.residual,
            "not_told_apart": fit.unsure,
            "assumed": fit.assumed,
        }),
    }
}

fn prediction(of: &SplitPrediction) -> Value {
    json!({
        "split": of.split.to_string(),
        "moves": of.moves,
        "goodput_rps": of.goodput_rps,
        "gain_rps": of.gain_rps,
        "attainment": of.attainment,
        "ttft_p95_ms": of.ttft_p95_ms,
        "tpot_p95_ms": of.tpot_p95_ms,
        "limit": of.limit,
        "costs": of.costs.iter().map(cost).collect::<Vec<_>>(),
    })
}

fn cost(of: &MoveCost) -> Value {
    let how = match of.how {
        How::Drain => "drain",
        How::Migrate => "migrate",
        How::Restart => "restart",
    };
    json!({
        "how": how,
        "drain_ms": of.drain.as_millis_f64(),
        "total_ms": of.total.as_millis_f64(),
        "late": of.late,
    })
}

fn change(of: &Change) -> Value {
    let aspect = match of.aspect {
        Aspect::Rate => "rate",
        Aspect::Prompt => "prompt",
        Aspect::Answer => "answer",
    };
    json!({
        "aspect": aspect,
        "factor": of.factor,
        "best": of.best.to_string(),
        "tie": of.is_tie,
        "goodput_rps": of.goodput_rps,
    })
}

fn outcome(of: &Outcome) -> Value {
    json!({
        "at_s": of.at.as_secs_f64(),
        "from": of.from.map(|from| from.to_string()),
        "split": of.split.to_string(),
        "predicted_rps": of.predicted_rps,
        "measured_rps": of.measured_rps,
        "error": of.error,
    })
}
