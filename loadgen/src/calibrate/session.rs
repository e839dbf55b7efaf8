//! Asks one open target all probes that time is left for.

use std::num::NonZeroU32;

use engine::units::Split;

use super::probe::{Planned, Probe, Room, probes};
use super::reduce::{self, Timed, median, shared_steps};
use super::runner::{Answer, Runner, SILENCE, Trouble};
use super::{CalibrateError, Start};
use crate::schedule::Segment;
use crate::target::Connection;
use crate::time::Micros;
use crate::workload::Content;

/// Steps that all sequences share before a decode probe is over.
const STEPS: usize = 32;
/// Steps without a prompt between two with one.
const AGAIN: usize = 4;
/// Tokens asked for behind a lone prompt: a second one, so that its KV is handed off.
const ANSWER: u32 = 2;
/// Prompts of more tokens are timed once: they take long, and vary little.
const OFTEN: u32 = 1_024;
/// How often all others are, where times vary.
const TIMES: u32 = 3;

/// How often a probe is asked before it is left out.
const ATTEMPTS: u32 = 3;
/// So many probes in a row that were all left out are a target that is lost.
const GIVEN_UP: u32 = 3;
/// How far beyond the budget a probe that was begun within it may be silent.
const PAST: Micros = Micros(10_000_000);
/// How many times as long as it should take a prompt may take until it counts as lost.
const LONGER: f64 = 4.0;

/// One measured time with the probe that it is of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Observed {
    pub(super) probe: Probe,
    pub(super) held_out: bool,
    pub(super) timed: Timed,
}

/// What to ask of a target, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) split: Split,
    /// Only what the other split could not tell.
    pub(super) mixed_only: bool,
    /// The target's time that may pass, beyond which no probe is begun.
    pub(super) budget: Micros,
    /// Whether the same probe takes the same time always.
    pub(super) exact: bool,
    pub(super) seed: u64,
}

/// Probes and what became of them.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) observed: Vec<Observed>,
    /// Probes that were not asked or told nothing, and why.
    pub(super) skipped: Vec<(Probe, String)>,
    pub(super) took: Micros,
}

/// Asks everything; `told` hears the number of the probe, of how many, and which it is.
pub(super) fn ask(
    connection: Connection,
    start: &Start,
    terms: Terms,
    told: &mut impl FnMut(usize, usize, Probe),
) -> Result<Findings, CalibrateError> {
    let limits = connection.info.limits;
    let config = &start.cluster.profile.config;
    let aggregated = terms.split.aggregated > 0;
    let batch = if aggregated { config.aggregated } else { config.decode };
    let kv = config.blocks_per_unit.saturating_mul(config.block_tokens);
    let room = Room {
        context_tokens: limits.context_tokens.min(config.max_context),
        kv_tokens: limits.kv_tokens.min(kv),
        sequences: batch.sequences.min(batch.tokens),
        mixed_tokens: (aggregated && terms.split.prefill + terms.split.decode == 0).then_some(batch.tokens),
        prefix_cache: config.prefix_cache,
    };
    let mut planned = probes(room)?;
    if terms.mixed_only {
        planned.retain(|planned| matches!(planned.probe, Probe::Mixed { .. }));
    }
    let content = Content::new(terms.seed, NonZeroU32::new(limits.vocabulary).unwrap_or(NonZeroU32::MIN));
    let mut session = Session {
        runner: Runner::new(connection, content),
        terms,
        chunk: if aggregated { config.aggregated.tokens } else { config.prefill.tokens },
        segment: 0,
        rate: None,
    };
    let mut findings = Findings::default();
    let all = planned.len();
    let mut failed_in_a_row = 0;
    for (number, Planned { probe, held_out }) in planned.into_iter().enumerate() {
        if let Some(why) = session.too_long(probe) {
            findings.skipped.push((probe, why));
            continue;
        }
        told(number + 1, all, probe);
        let timed = match session.attempts(probe) {
            Ok(timed) => timed,
            Err(Trouble::Lost(why)) => return Err(CalibrateError::Lost(why)),
            Err(Trouble::Failed(why)) => {
                failed_in_a_row += 1;
                if failed_in_a_row == GIVEN_UP {
                    return Err(CalibrateError::Lost(format!(
                        "{GIVEN_UP} probes in a row failed, the last one: {why}"
                    )));
                }
                findings.skipped.push((probe, why));
                continue;
            }
        };
        failed_in_a_row = 0;
        if timed.is_empty() {
            findings.skipped.push((probe, "its sequences never decoded together for long enough".to_owned()));
        }
        findings.observed.extend(timed.into_iter().map(|timed| Observed { probe, held_out, timed }));
    }
    findings.took = session.runner.elapsed();
    Ok(findings)
}

struct Session {
    runner: Runner,
    terms: Terms,
    /// Prompt tokens of one step.
    chunk: u32,
    /// Number of the last prompt text.
    segment: u64,
    /// Prompt tokens a second that one unit has been seen to compute.
    rate: Option<f64>,
}

impl Session {
    fn decoders(&self) -> u32 {
        u32::from(self.terms.split.decode + self.terms.split.aggregated).max(1)
    }

    /// Why there is no time for a probe. Until one has told how fast the target is, any is taken to be short.
    fn too_long(&self, probe: Probe) -> Option<String> {
        if self.terms.exact {
            return None;
        }
        let left = self.terms.budget.since(self.runner.elapsed()).as_secs_f64();
        if left <= 0.0 {
            return Some("--budget is used up".to_owned());
        }
        let prefillers = u32::from(self.terms.split.prefill + self.terms.split.aggregated).max(1);
        let sharing = if matches!(probe, Probe::Prompt { .. }) { 1 } else { prefillers };
        let rate = self.rate? * f64::from(sharing);
        let times = f64::from(self.times(probe));
        let needed = probe.prompt_tokens(self.decoders()) as f64 * times / rate;
        (needed > left).then(|| format!("it would take {needed:.0} s, and {left:.0} s are left of --budget"))
    }

    fn times(&self, probe: Probe) -> u32 {
        match probe {
            _ if self.terms.exact => 1,
            Probe::Prompt { tokens, .. } if tokens > OFTEN => 1,
            Probe::Prompt { .. } | Probe::Mixed { .. } => TIMES,
            Probe::Decode { .. } => 1,
        }
    }

    /// A text that was never sent before.
    fn fresh(&mut self, tokens: u32) -> Segment {
        self.segment += 1;
        Segment(self.segment, tokens)
    }

    /// Asks until there is an answer. A single request may fail, on a server that others use, too.
    fn attempts(&mut self, probe: Probe) -> Result<Vec<Timed>, Trouble> {
        let prompts = probe.prompt_tokens(self.decoders()) as f64;
        let seconds = self.rate.map_or(0.0, |rate| prompts / rate * LONGER);
        let patience = Micros::from_secs_f64(seconds).max(SILENCE);
        let left = self.terms.budget.since(self.runner.elapsed());
        self.runner.wait_for(if self.terms.exact { patience } else { patience.min(left + PAST) });
        let mut attempt = 1;
        loop {
            match self.probe(probe) {
                Err(Trouble::Failed(why)) => {
                    // Where what is left does not even end, nobody is there.
                    self.runner.finish().map_err(|_| Trouble::Lost(why.clone()))?;
                    if attempt == ATTEMPTS || self.too_long(probe).is_some() {
                        return Err(Trouble::Failed(why));
                    }
                    attempt += 1;
                }
                answered => return answered,
            }
        }
    }

    fn probe(&mut self, probe: Probe) -> Result<Vec<Timed>, Trouble> {
        match probe {
            Probe::Decode { batch, context, answer } => {
                self.decode(batch, context, answer)?;
                let answers = self.runner.finish()?;
                Ok(reduce::steady(&answers, batch, self.runner.stamps()))
            }
            Probe::Prompt { tokens, cached } => self.prompt(probe, tokens, cached),
            Probe::Mixed { batch, context, answer, chunk } => {
                self.decode(batch, context, answer)?;
                let sequences = batch * self.decoders();
                let mut places = Vec::new();
                for _ in 0..self.times(probe) {
                    let prompt = self.fresh(chunk);
                    let place = self.runner.send(&[prompt], 1)?;
                    self.runner.until(|answers| answers.get(place).is_none_or(Answer::is_over))?;
                    places.push(place);
                    let decoding = self.runner.answers().get(..sequences as usize).unwrap_or_default();
                    let steps = shared_steps(decoding) + AGAIN;
                    self.share(sequences, steps)?;
                }
                let answers = self.runner.finish()?;
                let decoding = answers.get(..sequences as usize).unwrap_or_default();
                let prompts = places.iter().filter_map(|place| answers.get(*place));
                let timed: Vec<Timed> = prompts.filter_map(|prompt| reduce::mixed(decoding, prompt, batch)).collect();
                Ok(middle(&timed))
            }
        }
    }

    /// Starts sequences on all units that decode, and waits until they have shared some steps or cannot any more.
    fn decode(&mut self, batch: u32, context: u32, answer: u32) -> Result<(), Trouble> {
        let sequences = batch * self.decoders();
        for _ in 0..sequences {
            let prompt = self.fresh(context);
            self.runner.send(&[prompt], answer)?;
        }
        self.share(sequences, STEPS)
    }

    /// Waits until the first `sequences` of the probe have shared so many steps, or one of them is over.
    fn share(&mut self, sequences: u32, steps: usize) -> Result<(), Trouble> {
        self.runner.until(|answers| {
            let decoding = answers.get(..sequences as usize).unwrap_or_default();
            shared_steps(decoding) >= steps || decoding.iter().any(Answer::is_over)
        })
    }

    fn prompt(&mut self, probe: Probe, tokens: u32, cached: u32) -> Result<Vec<Timed>, Trouble> {
        let handed_off = self.terms.split.prefill > 0;
        let mut all = Vec::new();
        for _ in 0..self.times(probe) {
            let known = self.fresh(cached);
            if cached > 0 {
                self.send_alone(&[known])?;
            }
            let rest = self.fresh(tokens - cached);
            let segments: &[Segment] = if cached > 0 { &[known, rest] } else { &[rest] };
            let answer = self.send_alone(segments)?;
            if let (Some(first), 0) = (answer.tokens.first(), cached) {
                let seconds = first.since(answer.sent).as_secs_f64();
                self.rate = Some(f64::from(tokens) / seconds.max(1e-6));
            }
            all.push(reduce::alone(&answer, cached, self.chunk, handed_off));
        }
        let measures = all.iter().map(Vec::len).min().unwrap_or(0);
        let of = |measure: usize| all.iter().filter_map(|timed| timed.get(measure).copied()).collect::<Vec<_>>();
        Ok((0..measures).flat_map(|measure| middle(&of(measure))).collect())
    }

    fn send_alone(&mut self, segments: &[Segment]) -> Result<Answer, Trouble> {
        self.runner.send(segments, ANSWER)?;
        self.runner.until(|answers| answers.iter().all(Answer::is_over))?;
        let answers = self.runner.finish()?;
        answers.into_iter().next().ok_or_else(|| Trouble::Lost("an answer is missing".to_owned()))
    }
}

/// The middle one of several times of the same.
fn middle(timed: &[Timed]) -> Vec<Timed> {
    let seconds = median(timed.iter().map(|timed| timed.seconds).collect());
    let of = |seconds: f64| timed.iter().find(|timed| timed.seconds.total_cmp(&seconds).is_eq()).copied();
    seconds.and_then(of).into_iter().collect()
}
