//! A summary for people.

use std::fmt::{self, Write};

use super::{Answers, Bounds, Shift, Statistics, Summary, Worker};
use crate::sample::FailureKind;

impl Summary {
    /// Some lines for a terminal, understandable without colour. `recorded_bytes` is the size of the recording.
    pub fn text(&self, recorded_bytes: Option<u64>) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let written = self.write(&mut text, recorded_bytes);
        debug_assert!(written.is_ok(), "{written:?}");
        text
    }

    fn write(&self, out: &mut String, recorded_bytes: Option<u64>) -> fmt::Result {
        if self.incomplete {
            writeln!(out, "incomplete   no end record: requests in flight at the end are missing")?;
        }
        let split = self.split.as_deref().map(|split| format!("  {split}")).unwrap_or_default();
        let (from, to) = (self.window.from_s, self.window.to_s);
        writeln!(
            out,
            "target       {}{split}  seed {}  figures from {from:.1} s to {to:.1} s",
            self.target, self.seed
        )?;
        if let Some(why) = &self.aborted {
            writeln!(out, "aborted      nothing more was sent: {why}")?;
        }
        self.write_requests(out)?;
        self.write_failures(out)?;
        self.write_goodput(out)?;
        let per_second = |value: Option<f64>| value.map_or("-".to_owned(), figure);
        let (input, output) = (per_second(self.input_tps), per_second(self.output_tps));
        writeln!(out, "throughput   {input} prompt tokens/s  {output} output tokens/s")?;
        writeln!(out, "{}{}", latency("ttft", &self.ttft_ms, 40), latency("tpot", &self.tpot_ms, 0))?;
        writeln!(out, "{}{}", latency("itl", &self.itl_ms, 40), latency("e2e", &self.e2e_ms, 0))?;
        if self.answers.reasoned > 0 {
            writeln!(out, "{}", latency("first answer token", &self.ttft_answer_ms, 0))?;
        }
        self.write_answers(out)?;
        if let Some(sessions) = &self.sessions {
            sessions.write(out)?;
        }
        for (place, worker) in self.workers.iter().enumerate() {
            writeln!(out, "{:<13}{}", if place == 0 { "workers" } else { "" }, Served(worker))?;
        }
        if let Some((first, later)) = self.shifts.split_first() {
            writeln!(out, "shifts       {}  ({})", self.shifts.len(), Line(first))?;
            for shift in later {
                writeln!(out, "                ({})", Line(shift))?;
            }
        }
        if let Some(server) = &self.server {
            server.write(out)?;
        }
        self.write_client(out)?;
        if let Some(recording) = &self.recording {
            let size = recorded_bytes.map(|bytes| format!(", {:.1} MB", bytes as f64 / 1e6)).unwrap_or_default();
            let state = if self.incomplete { "incomplete" } else { "complete" };
            writeln!(out, "recording    {recording}  ({} requests{size}, {state})", self.requests.offered)?;
        }
        Ok(())
    }

    fn write_requests(&self, out: &mut String) -> fmt::Result {
        let counts = &self.requests;
        write!(out, "requests     {} offered  {} completed", counts.offered, counts.completed)?;
        let others = [
            (counts.failed, "failed"),
            (counts.cut, "cut"),
            (counts.shed, "shed"),
            (counts.cancelled, "cancelled"),
            (counts.clamped, "clamped"),
        ];
        for (count, name) in others.iter().filter(|(count, _)| *count > 0) {
            write!(out, "  {count} {name}")?;
        }
        writeln!(out)
    }

    fn write_failures(&self, out: &mut String) -> fmt::Result {
        if self.requests.failed == 0 {
            return Ok(());
        }
        let counts = self.failures.iter().filter(|(_, count)| *count > 0).map(|(kind, count)| match kind {
            FailureKind::Client => format!("{count} client (no file or port left here)"),
            FailureKind::Limited => format!("{count} limited (load that the server shed)"),
            other => format!("{count} {other}"),
        });
        writeln!(out, "failures     {}", counts.collect::<Vec<_>>().join("  "))
    }

    /// What is to be known of the answers: how their tokens were counted, and whether lengths were as asked.
    fn write_answers(&self, out: &mut String) -> fmt::Result {
        let Answers { counted_by, osl_missed, isl_differed, .. } = &self.answers;
        let ways = [(counted_by.usage, "usage"), (counted_by.ids, "ids"), (counted_by.chunks, "chunks")];
        let ways: Vec<_> = ways.into_iter().filter(|(count, _)| *count > 0).collect();
        match &ways[..] {
            [] => {}
            [(_, way)] => writeln!(out, "tokens       counted by {way}")?,
            several => {
                let several = several.iter().map(|(count, way)| format!("{way} ({count})"));
                writeln!(out, "tokens       counted by {}", several.collect::<Vec<_>>().join(", by "))?;
            }
        }
        if self.answers.usage_differed > 0 {
            let differed = self.answers.usage_differed;
            writeln!(
                out,
                "usage        {differed} answers said another number of tokens than they had ids, and the ids count"
            )?;
        }
        if *osl_missed > 0 {
            writeln!(out, "lengths      {osl_missed} answers had not as many tokens as asked for")?;
        }
        if self.answers.one_piece > 0 {
            let pieces = self.answers.one_piece;
            writeln!(
                out,
                "pieces       {pieces} answers came in one piece: they have no TPOT, and their TTFT is that of the whole answer"
            )?;
        }
        if *isl_differed > 0 {
            let (asked, counted) = (self.answers.prompt_tokens_asked, self.answers.prompt_tokens_counted);
            writeln!(out, "prompts      the server counted {counted} tokens where {asked} were asked for")?;
        }
        if self.answers.addresses.len() > 1 {
            let counted = self.answers.addresses.iter().zip(&self.answers.addresses_failed);
            let counts = counted.map(|(count, failed)| match failed {
                0 => count.to_string(),
                failed => format!("{count} ({failed} failed or cut)"),
            });
            writeln!(out, "addresses    {} requests, in their order", counts.collect::<Vec<_>>().join(" + "))?;
        }
        Ok(())
    }

    fn write_goodput(&self, out: &mut String) -> fmt::Result {
        let offered = self.offered_rps.map_or("-".to_owned(), figure);
        let Some(slo) = &self.slo else {
            return writeln!(out, "goodput      set an SLO: --slo ttft=400ms,tpot=25ms  ({offered} req/s offered)");
        };
        let goodput = self.goodput_rps.map_or("-".to_owned(), figure);
        let attainment = self.attainment.map_or("-".to_owned(), |share| format!("{:.1}%", share * 100.0));
        write!(out, "goodput      {goodput} req/s   ({attainment} of ")?;
        let window = self.window.to_s - self.window.from_s;
        match self.slo_s {
            // To the microsecond both come from the same instants.
            Some(stood) if window - stood > 1e-6 => {
                write!(out, "those due in the {stood:.1} s of {window:.1} s in which an SLO stood")?;
            }
            _ => write!(out, "{offered} offered")?,
        }
        writeln!(out, "; SLO{slo})")
    }

    fn write_client(&self, out: &mut String) -> fmt::Result {
        let client = &self.client;
        write!(out, "client       {}", client.verdict.as_deref().unwrap_or("unknown"))?;
        if let Some(lag) = self.lag_ms.p99 {
            write!(out, "  lag p99 {} ms", figure(lag))?;
        }
        if let Some(cpu) = client.cpu_s {
            write!(out, "  cpu {cpu:.1} s")?;
        }
        if let Some(rss) = client.rss_mb {
            write!(out, "  rss {rss:.0} MB")?;
        }
        write!(out, "  drop {}", client.dropped)?;
        if client.realtime == Some(false) {
            write!(out, "  not in the real-time class")?;
        }
        writeln!(out)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = [
            ("ttft", self.ttft_ms),
            ("tpot", self.tpot_ms),
            ("itl.p99", self.itl_p99_ms),
            ("itl.mean", self.itl_mean_ms),
            ("e2e", self.e2e_ms),
        ];
        for (name, bound) in bounds {
            if let Some(bound) = bound {
                write!(f, " {name}<={bound}ms")?;
            }
        }
        Ok(())
    }
}

/// A shift in one line.
struct Line<'a>(&'a Shift);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shift { at_s, from, to, how, drain_ms, total_ms, lost, abandoned } = self.0;
        let at = *at_s as u64;
        write!(f, "{from} -> {to} at {:02}:{:02} by {how}: ", at / 60, at % 60)?;
        match (abandoned, drain_ms, total_ms) {
            (Some(why), ..) => write!(f, "abandoned, {why}")?,
            (None, Some(drain), Some(total)) => write!(f, "drained {} ms, took {} ms", figure(*drain), figure(*total))?,
            _ => write!(f, "not ended")?,
        }
        match lost {
            Some(lost) => write!(f, ", lost {lost}"),
            None => Ok(()),
        }
    }
}

/// A worker in one line.
struct Served<'a>(&'a Worker);

impl fmt::Display for Served<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Worker { role, name, unit, requests, ttft_ms, tpot_ms } = self.0;
        write!(f, "{role} {}", name.as_deref().unwrap_or("of others"))?;
        if let Some(unit) = unit {
            write!(f, " (unit {unit})")?;
        }
        write!(f, ": {requests} requests")?;
        let figures = [("ttft", ttft_ms), ("tpot", tpot_ms)];
        for (name, of) in figures.into_iter().filter_map(|(name, of)| Some((name, of.as_ref()?))) {
            write!(f, "  {}", latency(name, of, 0))?;
        }
        Ok(())
    }
}

/// One latency, padded to `width` columns.
pub(super) fn latency(name: &str, statistics: &Statistics, width: usize) -> String {
    let value = |value: Option<f64>| value.map_or("-".to_owned(), figure);
    let Statistics { p50, p95, p99, .. } = *statistics;
    let text = format!("{name:<4}  p50 {}  p95 {}  p99 {} ms", value(p50), value(p95), value(p99));
    // What is wider than its column still keeps apart from the next one.
    let width = if width == 0 { 0 } else { width.max(text.len() + 2) };
    format!("{text:<width$}")
}

/// A value to about three digits.
pub(super) fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_never_touches_the_one_beside_it() {
        let wide =
            Statistics { p50: Some(22_135.0), p95: Some(47_612.0), p99: Some(51_642.0), ..Statistics::default() };
        assert_eq!(latency("ttft", &wide, 40), "ttft  p50 22135  p95 47612  p99 51642 ms  ");
        assert!(latency("ttft", &wide, 0).ends_with(" ms"));
    }

    #[test]
    fn figures_have_about_three_digits() {
        let figures = [0.0, 0.4, 9.994, 9.996, 18.94, 99.94, 99.96, 1310.4].map(figure);
        assert_eq!(figures, ["0.00", "0.40", "9.99", "10.0", "18.9", "99.9", "100", "1310"]);
    }
}
