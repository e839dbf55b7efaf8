//! Findings in words.

use std::fmt;

use super::{Certainty, Finding};
use crate::plan::figures::Limit;
use crate::plan::sensitivity::{Change, Outcome, Quantity};

/// A difference in goodput that nobody would notice.
const EVEN: f64 = 0.05;

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hopeless => f.write_str("no split meets the SLO: longer bounds, shorter prompts or other GPUs"),
            Self::Unbounded { split } => write!(
                f,
                "{split} meets the SLO at any rate that was tried: the burst is too short, or the SLO too narrow, to find its limit"
            ),
            Self::TooShort { split } => write!(
                f,
                "{split}: the load is too short for it to come to rest: what is said of it may be too good, more requests would tell"
            ),
            Self::Compared { pd, aggregated, ratio, certainty } => {
                let doubt = match certainty {
                    Certainty::Apart => "",
                    Certainty::Overlapping => ", but the intervals overlap: measure before you decide",
                    Certainty::Unknown => ", if the constants are right: draws would tell how sure that is",
                };
                if (1.0 - EVEN..=1.0 + EVEN).contains(ratio) {
                    write!(
                        f,
                        "it hardly matters here: {pd} and {aggregated} give the same goodput for each GPU, within 5 %"
                    )
                } else if *ratio >= 1.0 {
                    write!(
                        f,
                        "disaggregated is right here: {pd} gives {ratio:.2} times the goodput of {aggregated} for each GPU{doubt}"
                    )
                } else {
                    let ratio = 1.0 / ratio;
                    write!(
                        f,
                        "aggregated is right here: {aggregated} gives {ratio:.2} times the goodput of {pd} for each GPU{doubt}"
                    )
                }
            }
            Self::Limited { split, limit, prefill_busy } => {
                match limit {
                    Limit::Prefill => write!(f, "{split}: prompts wait for units that prefill"),
                    Limit::HandOff => write!(f, "{split}: computed prompts wait for room on units that decode"),
                    Limit::Decode => {
                        write!(f, "{split}: tokens come too slowly, too many sequences share the units that decode")
                    }
                    Limit::E2e => write!(f, "{split}: answers take too long altogether"),
                    Limit::None => write!(f, "{split}: nothing gives way"),
                }?;
                match prefill_busy {
                    Some(share) if *limit != Limit::Prefill => {
                        write!(f, "; its units that prefill are busy {:.0} %", share * 100.0)
                    }
                    _ => Ok(()),
                }
            }
            Self::HandOff { ms, share } => {
                write!(f, "the hand-off of KV takes {ms:.0} ms for the mean prompt")?;
                share.map_or(Ok(()), |share| write!(f, ", {:.0} % of the best disaggregated TTFT", share * 100.0))
            }
            Self::Saved { split, against, ms, tokens, of, rps_per_gpu } => {
                let answer = ms * tokens / 1e3;
                write!(
                    f,
                    "at {rps_per_gpu:.3} requests/s for each GPU {split} is {ms:.1} ms a token faster than {against}: {answer:.1} s, or \
                     {:.0} %, of an answer of {tokens:.0} tokens",
                    ms / of * 100.0
                )
            }
            Self::Moved { changes, base } => {
                for (index, change) in changes.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { "; " })?;
                    moved(f, change, base)?;
                }
                Ok(())
            }
            Self::Flips { what, at, pd_above } => {
                let (below, above) =
                    if *pd_above { ("aggregated", "disaggregated") } else { ("disaggregated", "aggregated") };
                let at = match what {
                    Quantity::Isl => format!("prompts of about {at:.0} tokens"),
                    Quantity::Osl => format!("answers of about {at:.0} tokens"),
                    Quantity::PrefixHit => format!("about {:.0} % of prompts cached", at * 100.0),
                    Quantity::Rate => format!("about {at:.2} requests/s"),
                };
                write!(f, "{below} wins below {at}, {above} above")
            }
        }
    }
}

/// What comes of a change of the load.
fn moved(f: &mut fmt::Formatter<'_>, change: &Change, base: &Outcome) -> fmt::Result {
    let length = if change.factor.is_some_and(|factor| factor < 1.0) { "half" } else { "twice" };
    match change.what {
        Quantity::PrefixHit => write!(f, "with {:.0} % of prompts cached ", change.value * 100.0)?,
        what @ (Quantity::Isl | Quantity::Osl) => write!(f, "with {what} {length} as long ")?,
        Quantity::Rate => write!(f, "at {} requests/s ", (change.value * 100.0).round() / 100.0)?,
    }
    let Some(outcome) = &change.outcome else { return f.write_str("the cluster cannot serve them") };
    let Some(best) = &outcome.best else { return f.write_str("nothing meets the SLO") };
    write!(f, "{best} is best")?;
    if base.goodput_per_gpu > 0.0 {
        write!(f, ", {:.2} times the goodput of now", outcome.goodput_per_gpu / base.goodput_per_gpu)?;
    }
    let Some(ratio) = outcome.pd_over_aggregated else { return Ok(()) };
    if (1.0 - EVEN..=1.0 + EVEN).contains(&ratio) {
        f.write_str(", disaggregated and aggregated alike")
    } else if ratio > 1.0 {
        write!(f, ", {ratio:.2} times aggregated")
    } else {
        write!(f, ", {:.2} times disaggregated", 1.0 / ratio)
    }
}
