//! What servers tell of themselves: beside the units that nobody else tells of, in lanes of their own where there are no such
//! units, and as means by role.

use engine::units::{Role, UnitId};
use loadgen::live::{ServerView, Snapshot, counted_by};
use loadgen::metrics::{Counter, Sums, Timer};
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};

use super::figures::{role_paint, span};
use crate::format;
use crate::theme::{Paint, Theme};
use crate::widget::{bar::bar, panel};

/// Letters of a name that are shown; its end tells more than its beginning.
const NAME: usize = 21;
/// From this width on, the times of each server have room beside what it holds.
const TIMES: u16 = 78;

/// From this width on, what was counted has room beside the times in the table.
const COUNTS: u16 = 98;

/// Servers of one kind.
pub(super) struct Group<'a> {
    role: Option<Role>,
    whole: bool,
    servers: Vec<&'a ServerView>,
}

impl Group<'_> {
    fn title(&self) -> String {
        match (self.role, self.whole) {
            (_, true) => "SERVICE".to_owned(),
            (Some(role), _) => format!("{} ×{}", role.to_string().to_uppercase(), self.servers.len()),
            (None, _) => format!("ENGINE ×{}", self.servers.len()),
        }
    }

    fn paint(&self) -> Paint {
        self.role.map_or(Paint::Text, role_paint)
    }

    /// What all of them hold.
    fn figures(&self, theme: &Theme) -> String {
        let sum = |of: fn(&ServerView) -> Option<u32>| -> Option<u64> {
            self.servers.iter().filter_map(|server| of(server)).map(u64::from).reduce(|a, b| a + b)
        };
        let queue = sum(|server| server.gauges.waiting).map(|count| format!("queue {count}"));
        let batch = sum(|server| server.gauges.running).map(|count| format!("batch {count}"));
        let figures: Vec<String> = queue.into_iter().chain(batch).collect();
        figures.join(&format!(" {} ", theme.symbols.dot))
    }
}

/// Those that tell what is, by kind: units before a service that speaks for all, which is left out where there are units.
pub(super) fn groups(shown: &Snapshot) -> Vec<Group<'_>> {
    let fresh = || shown.servers.iter().filter(|server| server.is_fresh(shown.now));
    let of = |whole: bool, role: Option<Role>| {
        let servers: Vec<&ServerView> =
            fresh().filter(|server| server.whole == whole && (whole || server.role == role)).collect();
        (!servers.is_empty()).then_some(Group { role, whole, servers })
    };
    let roles = [Some(Role::Prefill), Some(Role::Decode), Some(Role::Aggregated), None];
    let units: Vec<Group<'_>> = roles.into_iter().filter_map(|role| of(false, role)).collect();
    if units.is_empty() { of(true, None).into_iter().collect() } else { units }
}

/// The server that a unit is, as far as it tells what is.
pub(super) fn of_unit(shown: &Snapshot, unit: UnitId) -> Option<&ServerView> {
    shown.servers.iter().find(|server| server.unit == Some(unit) && server.is_fresh(shown.now))
}

/// Rows, frame included, that the lanes of servers want.
pub(super) fn wanted_height(shown: &Snapshot) -> u16 {
    let most = groups(shown).iter().map(|group| group.servers.len()).max().unwrap_or(1);
    (most.max(1) as u16).saturating_add(2)
}

/// Draws a panel for each kind, side by side.
pub(super) fn panels(shown: &Snapshot, focus: bool, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let groups = groups(shown);
    let places = Layout::horizontal(vec![Constraint::Fill(1); groups.len()]).split(area);
    for (group, place) in groups.iter().zip(places.iter()) {
        let title = theme.style(group.paint()).patch(theme.style(Paint::Title));
        let title = Line::from(span(theme, group.paint(), group.title()).style(title));
        let right = Line::from(span(theme, Paint::Text, group.figures(theme)));
        let inner = panel::panel(theme, focus, title, right, *place, buf);
        let room = usize::from(inner.height);
        let folded = group.servers.len().saturating_sub(room);
        let seen = if folded > 0 { room.saturating_sub(1) } else { room };
        for (server, row) in group.servers.iter().take(seen).zip(inner.rows()) {
            buf.set_line(row.x, row.y, &lane(server, theme, row.width), row.width);
        }
        if let (true, Some(row)) = (folded > 0, inner.rows().nth(seen)) {
            let more = format!("+{} more", group.servers.len() - seen);
            buf.set_line(row.x, row.y, &Line::from(span(theme, Paint::Dim, more)), row.width);
        }
    }
}

/// `127.0.0.1:8102 q2  b16  kv █████░ 62%`.
fn lane(server: &ServerView, theme: &Theme, width: u16) -> Line<'static> {
    let mut spans = vec![span(theme, Paint::Text, format!("{} ", end_of(&server.name, NAME)))];
    spans.extend(beside(server, theme, width.saturating_sub(spans[0].width() as u16)));
    Line::from(spans)
}

/// What a server holds, and where there is room, what it took: `q2  b16  kv █████░ 62%  queue 4.1  prefill 120 ms`.
pub(super) fn beside(server: &ServerView, theme: &Theme, width: u16) -> Vec<Span<'static>> {
    let mut spans = Vec::new();
    let gauges = server.gauges;
    for (letter, count) in [('q', gauges.waiting), ('b', gauges.running)] {
        if let Some(count) = count {
            spans.push(span(theme, Paint::Text, format!("{letter}{count:<2} ")));
        }
    }
    if let Some(share) = gauges.kv_used.map(|share| f64::from(share) / 1000.0) {
        spans.push(span(theme, Paint::Dim, "kv "));
        if width >= 24 {
            spans.extend(bar(theme, share, 6, Paint::Text));
        }
        spans.push(span(theme, Paint::Text, format!("{:>3}% ", format::percent(share))));
    }
    if width >= TIMES - NAME as u16 {
        let times = [Timer::Queue, Timer::Prefill, Timer::Decode, Timer::HandOff];
        let told: Vec<String> = times
            .into_iter()
            .filter_map(|timer| Some(format!("{} {}", timer.name(), told_mean(&server.sums, timer)?)))
            .collect();
        if !told.is_empty() {
            spans.push(span(theme, Paint::Dim, format!(" {} ms", told.join("  "))));
        }
    }
    spans
}

/// What was counted over the same seconds: the share of prompt tokens found in the prefix cache, preemptions, KV transferred.
fn counted(sums: &Sums, theme: &Theme) -> String {
    let none = || theme.symbols.none.to_owned();
    let count = |counter| sums.count(counter);
    let looked = count(Counter::PrefixQueried).filter(|queried| *queried > 0);
    let hits = looked.map(|queried| count(Counter::PrefixHit).unwrap_or(0) as f64 / queried as f64);
    let hits = hits.map_or_else(none, |share| format::percent(share).to_string());
    let preempted = count(Counter::Preempted).map_or_else(none, |count| count.to_string());
    let moved = count(Counter::HandOffBytes).map_or_else(none, |bytes| format!("{:.0}", bytes as f64 / 1e6));
    format!("{hits:>8}{preempted:>8}{moved:>6}")
}

/// A mean in milliseconds; `~120` where it is the middle of what it may be.
fn told_mean(sums: &Sums, timer: Timer) -> Option<String> {
    let time = sums.time(timer)?;
    let about = if time.between().is_some() { "~" } else { "" };
    Some(format!("{about}{}", format::millis(time.mean()?)))
}

/// One line for a kind: ` D 8102 q0 b12 kv 61%  8103 q1 b9 kv 58%`.
pub(super) fn line(group: &Group<'_>, theme: &Theme, area: Rect, buf: &mut Buffer) {
    let letter = group.role.map_or('S', Role::letter);
    let mut line = Line::from_iter([Span::raw(" "), span(theme, group.paint(), format!("{letter} "))]);
    for (index, server) in group.servers.iter().enumerate() {
        let spans = held(server, short(group, &server.name), theme);
        let more = format!("+{}", group.servers.len() - index);
        let wide: usize = spans.iter().map(Span::width).sum();
        if line.width() + wide + more.len() > usize::from(area.width) {
            line.push_span(span(theme, Paint::Dim, more));
            break;
        }
        line.extend(spans);
    }
    buf.set_line(area.x, area.y, &line, area.width);
}

/// The end of a name, as much of it as tells it apart: the port where all are of one host.
fn short<'a>(group: &Group<'_>, name: &'a str) -> &'a str {
    fn end(name: &str) -> &str {
        name.rsplit([':', '#', ' ']).next().unwrap_or(name)
    }
    let alike = group.servers.iter().filter(|server| end(&server.name) == end(name)).count();
    if alike > 1 { name } else { end(name) }
}

fn held(server: &ServerView, name: &str, theme: &Theme) -> Vec<Span<'static>> {
    // One that has to be told from others of the same end has room for a host and a port.
    let letters = if name.len() == server.name.len() { NAME } else { 8 };
    let gauges = server.gauges;
    let waiting = gauges.waiting.map(|count| format!("q{count} "));
    let running = gauges.running.map(|count| format!("b{count} "));
    let kv = gauges.kv_used.map(|share| format!("kv {}% ", format::percent(f64::from(share) / 1000.0)));
    let figures: String = waiting.into_iter().chain(running).chain(kv).collect();
    vec![
        span(theme, Paint::Dim, format!("{} ", end_of(name, letters))),
        span(theme, Paint::Text, format!("{figures} ")),
    ]
}

/// All units of `role` that nobody else tells of, in a few letters: `q2 b16 kv 62%`.
pub(super) fn of_role(shown: &Snapshot, role: Role) -> String {
    let told = || shown.servers.iter().filter(|server| server.unit.is_some() && server.is_fresh(shown.now));
    let of: Vec<&ServerView> = told().filter(|server| server.role == Some(role)).collect();
    let sum = |of_one: fn(&ServerView) -> Option<u32>| -> Option<u64> {
        of.iter().filter_map(|server| of_one(server)).map(u64::from).reduce(|a, b| a + b)
    };
    let kv: Vec<f64> = of.iter().filter_map(|server| server.gauges.kv_used).map(f64::from).collect();
    let mean = (!kv.is_empty()).then(|| kv.iter().sum::<f64>() / kv.len() as f64 / 1000.0);
    let waiting = sum(|server| server.gauges.waiting).map(|count| format!("q{count}"));
    let running = sum(|server| server.gauges.running).map(|count| format!("b{count}"));
    let kv = mean.map(|share| format!("kv {}%", format::percent(share)));
    let figures: Vec<String> = waiting.into_iter().chain(running).chain(kv).collect();
    figures.join(" ")
}

/// Means of the last seconds by kind, with a line that names them: nothing where nobody tells.
pub(super) fn table(shown: &Snapshot, theme: &Theme, width: u16, room: usize) -> Vec<Line<'static>> {
    const TIMES: [Timer; 6] = [Timer::Queue, Timer::Prefill, Timer::HandOff, Timer::Ttft, Timer::Gap, Timer::Decode];
    let counts = width >= COUNTS;
    let servers = &shown.servers;
    let kinds = [("all", true, None), ("prefill", false, Some(Role::Prefill)), ("decode", false, Some(Role::Decode))];
    let others = [("both", false, Some(Role::Aggregated)), ("engine", false, None)];
    let kinds = kinds
        .into_iter()
        .chain(others)
        .map(|(name, whole, role)| (name, role, counted_by(servers, shown.now, whole, role)));
    let told: Vec<(&str, Option<Role>, Sums)> = kinds.filter(|(_, _, sums)| *sums != Sums::default()).collect();
    if told.is_empty() || room < 2 {
        return Vec::new();
    }
    let name = |timer: Timer| if timer == Timer::HandOff { "KV xfer" } else { timer.name() };
    let mut names = TIMES.map(|timer| format!("{:>10}", name(timer))).concat();
    if counts {
        names.push_str("  hits % preempt KV MB");
    }
    let mut lines = vec![Line::from(span(theme, Paint::Dim, format!(" server, ms{names}")))];
    for (name, role, sums) in told.into_iter().take(room - 1) {
        let time = |timer| told_mean(&sums, timer).unwrap_or_else(|| theme.symbols.none.to_owned());
        let mut times = TIMES.map(|timer| format!("{:>10}", time(timer))).concat();
        if counts {
            times.push_str(&counted(&sums, theme));
        }
        let count = |counter| sums.count(counter).unwrap_or(0);
        let failed = count(Counter::HandOffFailed).saturating_add(count(Counter::HandOffExpired));
        let mut line = Line::from_iter([
            span(theme, role.map_or(Paint::Text, role_paint), format!(" {name:<10}")),
            span(theme, Paint::Text, times),
        ]);
        if failed > 0 {
            line.push_span(span(theme, Paint::Bad, format!("  {failed} failed{}", theme.symbols.bad)));
        }
        lines.push(line);
    }
    lines
}

/// `  srv mean 190`, beside the name of a chart.
pub(super) fn mean(theme: &Theme, mean: Option<Micros>) -> Option<Span<'static>> {
    mean.map(|mean| span(theme, Paint::Offered, format!("  srv mean {}", format::millis(mean))))
}

fn end_of(name: &str, letters: usize) -> String {
    let count = name.chars().count();
    name.chars().skip(count.saturating_sub(letters)).collect()
}
