//! Axes with round numbers.

use loadgen::time::Micros;

use crate::format;

/// What the vertical axis counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds.
    Millis,
    /// Something per second.
    Rate,
}

/// The vertical axis: from zero to a round number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ValueAxis {
    /// Its upper end, above zero.
    pub top: f64,
    /// What it counts.
    pub unit: Unit,
}

/// A bound this many times above everything measured is left out of the axis: it would press the data flat.
const FAR: f64 = 4.0;
const ROUND: [f64; 11] = [1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0];

impl ValueAxis {
    /// An axis that shows every value up to `highest`, and `bound` unless it is far above.
    pub fn covering(highest: f64, bound: Option<f64>, unit: Unit) -> Self {
        let highest = if highest.is_finite() { highest.max(0.0) } else { 0.0 };
        let bound = bound.filter(|b| b.is_finite() && (highest <= 0.0 || *b <= highest * FAR)).unwrap_or(0.0);
        Self { top: round_up(highest.max(bound) * 1.02), unit }
    }

    /// `value` as the axis writes it, at most four columns for anything below a day or ten million.
    pub fn label(self, value: f64) -> String {
        match self.unit {
            Unit::Millis if self.top >= 10_000.0 => format!("{:.0}s", value / 1e3),
            _ if value <= 0.0 => "0".to_owned(),
            _ if value >= 9_999.5 => format::number(value).replace(".0", ""),
            _ if value < 99.95 && (value - value.round()).abs() > 0.049 => format!("{value:.1}"),
            _ => format!("{value:.0}"),
        }
    }
}

/// The smallest round number that is at least `value`; 1 for zero.
fn round_up(value: f64) -> f64 {
    if !(value > 0.0 && value.is_finite()) {
        return 1.0;
    }
    let decade = 10f64.powf(value.log10().floor());
    ROUND.into_iter().map(|r| r * decade).find(|r| *r >= value).unwrap_or(decade * 10.0)
}

/// The horizontal axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeAxis {
    /// Its left end.
    pub from: Micros,
    /// Its right end, after the left one.
    pub to: Micros,
}

/// Distances between labels, in seconds.
const STEPS: [u64; 14] = [1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 21_600];
/// Columns between the starts of two labels.
const ROOM: u64 = 12;

impl TimeAxis {
    /// The last `length` before `now`, or the first `length` of the run while it is younger than that.
    pub fn ending(now: Micros, length: Micros) -> Self {
        let length = Micros(length.0.max(1));
        let to = now.max(length);
        Self { from: to.since(length), to }
    }

    /// Its length.
    pub fn length(self) -> Micros {
        self.to.since(self.from)
    }

    /// In which of `columns` columns an instant lies; `None` outside the axis.
    pub fn column(self, at: Micros, columns: usize) -> Option<usize> {
        if at < self.from || at > self.to || columns == 0 {
            return None;
        }
        let (since, length) = (at.since(self.from).0, self.length().0.max(1));
        let column = match since.checked_mul(columns as u64) {
            Some(product) => (product / length) as usize,
            None => (u128::from(since) * columns as u128 / u128::from(length)) as usize,
        };
        Some(column.min(columns - 1))
    }

    /// The instant in the middle of a column.
    pub fn instant(self, column: usize, columns: usize) -> Micros {
        let (column, columns) = (column as u128 * 2 + 1, columns.max(1) as u128 * 2);
        self.from + Micros((u128::from(self.length().0) * column / columns) as u64)
    }

    /// Round instants for labels on an axis of `columns` columns.
    pub fn ticks(self, columns: usize) -> Vec<Micros> {
        let fits = (columns as u64 / ROOM).max(1);
        let least = self.length().0 / fits;
        let step = STEPS.into_iter().map(|s| s * 1_000_000).find(|s| *s >= least).unwrap_or(least.max(1));
        let first = self.from.0.div_ceil(step);
        (first..).map(|i| Micros(i.saturating_mul(step))).take_while(|at| *at <= self.to).take(columns.max(1)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_axis_ends_on_a_round_number_above_the_data() {
        for (highest, bound, top) in [
            (318.0, Some(400.0), 500.0),
            (23.6, Some(25.0), 30.0),
            (50.0, Some(400.0), 60.0),
            (0.0, Some(25.0), 30.0),
            (0.0, None, 1.0),
            (f64::INFINITY, None, 1.0),
            (1e7, None, 1.2e7),
        ] {
            let axis = ValueAxis::covering(highest, bound, Unit::Millis);
            assert!((axis.top - top).abs() < top * 1e-9, "{highest} {bound:?}: {}", axis.top);
        }
    }

    #[test]
    fn labels_fit_four_columns() {
        for top in [0.8, 30.0, 600.0, 5_000.0, 12_000.0, 600_000.0] {
            let axis = ValueAxis { top, unit: Unit::Millis };
            for share in [0.0, 0.25, 0.5, 1.0] {
                assert!(axis.label(top * share).len() <= 4, "{}", axis.label(top * share));
            }
        }
    }

    #[test]
    fn a_young_run_fills_the_axis_from_the_left() {
        let minute = Micros(60_000_000);
        let young = TimeAxis::ending(Micros(10_000_000), minute);
        assert_eq!((young.from, young.to), (Micros::ZERO, minute));
        assert_eq!(young.column(Micros(10_000_000), 60), Some(10));
        let old = TimeAxis::ending(Micros(100_000_000), minute);
        assert_eq!(old.column(Micros(100_000_000), 60), Some(59));
        assert_eq!(old.column(Micros(39_000_000), 60), None);
        assert_eq!(
            (0..60).map(|c| old.column(old.instant(c, 60), 60)).collect::<Vec<_>>(),
            (0..60).map(Some).collect::<Vec<_>>()
        );
        assert_eq!(old.ticks(60), [45, 60, 75, 90].map(|s| Micros(s * 1_000_000)));
    }
}
