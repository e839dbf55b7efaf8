//! A finding in words.

use std::fmt::{self, Write as _};

use super::{Advice, Diagnosis, Evidence, FEW, Latency, Limit, MOST, Side};
use crate::measure::Stage;

/// A finding in words: `prefill-bound`, `81 % of p95 TTFT is prefill queue; decode KV 34 %`, `move a unit to prefill`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// What limits.
    pub name: &'static str,
    /// The figures that say so.
    pub why: String,
    /// What to do, where that is sure.
    pub advice: Option<&'static str>,
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.why)?;
        self.advice.map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

impl Diagnosis {
    /// The finding in words.
    pub fn words(&self) -> Words {
        let e = &self.evidence;
        let (name, why) = match self.limit {
            Limit::TooFew if e.window.0 == 0 => ("too early to tell", "nothing has completed yet".to_owned()),
            Limit::TooFew => {
                let window = e.window.as_secs_f64();
                ("too early to tell", format!("{} of at least {FEW} completed in {window:.0} s", e.completed))
            }
            Limit::NotTold => {
                let why = format!("{}; this target tells no stage times", bounds(e));
                ("cause unknown", why)
            }
            Limit::Nothing => ("balanced", balanced(e)),
            Limit::Failing => ("requests fail", failing(e)),
            Limit::Client if e.unsent() => ("client-bound", failing(e)),
            Limit::Client => ("client-bound", format!("{} is the client's own lag", of_ttft(e, &[Stage::Lag]))),
            Limit::Network => {
                let way = of_ttft(e, &[Stage::WayIn, Stage::WayBack]);
                ("network-bound", format!("{way} is the way to the target and back"))
            }
            Limit::Prefill => ("prefill-bound", prefill(e)),
            Limit::Prompt => {
                let why = format!("{} is computing the prompt, which does not wait", of_ttft(e, &[Stage::Prefill]));
                ("prompt-bound", why)
            }
            Limit::HandOff => ("hand-off-bound", hand_off(e)),
            Limit::Link => ("link-bound", format!("{} is copying KV", of_ttft(e, &[Stage::HandOff]))),
            Limit::Decode => ("decode-bound", decode(e)),
            Limit::Step => ("step-bound", format!("{} with one sequence a unit or less", answers(e))),
            Limit::Both => ("overloaded", format!("{}; {}", prefill_queue(e), answers(e))),
        };
        Words { name, why, advice: self.advice.map(|advice| self.say(advice)) }
    }

    fn say(&self, advice: Advice) -> &'static str {
        match advice {
            Advice::Move(Side::Prefill) => "move a unit to prefill",
            Advice::Move(Side::Decode) => "move a unit to decode",
            Advice::Add(Side::Prefill) => "no unit to spare: less load or more prefill units",
            Advice::Add(Side::Decode) if self.limit == Limit::HandOff => {
                "no unit to spare: less load or more decode KV"
            }
            Advice::Add(Side::Decode) => "no unit to spare: less load or more decode units",
            Advice::LessLoad => "less load or more units",
            Advice::ShorterPrompts => "shorter prompts or more prefix hits, not more units",
            Advice::FasterSteps => "a smaller model or larger units, not more units",
            Advice::FasterLink => "a faster link or shorter prompts, not more units",
            Advice::MoreSockets => "a higher `ulimit -n` here, or more machines to send from",
            Advice::OtherClient => "what it measures is itself; a faster client",
        }
    }
}

fn percent(share: f64) -> f64 {
    if share.is_finite() { (share * 100.0).round() } else { 0.0 }
}

/// `81 % of p95 TTFT`.
fn of_ttft(e: &Evidence, stages: &[Stage]) -> String {
    let share: f64 = stages.iter().map(|stage| e.share(*stage)).sum();
    format!("{} % of p95 TTFT", percent(share))
}

/// `81 % of p95 TTFT is prefill queue`, or what the units say where requests say nothing.
fn prefill_queue(e: &Evidence) -> String {
    let (queue, prefill) = (e.share(Stage::Queue), e.share(Stage::Prefill));
    if queue >= MOST || queue > prefill {
        format!("{} is prefill queue", of_ttft(e, &[Stage::Queue]))
    } else if prefill > 0.0 {
        format!("{} is prefill, on units that are {} % busy", of_ttft(e, &[Stage::Prefill]), percent(e.prefill.busy))
    } else {
        format!("{} prompts queue, prefill {} % busy", e.prefill.queue, percent(e.prefill.busy))
    }
}

fn prefill(e: &Evidence) -> String {
    let mut why = prefill_queue(e);
    if e.decode.own > 0 {
        let _ = write!(why, "; decode KV {} %", percent(e.decode.kv));
    }
    if let Some(ratio) = e.tpot.ratio() {
        let _ = write!(why, ", TPOT p95 at {} % of its bound", percent(ratio));
    }
    why
}

fn hand_off(e: &Evidence) -> String {
    let wait = e.share(Stage::HandOffWait) + e.share(Stage::DecodeQueue);
    if wait > 0.0 {
        let waits = of_ttft(e, &[Stage::HandOffWait, Stage::DecodeQueue]);
        format!("{waits} is waiting for room to decode; decode KV {} %", percent(e.decode.kv))
    } else {
        format!("{} wait for room to decode; decode KV {} %", e.prefill.handing_off, percent(e.decode.kv))
    }
}

/// What says that answers come too slowly.
fn answers(e: &Evidence) -> String {
    match e.tpot.ratio() {
        Some(ratio) => format!("TPOT p95 at {} % of its bound", percent(ratio)),
        None => format!(
            "{} more in flight than {:.0} s ago, and no more than the {:.0} tokens/s of then",
            e.growth.max(0),
            e.window.as_secs_f64(),
            e.output_before_tps.unwrap_or(e.output_tps)
        ),
    }
}

fn decode(e: &Evidence) -> String {
    let mut why = answers(e);
    if e.decode.units > 0 {
        let units = if e.decode.units == 1 { "unit" } else { "units" };
        let _ = write!(why, "; {} sequences on {} {units}", e.decode.running, e.decode.units);
    }
    if e.is_blocked() {
        let _ = write!(why, ", {} wait for room", e.prefill.handing_off);
    }
    if e.prefill.own > 0 {
        let _ = write!(why, ", prefill {} % busy", percent(e.prefill.busy));
    }
    why
}

/// `TTFT p95 at 62 % of its bound, TPOT p95 at 88 %`.
fn bounds(e: &Evidence) -> String {
    let at = |name: &str, latency: Latency| Some(format!("{name} p95 at {} % of its bound", percent(latency.ratio()?)));
    let told: Vec<String> = [at("TTFT", e.ttft), at("TPOT", e.tpot)].into_iter().flatten().collect();
    told.join(", ")
}

/// `31 of 70 failed in 10 s: 12 status, 8 cut`.
fn failing(e: &Evidence) -> String {
    let (failed, window) = (e.failures.total(), e.window.as_secs_f64());
    let ended = e.completed.saturating_add(failed);
    format!("{failed} of {ended} failed in {window:.0} s: {}", e.failures.by_sort())
}

fn balanced(e: &Evidence) -> String {
    if e.ttft.ratio().is_some() && e.tpot.ratio().is_some() {
        return bounds(e);
    }
    let mut why = "nothing piles up".to_owned();
    let told = bounds(e);
    if told.is_empty() {
        why.push_str("; no bound to judge latencies by");
    } else {
        let _ = write!(why, "; {told}");
    }
    why
}
