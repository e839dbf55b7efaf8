//! Figures that several panels show, as texts and colours.

use engine::cluster::UnitState;
use engine::units::Role;
use loadgen::live::{Outage, Percentiles, Phase, Snapshot, UnitView};
use loadgen::time::Micros;
use ratatui::text::Span;

use crate::format;
use crate::theme::{Paint, Theme};

/// What a screen says when no SLO is set.
pub(super) const NO_SLO: &str = "set an SLO: o, or --slo ttft=400ms,tpot=25ms";

/// What a screen says when a recording has none.
pub(super) const NO_SLO_THEN: &str = "no SLO was set";

/// Where a role's units are drawn.
pub(super) fn role_paint(role: Role) -> Paint {
    match role {
        Role::Prefill => Paint::Prefill,
        Role::Decode => Paint::Decode,
        Role::Aggregated => Paint::Aggregated,
    }
}

/// Whether nothing has ended and no token has come yet.
pub(super) fn is_waiting(snapshot: &Snapshot) -> bool {
    let c = &snapshot.counts;
    c.completed == 0 && c.failed == 0 && c.cut == 0 && snapshot.recent.ttft.p50.is_none()
}

/// Failures in a row from which on they are the target's state rather than bad luck, and for how long.
const IN_A_ROW: u64 = 3;
const FOR: Micros = Micros(1_000_000);

/// What a target does that completes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Every request fails.
    Down,
    /// It answers that it takes no more for now.
    Sheds,
}

/// Why every request fails, while every one does.
pub(super) fn trouble(snapshot: &Snapshot) -> Option<(Trouble, &Outage)> {
    let lasts = |outage: &&Outage| outage.failed >= IN_A_ROW && snapshot.now.since(outage.since) >= FOR;
    let outage = snapshot.outage.as_ref().filter(lasts)?;
    let sheds = outage.limited * 2 > outage.failed;
    Some((if sheds { Trouble::Sheds } else { Trouble::Down }, outage))
}

/// `waiting for the first answer, 3.2s, 12 sent`.
pub(super) fn waiting(snapshot: &Snapshot) -> String {
    if snapshot.phase == Phase::Done {
        return "nothing was answered".to_owned();
    }
    format!(
        "waiting for the first answer, {}, {} sent",
        format::duration(snapshot.now),
        format::count(snapshot.counts.sent)
    )
}

/// A styled text.
pub(super) fn span(theme: &Theme, paint: Paint, text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), theme.style(paint))
}

/// `label value`, the label dim.
pub(super) fn pair(theme: &Theme, label: &str, paint: Paint, value: impl Into<String>) -> [Span<'static>; 2] {
    [span(theme, Paint::Dim, format!("{label} ")), span(theme, paint, value)]
}

/// A latency in milliseconds, or a dash.
pub(super) fn millis(theme: &Theme, value: Option<Micros>) -> String {
    value.map_or_else(|| theme.symbols.none.to_owned(), format::millis)
}

/// `p50 212  p95 318 ✗  p99 402`: a 95th percentile above the bound is marked by more than its colour.
pub(super) fn percentiles(
    theme: &Theme,
    of: Percentiles,
    bound: Option<Micros>,
    which: &[&'static str],
) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    for name in which {
        let value = match *name {
            "p50" => of.p50,
            "p95" => of.p95,
            _ => of.p99,
        };
        let over = *name == "p95" && value.zip(bound).is_some_and(|(value, bound)| value > bound);
        if !spans.is_empty() {
            spans.push(Span::raw("  "));
        }
        spans.push(span(theme, Paint::Dim, format!("{name} ")));
        let text = millis(theme, value);
        spans.push(if over {
            span(theme, Paint::Bad, format!("{text}{}", theme.symbols.bad))
        } else {
            span(theme, Paint::Text, text)
        });
    }
    spans
}

/// The sums of one role.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Side {
    /// Units.
    pub(super) units: usize,
    /// Whether the figures of any are told.
    pub(super) measured: bool,
    /// Requests waiting for their first chunk.
    pub(super) queue: u64,
    /// Sequences in batches.
    pub(super) running: u64,
    /// Sequences waiting for their hand-off.
    pub(super) handing_off: u64,
    /// Mean of the busy shares.
    pub(super) busy: f64,
    /// Mean of the shares of KV in use.
    pub(super) kv: f64,
    /// Prompt tokens per second.
    pub(super) input_tps: f64,
    /// Sampled tokens per second.
    pub(super) output_tps: f64,
}

/// Sums over the units of `role`; failed ones count for nothing.
pub(super) fn side(units: &[UnitView], role: Role) -> Side {
    let mut side = Side::default();
    for unit in units.iter().filter(|unit| unit.role == role && unit.state != UnitState::Failed) {
        side.units += 1;
        side.measured |= unit.measured;
        side.queue += u64::from(unit.queue);
        side.running += u64::from(unit.running);
        side.handing_off += u64::from(unit.handing_off);
        side.busy += unit.busy;
        side.kv += unit.kv_used;
        side.input_tps += unit.input_tps;
        side.output_tps += unit.output_tps;
    }
    if side.units > 0 {
        side.busy /= side.units as f64;
        side.kv /= side.units as f64;
    }
    side
}

/// The roles that have units, in the order in which they are drawn.
pub(super) fn roles(units: &[UnitView]) -> Vec<Role> {
    let mut roles = vec![Role::Prefill, Role::Decode, Role::Aggregated];
    roles.retain(|role| units.iter().any(|unit| unit.role == *role));
    roles
}

/// What a unit does about its role; `None` while it serves.
pub(super) fn state(theme: &Theme, unit: &UnitView) -> Option<Span<'static>> {
    let moving = |text: String| Some(span(theme, Paint::Warn, format!("{} {text}", theme.symbols.moving)));
    match unit.state {
        UnitState::Serving => None,
        UnitState::Draining { .. } if !unit.measured => moving("draining".to_owned()),
        UnitState::Draining { left } => moving(format!("draining {left} left")),
        UnitState::Switching => moving(format!("switching {}", format::duration(unit.in_state))),
        UnitState::Warming => moving(format!("warming {}", format::duration(unit.in_state))),
        UnitState::Failed => Some(span(theme, Paint::Bad, format!("{} failed", theme.symbols.bad))),
    }
}

/// The trend of goodput: rising, falling or level within a twentieth.
pub(super) fn trend(theme: &Theme, now: f64, before: Option<f64>) -> Option<Span<'static>> {
    let before = before?;
    let margin = before.abs() * 0.05;
    let (symbol, paint) = if now > before + margin {
        (theme.symbols.up, Paint::Good)
    } else if now < before - margin {
        (theme.symbols.down, Paint::Bad)
    } else {
        (theme.symbols.level, Paint::Dim)
    };
    Some(span(theme, paint, symbol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_in_trouble_after_a_second_of_nothing_but_failures_and_what_most_of_them_are_says_which() {
        let told = |failed, limited, seconds: u64| {
            let outage = Outage { since: Micros(5_000_000), failed, limited, ..Outage::default() };
            let now = Micros(5_000_000 + seconds * 1_000_000);
            trouble(&Snapshot { now, outage: Some(outage), ..Snapshot::empty() }).map(|(trouble, _)| trouble)
        };
        assert_eq!([told(2, 0, 60), told(300, 0, 0)], [None, None], "bad luck, and too short");
        assert_eq!([told(3, 0, 1), told(3, 1, 1)], [Some(Trouble::Down); 2]);
        assert_eq!(
            [told(3, 3, 1), told(3000, 2999, 60)],
            [Some(Trouble::Sheds); 2],
            "one cut among so many changes nothing"
        );
        assert_eq!(trouble(&Snapshot::empty()), None);
    }
}
