//! What servers told, for people.

use std::fmt::{self, Write};

use super::account::{Account, Part};
use super::servers::{Held, Mean, ServerRow, ServerSummary};
use super::text::figure;
use crate::diagnose::Fault;

impl ServerSummary {
    pub(super) fn write(&self, out: &mut String) -> fmt::Result {
        let units = self.rows.iter().filter(|row| row.name.is_some()).count();
        let missed = match self.failed_scrapes {
            0 => String::new(),
            1 => "; 1 scrape failed".to_owned(),
            failed => format!("; {failed} scrapes failed"),
        };
        match units {
            0 => writeln!(out, "server       told nothing of itself{missed}")?,
            1 => writeln!(out, "server       means over the same time, as it tells{missed}")?,
            _ => writeln!(out, "server       means over the same time, as {units} tell{missed}")?,
        }
        for row in self.shown() {
            writeln!(out, "  {:<10} {}", title(row), Line(row))?;
        }
        for (name, account) in [("ttft", &self.ttft), ("tpot", &self.tpot)] {
            if let Some(account) = account {
                writeln!(out, "  {name:<10} {}", Sum(account))?;
                for doubt in &account.doubts {
                    writeln!(out, "             ({doubt})")?;
                }
            }
        }
        if let Some(fault) = Fault::of(self.failed_kv_transfers, self.expired_kv) {
            writeln!(out, "warning      {fault}")?;
        }
        Ok(())
    }

    /// What stands for the whole and for each role; single units are in the JSON.
    fn shown(&self) -> impl Iterator<Item = &ServerRow> {
        let whole = self.rows.iter().find(|row| row.whole);
        whole.into_iter().chain(self.rows.iter().filter(|row| !row.whole && row.name.is_none()))
    }
}

fn title(row: &ServerRow) -> String {
    let name = match (&row.role, row.whole) {
        (_, true) => "all",
        (Some(role), _) => role.as_str(),
        (None, _) => "engine",
    };
    if row.units == 1 { name.to_owned() } else { format!("{name} ×{}", row.units) }
}

/// `120`, or `80.0–160` where its bounds are all that is known.
fn told(mean: Mean) -> String {
    match mean.between {
        None => figure(mean.mean),
        Some([least, most]) => format!("{}–{}", figure(least), figure(most)),
    }
}

/// `running 1.2  waiting 0.4  kv 12%  queue 4.1  prefill 120 ms`.
struct Line<'a>(&'a ServerRow);

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = self.0;
        let held = |name: &str, held: Option<Held>| Some(format!("{name} {}", figure(held?.mean)));
        let time = |name: &str, mean: Option<Mean>| Some(format!("{name} {}", told(mean?)));
        let share = |part: Option<u64>, of: Option<u64>| Some(part? as f64 / of.filter(|of| *of > 0)? as f64 * 100.0);
        let hits = share(row.prefix_hit_tokens, row.prefix_queried_tokens);
        let levels = [
            held("running", row.running),
            held("waiting", row.waiting),
            row.kv_used.map(|kv| format!("kv {:.0}%", kv.mean * 100.0)),
            hits.map(|hits| format!("prefix hits {hits:.0}%")),
            row.preemptions.filter(|count| *count > 0).map(|count| format!("preemptions {count}")),
        ];
        let times = [
            time("ttft", row.ttft_ms),
            time("queue", row.queue_ms),
            time("prefill", row.prefill_ms),
            time("decode", row.decode_ms),
            time("itl", row.itl_ms),
            time("KV transfer", row.kv_transfer_ms),
        ];
        let moved = row.kv_transfer_mb.filter(|mb| *mb > 0.0).map(|mb| format!("{} MB of KV", figure(mb)));
        let times: Vec<String> = times.into_iter().flatten().collect();
        let times = (!times.is_empty()).then(|| format!("{} ms", times.join("  ")));
        let all: Vec<String> = levels.into_iter().flatten().chain(times).chain(moved).collect();
        f.write_str(&all.join("  "))
    }
}

/// `214 ms for the client: 4.1 prefill queue, 120 prefill, 14.0 KV transfer, 75.9 network, gateway …`.
struct Sum<'a>(&'a Account);

impl fmt::Display for Sum<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Account { client_ms, parts, rest_ms, rest, .. } = self.0;
        write!(f, "mean {} ms for the client: ", figure(*client_ms))?;
        for Part { what, ms } in parts {
            write!(f, "{} {what}, ", figure(*ms))?;
        }
        write!(f, "{} {rest}", figure(*rest_ms))
    }
}
