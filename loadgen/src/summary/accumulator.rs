//! From records to a summary.

use super::servers::Servers;
use super::sessions::Turns;
use super::throughput::Throughput;
use super::workers::Workers;
use super::{Answers, Bounds, ClientSummary, Failures, Prefix, Shift, Statistics, Summary, Window};
use crate::live::Counts;
use crate::measure::{Client, Distribution, Standing};
use crate::recording::{EndRecord, LagRecord, Record, RunRecord, SCHEMA, ShiftRecord};
use crate::sample::{FailureKind, Sample};
use crate::time::Micros;

/// Takes the records of a run, one after another, and sums them up in constant memory.
#[derive(Clone, Debug)]
pub struct Accumulator {
    target: String,
    split: Option<String>,
    seed: u64,
    warmup: Micros,
    slo: Standing,
    requests: Counts,
    prefix: Prefix,
    /// Requests due in the window.
    offered: u64,
    /// Those of them that were due while an SLO stood: all, unless it came or went during the run.
    judged: u64,
    /// The good ones of those.
    good: u64,
    throughput: Throughput,
    ttft: Distribution,
    ttft_sent: Distribution,
    tpot: Distribution,
    itl: Distribution,
    e2e: Distribution,
    lag: Distribution,
    workers: Workers,
    turns: Turns,
    ttft_answer: Distribution,
    failures: Failures,
    answers: Answers,
    shifts: Vec<Shift>,
    servers: Servers,
    last_lag: Option<LagRecord>,
    /// The latest instant that a record names.
    latest: Micros,
}

impl Accumulator {
    /// At the start of a run.
    pub fn new(run: &RunRecord) -> Self {
        Self {
            target: run.target.clone(),
            split: run.split.map(|split| split.to_string()),
            seed: run.seed,
            warmup: run.warmup,
            slo: Standing::new(run.slo),
            requests: Counts::default(),
            prefix: Prefix::default(),
            offered: 0,
            judged: 0,
            good: 0,
            throughput: Throughput::default(),
            ttft: Distribution::default(),
            ttft_sent: Distribution::default(),
            tpot: Distribution::default(),
            itl: Distribution::default(),
            e2e: Distribution::default(),
            lag: Distribution::default(),
            workers: Workers::default(),
            turns: Turns::default(),
            ttft_answer: Distribution::default(),
            failures: Failures::default(),
            answers: Answers::default(),
            shifts: Vec::new(),
            servers: Servers::default(),
            last_lag: None,
            latest: Micros::ZERO,
        }
    }

    /// Takes one record.
    pub fn record(&mut self, record: &Record) {
        let at = match record {
            Record::Req(sample) => {
                self.sample(sample);
                sample.ended
            }
            Record::Unit(unit) => unit.at,
            Record::Server(server) => {
                self.servers.record(self.warmup, server);
                server.at
            }
            Record::Shift(shift) => {
                self.shift(shift);
                shift.at
            }
            Record::Waiting(waiting) => waiting.at,
            Record::Note(note) => note.at,
            Record::Rate(rate) => rate.at,
            Record::Load(load) => load.at,
            Record::Slo(slo) => {
                self.slo.change(slo.at, slo.slo);
                slo.at
            }
            Record::Lag(lag) => {
                self.last_lag = Some(lag.clone());
                lag.at
            }
        };
        self.latest = self.latest.max(at);
    }

    fn sample(&mut self, sample: &Sample) {
        let requests = &mut self.requests;
        requests.offered += 1;
        requests.sent += u64::from(sample.sent.is_some());
        requests.clamped += u64::from(sample.clamped && sample.sent.is_some());
        requests.ended(&sample.outcome);
        self.failures.add(sample);
        self.answers.add(sample);
        if let Some(first) = sample.first {
            self.throughput.add(first, u64::from(sample.prompt_tokens()), u64::from(sample.first_tokens));
            let mut at = first;
            for gap in sample.itl() {
                at = at + gap.gap;
                self.throughput.add(at, 0, u64::from(gap.tokens));
            }
            self.throughput.add(sample.last.unwrap_or(at), 0, u64::from(sample.untold_tokens()));
        }
        if let Some(lag) = sample.lag() {
            self.lag.record(lag);
        }
        let counts = sample.due >= self.warmup;
        self.turns.add(sample, counts);
        if !counts {
            return;
        }
        self.offered += 1;
        // One that was taken away before the request ended still judges it: the request was offered under it.
        if self.slo.at(sample.due).is_some()
            && let Some(slo) = self.slo.last_at(sample.ended)
        {
            self.judged += 1;
            self.good += u64::from(slo.judge(sample));
        }
        self.prefix.add(sample);
        self.workers.add(sample);
        if sample.outcome.is_completed() {
            let values = [
                (&mut self.ttft, sample.ttft()),
                (&mut self.ttft_sent, sample.ttft_sent()),
                (&mut self.tpot, sample.tpot()),
                (&mut self.e2e, sample.e2e()),
                (&mut self.ttft_answer, sample.first_answer()),
            ];
            for (distribution, value) in values {
                if let Some(value) = value {
                    distribution.record(value);
                }
            }
            for gap in sample.itl() {
                self.itl.record(gap.gap);
            }
        }
    }

    fn shift(&mut self, record: &ShiftRecord) {
        let ended = record.ended.as_ref();
        let shift = Shift {
            at_s: record.at.as_secs_f64(),
            from: record.from.to_string(),
            to: record.to.to_string(),
            how: record.how.to_string(),
            drain_ms: ended.map(|end| end.drain.as_millis_f64()),
            total_ms: ended.map(|end| end.total.as_millis_f64()),
            lost: ended.map(|end| end.lost),
            abandoned: ended.and_then(|end| end.abandoned.clone()),
        };
        // Shifts run one after another: the end of one belongs to the last start.
        match self.shifts.last_mut().filter(|open| ended.is_some() && open.total_ms.is_none()) {
            Some(open) => *open = shift,
            None => self.shifts.push(shift),
        }
    }

    /// Sums up. `end` is the last record, `None` when the recording has none; `recording` names the recording as the user
    /// did.
    pub fn finish(&self, end: Option<&EndRecord>, recording: Option<String>) -> Summary {
        let to = end.map_or(self.latest, |end| end.schedule_end);
        let duration = end.map_or(self.latest, |end| end.at);
        let rate = |amount: f64, length: Micros| (length > Micros::ZERO).then(|| amount / length.as_secs_f64());
        let per_second = |amount: f64| rate(amount, to.since(self.warmup));
        let slo = self.slo.last_at(to);
        let stood = slo.map(|_| self.slo.within(self.warmup, to));
        let (input, output) = self.throughput.between(self.warmup, to);
        Summary {
            schema: SCHEMA,
            target: self.target.clone(),
            split: self.split.clone(),
            seed: self.seed,
            duration_s: duration.as_secs_f64(),
            slo: slo.map(Bounds::from),
            requests: self.requests,
            prefix: self.prefix,
            offered_rps: per_second(self.offered as f64),
            goodput_rps: stood.and_then(|stood| rate(self.good as f64, stood)),
            attainment: (self.judged > 0).then(|| self.good as f64 / self.judged as f64),
            input_tps: per_second(input),
            output_tps: per_second(output),
            ttft_ms: Statistics::from(&self.ttft),
            ttft_sent_ms: Statistics::from(&self.ttft_sent),
            tpot_ms: Statistics::from(&self.tpot),
            itl_ms: Statistics::from(&self.itl),
            e2e_ms: Statistics::from(&self.e2e),
            lag_ms: Statistics::from(&self.lag),
            window: Window { from_s: self.warmup.as_secs_f64(), to_s: to.as_secs_f64() },
            client: self.client(end),
            shifts: self.shifts.clone(),
            recording,
            incomplete: end.is_none(),
            slo_s: stood.map(Micros::as_secs_f64),
            workers: self.workers.figures(),
            aborted: end.and_then(|end| end.aborted.clone()),
            failures: self.failures,
            answers: self.answers.clone(),
            ttft_answer_ms: Statistics::from(&self.ttft_answer),
            server: self.servers.summary(),
            sessions: self.turns.figures(),
        }
        .accounted()
    }

    fn client(&self, end: Option<&EndRecord>) -> ClientSummary {
        let lag = self.last_lag.as_ref();
        let dropped = end.map(|end| end.client.dropped).or(lag.map(|lag| lag.dropped)).unwrap_or(0);
        let cpu = end.map(|end| end.client.cpu).or(lag.map(|lag| lag.cpu));
        let rss = end.map(|end| end.client.rss_bytes).or(lag.map(|lag| lag.rss_bytes));
        let known = Client {
            lag_p99: self.lag.quantile(0.99),
            dropped,
            cpu: cpu.unwrap_or_default(),
            elapsed: end.map_or(self.latest, |end| end.at),
            cores: end.map_or(0, |end| end.client.cores),
            held_up: end.map(|end| end.client.held_up).or(lag.map(|lag| lag.held_up)).unwrap_or(0),
            unsent: self.failures.of(FailureKind::Client),
        };
        ClientSummary {
            verdict: known.verdict().or_else(|| end.map(|_| "ok".to_owned())),
            cpu_s: cpu.map(Micros::as_secs_f64),
            rss_mb: rss.map(|bytes| bytes as f64 / 1e6),
            dropped,
            realtime: end.and_then(|end| end.client.realtime),
        }
    }
}

#[cfg(test)]
mod tests;
