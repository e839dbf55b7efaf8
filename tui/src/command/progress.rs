//! Progress of a headless run on stderr: a bar in a terminal, otherwise a line every five seconds.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::live::{Phase, Snapshot};
use loadgen::time::Micros;

use super::tell;
use crate::format;

/// Between two lines when stderr is no terminal.
const LINE_EVERY: Micros = Micros(5_000_000);

/// Shows how far a run is.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    next_line: Micros,
}

impl Progress {
    /// A bar if stderr is a terminal that can draw one.
    pub fn new() -> Self {
        let plain = std::env::var_os("TERM").is_some_and(|term| term == "dumb") || std::env::var_os("CI").is_some();
        let bar = (std::io::stderr().is_terminal() && !plain).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(10));
            if let Ok(style) = ProgressStyle::with_template("{bar:24} {msg}") {
                bar.set_style(style.progress_chars("█▌░"));
            }
            bar
        });
        Self { bar, next_line: LINE_EVERY }
    }

    /// Shows a snapshot.
    pub fn show(&mut self, snapshot: &Snapshot) {
        let line = line(snapshot);
        if let Some(bar) = &self.bar {
            bar.set_position((share(snapshot) * 1000.0) as u64);
            bar.set_message(line);
        } else if snapshot.now >= self.next_line {
            self.next_line = snapshot.now + LINE_EVERY;
            tell(&line);
        }
    }

    /// Takes the bar away.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

/// How much of the schedule is over, 0..=1; by whichever end is nearer.
fn share(snapshot: &Snapshot) -> f64 {
    let ended = snapshot.counts.offered - snapshot.counts.in_flight.min(snapshot.counts.offered);
    let by_requests = snapshot.requests.map(|all| ended as f64 / all.max(1) as f64);
    let by_time = snapshot.duration.map(|all| snapshot.now.as_secs_f64() / all.as_secs_f64().max(1e-6));
    by_requests.into_iter().chain(by_time).fold(0.0, f64::max).clamp(0.0, 1.0)
}

fn line(snapshot: &Snapshot) -> String {
    let counts = &snapshot.counts;
    let recent = &snapshot.recent;
    let seconds = snapshot.now.0 / 1_000_000;
    let goodput = match (recent.goodput_rps, recent.attainment) {
        (Some(rate), Some(share)) => format!("goodput {rate:.1}/s ({:.0}%) | ", share * 100.0),
        (Some(rate), None) => format!("goodput {rate:.1}/s | "),
        (None, _) => String::new(),
    };
    let millis = |value: Option<Micros>| value.map_or("-".to_owned(), |value| format!("{:.0}", value.as_millis_f64()));
    let phase = match (snapshot.phase, snapshot.shifts.last()) {
        (Phase::Finishing, Some(shift)) if counts.in_flight == 0 => format!(" | waiting for the shift to {}", shift.to),
        (Phase::Finishing, _) => format!(" | waiting for {} in flight", counts.in_flight),
        (Phase::Loading | Phase::Paused | Phase::Done, _) => String::new(),
    };
    format!(
        "[{:02}:{:02}] sent {} ok {} err {} | {goodput}ttft p95 {} tpot p95 {} ms | {} | lag p99 {:.1}ms drop {}{phase}",
        seconds / 60,
        seconds % 60,
        counts.sent,
        counts.completed,
        counts.failed + counts.cut,
        millis(recent.ttft.p95),
        millis(recent.tpot.p95),
        format::split(snapshot.split),
        snapshot.health.lag_p99.as_millis_f64(),
        snapshot.health.dropped,
    )
}

#[cfg(test)]
mod tests {
    use engine::cluster::How;
    use loadgen::live::ShiftView;

    use super::*;

    #[test]
    fn what_is_waited_for_at_the_end_is_what_is_in_flight_and_then_the_shift() {
        let mut snapshot = Snapshot { phase: Phase::Finishing, ..Snapshot::empty() };
        snapshot.counts.in_flight = 3;
        let to = "3P1D".parse().expect("a split");
        snapshot.shifts = vec![ShiftView { to, how: How::Drain, since: Some(Micros::ZERO) }];
        assert!(line(&snapshot).ends_with(" | waiting for 3 in flight"), "{}", line(&snapshot));
        snapshot.counts.in_flight = 0;
        assert!(line(&snapshot).ends_with(" | waiting for the shift to 3P1D"), "{}", line(&snapshot));
        snapshot.shifts.clear();
        assert!(line(&snapshot).ends_with(" | waiting for 0 in flight"), "{}", line(&snapshot));
    }
}
