//! Invented predictions that go with the run of the script.

use std::sync::Arc;

use engine::cluster::How;
use engine::units::Split;
use loadgen::slo::Slo;
use loadgen::target::Abilities;
use loadgen::whatif::{
    CHANGES, Change, Fit, Grounds, Interval, Limit, Measured, MoveCost, Outcome, Outlook, Score, SplitPrediction,
    WhatIf, moves,
};

use super::{model, normal, seconds};
use crate::model::Model;

/// The plain screen with predictions.
pub fn predicted() -> Model {
    let mut model = model(normal());
    model.outlook = Arc::new(outlook());
    model
}

/// The same by what was fitted to requests that are too much alike.
pub fn fitted() -> Model {
    let mut model = predicted();
    let mut told = outlook();
    told.prediction = told.prediction.map(|prediction| {
        let fit = Fit {
            requests: 871,
            window: seconds(60.0),
            residual: 0.07,
            unsure: vec!["a step of answers", "a sequence in a step"],
            batches: (6.9, 7.4),
            assumed: vec!["a step that mixes prompts and answers was not seen: it takes what both do".to_owned()],
        };
        Arc::new(WhatIf { grounds: Grounds::Fitted(fit), ..(*prediction).clone() })
    });
    model.outlook = Arc::new(told);
    model
}

const fn split(prefill: u16, decode: u16, aggregated: u16) -> Split {
    Split { prefill, decode, aggregated }
}

/// A simulated cluster, whose units can start anew.
pub fn predicted_of_processes() -> Model {
    let mut snapshot = normal();
    (snapshot.target, snapshot.abilities) = ("sim:mi325x-qwen3-235b".into(), Abilities::ALL);
    let mut model = model(snapshot);
    let mut outlook = outlook();
    if let Some(of) = outlook.prediction.as_mut().map(Arc::make_mut) {
        for predicted in of.splits.iter_mut().chain(&mut of.mixed) {
            let late = u64::from(predicted.moves) * 1_140;
            let cost = MoveCost { how: How::Restart, drain: seconds(2.1), total: seconds(279.4), late };
            predicted.costs.extend((predicted.moves > 0).then_some(cost));
        }
    }
    model.outlook = Arc::new(outlook);
    model
}

const NOW: Split = split(2, 2, 0);

fn prediction(of: Split, goodput: [f64; 3], latencies: [f64; 2], limit: Limit) -> SplitPrediction {
    let [lo, mid, hi] = goodput;
    let share = |rps: f64| (rps / 15.1).min(1.0);
    let moves = moves(NOW, of);
    let cost = |how, drain: f64, late| MoveCost { how, drain: seconds(drain), total: seconds(drain + 1.3), late };
    let late = u64::from(moves) * 9;
    let costs =
        if moves == 0 { Vec::new() } else { vec![cost(How::Drain, 2.1, late), cost(How::Migrate, 0.4, late / 2)] };
    SplitPrediction {
        split: of,
        goodput_rps: Interval { lo, mid, hi },
        gain_rps: Interval { lo: lo - 13.9, mid: mid - 14.2, hi: hi - 14.5 },
        attainment: Interval { lo: share(lo), mid: share(mid), hi: share(hi) },
        ttft_p95_ms: Some(latencies[0]),
        tpot_p95_ms: Some(latencies[1]),
        limit,
        moves,
        costs,
    }
}

/// What would be best if the traffic changed.
fn changes() -> Vec<Change> {
    let goodput = [
        [(NOW, true, 7.5), (NOW, false, 14.2), (NOW, false, 15.8), (NOW, false, 11.9), (split(0, 0, 4), false, 6.3)]
            .to_vec(),
        [(NOW, true, 15.0), (NOW, false, 14.2), (split(3, 1, 0), false, 9.8)].to_vec(),
        [(NOW, true, 15.1), (NOW, false, 14.2), (split(1, 3, 0), false, 8.1)].to_vec(),
    ];
    let mut changes = Vec::new();
    for ((aspect, factors), bests) in CHANGES.into_iter().zip(goodput) {
        changes.extend(factors.iter().zip(bests).map(|(&factor, (best, is_tie, goodput_rps))| Change {
            aspect,
            factor,
            best,
            is_tie,
            goodput_rps,
        }));
    }
    changes
}

/// What four units would give under the traffic of the script.
pub fn outlook() -> Outlook {
    let slo = Slo { ttft: Some(seconds(0.4)), tpot: Some(seconds(0.025)), ..Slo::default() };
    let splits = vec![
        prediction(split(3, 1, 0), [2.2, 3.1, 3.9], [204.0, 41.3], Limit::Decode),
        prediction(NOW, [13.6, 14.2, 14.7], [276.0, 24.8], Limit::None),
        prediction(split(1, 3, 0), [3.9, 5.2, 6.4], [2_140.0, 21.7], Limit::Prefill),
        prediction(split(0, 0, 4), [7.7, 9.6, 11.2], [318.0, 28.9], Limit::Decode),
    ];
    let mixed = vec![
        prediction(split(1, 2, 1), [10.2, 11.9, 12.8], [389.0, 24.1], Limit::Prefill),
        prediction(split(2, 1, 1), [9.4, 11.0, 12.5], [251.0, 27.2], Limit::Decode),
    ];
    let tested = |at: f64, from, of, predicted_rps: f64, measured_rps: f64, gain| Outcome {
        at: seconds(at),
        from,
        split: of,
        predicted_rps,
        measured_rps,
        gain,
        error: (predicted_rps - measured_rps).abs() / predicted_rps.max(measured_rps),
    };
    let measured = |of, goodput_rps, offered_rps| Measured { split: of, goodput_rps, offered_rps };
    Outlook {
        prediction: Some(Arc::new(WhatIf {
            at: seconds(151.0),
            window: seconds(60.0),
            requests: 906,
            rate_rps: 15.1,
            answer_tokens: 12.0,
            slo,
            now: NOW,
            splits,
            mixed,
            changes: changes(),
            grounds: Grounds::Profile("four-units".to_owned()),
            draws: 9,
        })),
        missing: None,
        score: Score {
            outcomes: vec![
                tested(59.0, None, split(1, 3, 0), 11.7, 11.4, None),
                tested(143.0, Some(split(1, 3, 0)), NOW, 14.0, 14.4, Some((8.9, 8.1))),
            ],
            measured: vec![measured(split(1, 3, 0), 6.3, 15.0), measured(NOW, 14.4, 15.0)],
        },
    }
}
