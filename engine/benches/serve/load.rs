//! The load, the same either way, and what became of it.

use std::fmt;
use std::time::Duration;

use engine::units::Nanos;

/// Clients at the same time.
pub(crate) const STREAMS: usize = 64;
/// Requests that each of them makes in a round.
pub(crate) const REQUESTS: usize = 6;
/// Tokens of a prompt.
pub(crate) const PROMPT: u32 = 64;
/// Tokens of an answer.
pub(crate) const ANSWER: u32 = 100;

/// How long stream `stream` waits before its request `request`: spread over the steps, and never the same twice.
pub(crate) fn pause(stream: usize, request: usize) -> Duration {
    let number = (stream * REQUESTS + request) as u64;
    Duration::from_micros(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32).mul_f64(50_000.0 / f64::from(u32::MAX))
}

/// The prompt of a request, unlike any other's.
pub(crate) fn prompt(stream: usize, request: usize) -> Vec<u32> {
    let number = (stream * REQUESTS + request) as u32;
    // There are more requests than tokens: two of them number one.
    (0..PROMPT).map(|index| if index == 0 { number / 250 } else { number % 250 + index % 7 }).collect()
}

/// What a round came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// From when a request was sent to when its first token was seen, in order of size after [`Outcome::all`].
    pub(crate) ttft: Vec<Nanos>,
    pub(crate) tokens: u64,
    /// CPU time of the serving process.
    pub(crate) cpu: Nanos,
}

impl Outcome {
    /// Several rounds together.
    pub(crate) fn all(rounds: Vec<Self>) -> Self {
        let mut all = Self::default();
        for round in rounds {
            all.ttft.extend(round.ttft);
            all.tokens += round.tokens;
            all.cpu = all.cpu + round.cpu;
        }
        all.ttft.sort_unstable();
        all
    }

    pub(crate) fn ttft_ms(&self, quantile: f64) -> f64 {
        let mut sorted = self.ttft.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() - 1) as f64 * quantile) as usize;
        sorted[at].as_secs_f64() * 1e3
    }

    pub(crate) fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.tokens as f64
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (p50, p99, cpu) = (self.ttft_ms(0.5), self.ttft_ms(0.99), self.cpu_us());
        write!(f, "TTFT p50 {p50:.3} ms, p99 {p99:.3} ms, {cpu:.1} us of CPU a token over {} tokens", self.tokens)
    }
}

/// CPU time that this process has used, in steps of 10 ms.
pub(crate) fn cpu_time() -> Nanos {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().expect("utime") + fields[12].parse::<u64>().expect("stime");
    Nanos(ticks * 10_000_000)
}
