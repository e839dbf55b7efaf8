//! Events as sentences, and as the few letters that fit into a chart.

use crate::schedule::Shape;
use crate::slo::Slo;

/// A rate for people: at most three decimals, none that say nothing.
pub(super) fn rate(rps: f64) -> f64 {
    (rps * 1000.0).round() / 1000.0
}

/// A rate in a chart.
pub(super) fn rate_label(rps: f64) -> String {
    format!("{}/s", rate(rps))
}

/// The load was changed from one shape to another: label and sentence.
pub(super) fn reshaped(before: Option<Shape>, now: Shape) -> (String, String) {
    let Shape { arrival, isl, osl } = now;
    let label = match before {
        Some(before) if before.isl != isl => format!("isl {isl}"),
        Some(before) if before.osl != osl => format!("osl {osl}"),
        _ => arrival.to_string(),
    };
    (short(&label).to_owned(), format!("{arrival} arrivals, isl {isl}, osl {osl}"))
}

/// Requests are judged by this from now on.
pub(super) fn judged_by(slo: Option<Slo>) -> String {
    slo.map_or_else(|| "no SLO: no request is good or bad".to_owned(), |slo| slo.to_string())
}

/// What fits into a label of a chart.
fn short(label: &str) -> &str {
    label.char_indices().nth(12).map_or(label, |(end, _)| &label[..end])
}
