//! What must not be overlooked, as long as it holds: above the events, and whatever the cursor looks at.

use loadgen::live::{Phase, Snapshot};
use ratatui::text::Line;

use super::figures::{Trouble, span, trouble};
use crate::format;
use crate::model::Model;
use crate::theme::{Paint, Theme};

/// The warnings, the gravest first.
pub(super) fn lines(model: &Model, theme: &Theme) -> Vec<Line<'static>> {
    let sign = |paint| if paint == Paint::Alert { theme.symbols.bad } else { theme.symbols.warn };
    let line = |(paint, text): (Paint, String)| span(theme, paint, format!(" {} {text}", sign(paint))).into();
    texts(model).into_iter().map(line).collect()
}

/// How many there are.
pub(super) fn count(model: &Model) -> usize {
    texts(model).len()
}

fn texts(model: &Model) -> Vec<(Paint, String)> {
    let now = model.standing();
    let mut texts = of_the_recording(model);
    texts.extend(now.aborted.as_ref().map(|why| (Paint::Alert, format!("{why} "))));
    texts.extend(outage(now));
    texts.extend(failing(now));
    texts.extend(pieces(now));
    if let Some(reason) = &now.health.recording_lost {
        texts.push((Paint::Alert, format!("recording lost: {reason} ")));
    }
    if let Some(verdict) = &now.health.verdict {
        texts.push((Paint::Warn, format!("the client is the limit: {verdict}")));
    }
    texts
}

/// `target down: connect: connection refused; 465 failed in 31.0s, still sending 15/s`.
fn outage(now: &Snapshot) -> Option<(Paint, String)> {
    let (trouble, outage) = trouble(now)?;
    // Nobody waits before trying again: every request that is due is a try.
    let tries = match now.phase {
        Phase::Loading if now.rate_rps > 0.0 => format!("still sending {}/s", format::rate(now.rate_rps)),
        _ => "nothing is sent now".to_owned(),
    };
    let (paint, what) = match trouble {
        Trouble::Down => (Paint::Alert, "target down"),
        Trouble::Sheds => (Paint::Warn, "target sheds load"),
    };
    let (failed, since) = (format::count(outage.failed), format::duration(now.now.since(outage.since)));
    Some((paint, format!("{what}: {}; {failed} failed in {since}, {tries} ", outage.error)))
}

/// `31 of 70 failed: 12 status (500: out of memory), 8 cut`, with the address where it is one of several, unless none of late has completed at all.
fn failing(now: &Snapshot) -> Option<(Paint, String)> {
    let recent = &now.recent;
    let failures = &recent.failures;
    let nothing_else = trouble(now).is_some() && recent.completed == 0;
    if nothing_else || !failures.matter(recent.completed) {
        return None;
    }
    let failed = failures.total();
    let ended = recent.completed.saturating_add(failed);
    let paint = if failed >= recent.completed { Paint::Alert } else { Paint::Warn };
    // The addresses of a target stand in its name.
    let address = failures.address().and_then(|address| now.target.split(',').nth(address.into()));
    let address = address.map(|address| address.split_once("://").map_or(address, |(_, host)| host));
    let address = address.map(|host| format!(" at {host}")).unwrap_or_default();
    let (failed, ended) = (format::count(failed), format::count(ended));
    Some((paint, format!("{failed} of {ended} failed{address}: {} ", failures.with(&now.reasons))))
}

/// `no TPOT: 14 of 14 answers came in one piece, as where a proxy holds them back`, where those are most.
fn pieces(now: &Snapshot) -> Option<(Paint, String)> {
    let recent = &now.recent;
    let (pieces, completed) = (format::count(recent.pieces), format::count(recent.completed));
    let text = format!("no TPOT: {pieces} of {completed} answers came in one piece, as where a proxy holds them back ");
    (recent.pieces > recent.completed / 2).then_some((Paint::Warn, text))
}

/// What the operator should know about the file.
fn of_the_recording(model: &Model) -> Vec<(Paint, String)> {
    let Some(recording) = model.recording() else { return Vec::new() };
    let incomplete = recording
        .incomplete
        .as_ref()
        .map(|why| format!("incomplete: what was in flight at its end is missing ({why}) "));
    let unknown = (recording.unknown > 0)
        .then(|| format!("{} records of kinds from a later version are not shown", format::count(recording.unknown)));
    incomplete.map(|text| (Paint::Alert, text)).into_iter().chain(unknown.map(|text| (Paint::Warn, text))).collect()
}
