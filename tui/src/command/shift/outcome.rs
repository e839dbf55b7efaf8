//! How a shift came out, for people and for programs.

use std::time::Duration;

use engine::cluster::{How, ShiftId, ShiftReport};
use engine::units::{Nanos, Split};
use serde_json::{Value, json};

use crate::command::Ending;

/// What became of it, as far as it was seen.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    /// There was nothing to do.
    Already,
    /// The engine says that every unit serves in the split asked for.
    Converged {
        /// What it took, where that was seen.
        report: Option<ShiftReport>,
    },
    /// It was given up on the way.
    Abandoned {
        /// Why.
        why: String,
        /// What it took.
        report: ShiftReport,
    },
    /// It could not start when its turn came.
    Dropped {
        /// Why.
        why: String,
    },
    /// It is over, and the units are not in its split.
    Superseded {
        /// What is so instead.
        why: String,
        /// What it took, where that was seen.
        report: Option<ShiftReport>,
    },
    /// The engine has gone.
    Lost {
        /// What it said.
        why: String,
    },
    /// It was not waited for any longer.
    TimedOut {
        /// How long it was.
        after: Duration,
    },
    /// The user has stopped waiting.
    LeftAlone {
        /// What becomes of it.
        why: String,
    },
}

/// A shift and its outcome.
#[derive(Clone, Debug)]
pub(super) struct Report {
    pub(super) ticket: Option<ShiftId>,
    pub(super) from: Split,
    pub(super) to: Split,
    pub(super) how: How,
    pub(super) outcome: Outcome,
}

/// To the microsecond.
fn millis(time: Nanos) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

impl Outcome {
    fn name(&self) -> &'static str {
        match self {
            Self::Already => "already",
            Self::Converged { .. } => "converged",
            Self::Abandoned { .. } => "abandoned",
            Self::Dropped { .. } => "dropped",
            Self::Superseded { .. } => "superseded",
            Self::Lost { .. } => "lost",
            Self::TimedOut { .. } => "timeout",
            Self::LeftAlone { .. } => "interrupted",
        }
    }

    fn why(&self) -> Option<String> {
        match self {
            Self::Already | Self::Converged { .. } => None,
            Self::Abandoned { why, .. }
            | Self::Dropped { why }
            | Self::Superseded { why, .. }
            | Self::Lost { why }
            | Self::LeftAlone { why } => Some(why.clone()),
            Self::TimedOut { after } => Some(format!("not there after {} s; the shift goes on", after.as_secs_f64())),
        }
    }

    fn report(&self) -> Option<&ShiftReport> {
        match self {
            Self::Converged { report } | Self::Superseded { report, .. } => report.as_ref(),
            Self::Abandoned { report, .. } => Some(report),
            Self::Already
            | Self::Dropped { .. }
            | Self::Lost { .. }
            | Self::TimedOut { .. }
            | Self::LeftAlone { .. } => None,
        }
    }
}

impl Report {
    pub(super) fn ending(&self) -> Ending {
        match self.outcome {
            Outcome::Already | Outcome::Converged { .. } => Ending::Fine,
            _ => Ending::Unsuccessful,
        }
    }

    /// One line.
    pub(super) fn text(&self) -> String {
        let Self { from, to, how, outcome, .. } = self;
        if *outcome == Outcome::Already {
            return format!("the split is {to} already\n");
        }
        let took = outcome.report().map_or_else(String::new, |report| {
            let (total, drain) = (millis(report.total), millis(report.drain));
            format!(" in {total:.0} ms, {drain:.0} ms of it draining")
        });
        let why = outcome.why().map_or_else(String::new, |why| format!(": {why}"));
        format!("{from} to {to} by {how}: {}{took}{why}\n", outcome.name())
    }

    pub(super) fn json(&self) -> Value {
        let Self { ticket, from, to, how, outcome } = self;
        json!({
            "ticket": ticket.map(|ticket| ticket.0),
            "from": from.to_string(),
            "to": to.to_string(),
            "how": how.to_string(),
            "outcome": outcome.name(),
            "why": outcome.why(),
            "drain_ms": outcome.report().map(|report| millis(report.drain)),
            "total_ms": outcome.report().map(|report| millis(report.total)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Split {
        text.parse().expect("a split")
    }

    #[test]
    fn every_outcome_has_a_line_an_object_and_an_exit() {
        let took = ShiftReport {
            id: ShiftId(4),
            from: split("2P2D"),
            to: split("3P1D"),
            how: How::Migrate,
            accepted: Nanos(5),
            drain: Nanos(1_200_000_000),
            total: Nanos(1_500_000_000),
            in_flight: 3,
            abandoned: None,
        };
        let why = "unit 1 failed".to_owned();
        let lines = [
            (Outcome::Already, "the split is 3P1D already"),
            (Outcome::Converged { report: Some(took.clone()) }, "converged in 1500 ms, 1200 ms of it draining"),
            (Outcome::Converged { report: None }, "converged"),
            (Outcome::Abandoned { why: why.clone(), report: took.clone() }, "draining: unit 1 failed"),
            (Outcome::Dropped { why: why.clone() }, "dropped: unit 1 failed"),
            (Outcome::Superseded { why: why.clone(), report: Some(took) }, "superseded in 1500 ms"),
            (Outcome::Lost { why }, "lost: unit 1 failed"),
            (Outcome::TimedOut { after: Duration::from_millis(2500) }, "not there after 2.5 s; the shift goes on"),
            (
                Outcome::LeftAlone { why: "not waited for; the shift goes on".to_owned() },
                "interrupted: not waited for; the shift goes on",
            ),
        ];
        for (index, (outcome, told)) in lines.into_iter().enumerate() {
            let (from, to, how) = (split("2P2D"), split("3P1D"), How::Migrate);
            let report = Report { ticket: Some(ShiftId(4)), from, to, how, outcome };
            assert!(report.text().contains(told) && report.text().ends_with('\n'), "{}", report.text());
            let fine = if index < 3 { Ending::Fine } else { Ending::Unsuccessful };
            assert_eq!(report.ending(), fine);
            let object = report.json();
            assert_eq!(
                (&object["ticket"], &object["from"], &object["to"]),
                (&json!(4), &json!("2P2D"), &json!("3P1D"))
            );
            assert_eq!(object["why"].is_null(), fine == Ending::Fine);
        }
    }
}
