//! Series reduced to the columns of the screen.
//!
//! Each column keeps the first, last, lowest and highest value that falls into it: a line drawn from those four touches
//! exactly the pixels that the full series would (Jugel et al., "M4: A Visualization-Oriented Time Series Data
//! Aggregation", VLDB 2014). No percentile is averaged on the way.

use loadgen::live::Slot;
use loadgen::time::Micros;

use super::TimeAxis;

/// What falls into one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Column {
    /// The earliest value.
    pub first: f64,
    /// The latest value.
    pub last: f64,
    /// The lowest value.
    pub low: f64,
    /// The highest value.
    pub high: f64,
}

impl Column {
    fn of(value: f64) -> Self {
        Self { first: value, last: value, low: value, high: value }
    }

    fn add(&mut self, value: f64) {
        self.last = value;
        self.low = self.low.min(value);
        self.high = self.high.max(value);
    }
}

/// The slots that touch the axis; `history` is ordered by time.
pub fn visible(history: &[Slot], axis: TimeAxis) -> &[Slot] {
    let from = history.partition_point(|slot| slot.start + slot.length <= axis.from);
    let to = history.partition_point(|slot| slot.start < axis.to);
    history.get(from..to).unwrap_or(&[])
}

/// The slot that contains an instant.
pub fn at(history: &[Slot], at: Micros) -> Option<&Slot> {
    let index = history.partition_point(|slot| slot.start <= at).checked_sub(1)?;
    history.get(index).filter(|slot| at < slot.start + slot.length)
}

/// Puts one value a slot into columns. A slot without a value leaves a gap where nothing else falls.
pub fn columns(
    slots: &[Slot],
    axis: TimeAxis,
    count: usize,
    value: impl Fn(usize, &Slot) -> Option<f64>,
) -> Vec<Option<Column>> {
    let mut columns: Vec<Option<Column>> = vec![None; count];
    for (index, slot) in slots.iter().enumerate() {
        let Some(value) = value(index, slot).filter(|v| v.is_finite()) else { continue };
        let last_instant = Micros((slot.start + slot.length).0.saturating_sub(1));
        let Some(first) = axis.column(slot.start.max(axis.from), count) else { continue };
        let last = axis.column(last_instant.min(axis.to), count).unwrap_or(first).max(first);
        for column in columns.iter_mut().take(last + 1).skip(first) {
            match column {
                Some(column) => column.add(value),
                None => *column = Some(Column::of(value)),
            }
        }
    }
    columns
}

/// The highest value of a series.
pub fn highest(columns: &[Option<Column>]) -> f64 {
    columns.iter().flatten().map(|column| column.high).fold(0.0, f64::max)
}

/// Counts per second over a sliding window that ends with each slot: sums over counts, divided by the time they span.
pub fn sliding_rate(slots: &[Slot], window: Micros, count: impl Fn(&Slot) -> u32) -> Vec<f64> {
    let (mut oldest, mut sum, mut span) = (0usize, 0u64, 0u64);
    let mut rates = Vec::with_capacity(slots.len());
    for slot in slots {
        sum = sum.saturating_add(u64::from(count(slot)));
        span = span.saturating_add(slot.length.0);
        while let Some(old) = slots.get(oldest)
            && span.saturating_sub(old.length.0) >= window.0.max(1)
        {
            sum = sum.saturating_sub(u64::from(count(old)));
            span = span.saturating_sub(old.length.0);
            oldest += 1;
        }
        rates.push(if span == 0 { 0.0 } else { sum as f64 * 1e6 / span as f64 });
    }
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(counts: &[u32]) -> Vec<Slot> {
        let second = |i: usize| Micros(i as u64 * 1_000_000);
        counts
            .iter()
            .enumerate()
            .map(|(i, n)| Slot { start: second(i), length: second(1), completed: *n, ..Slot::default() })
            .collect()
    }

    fn axis(seconds: u64) -> TimeAxis {
        TimeAxis { from: Micros::ZERO, to: Micros(seconds * 1_000_000) }
    }

    #[test]
    fn a_column_keeps_the_extremes_and_the_ends_of_what_falls_into_it() {
        let slots = slots(&[5, 9, 1, 3]);
        let reduced = columns(&slots, axis(4), 1, |_, slot| Some(f64::from(slot.completed)));
        assert_eq!(reduced, [Some(Column { first: 5.0, last: 3.0, low: 1.0, high: 9.0 })]);
    }

    #[test]
    fn a_slot_wider_than_a_column_leaves_no_hole() {
        let slots = slots(&[1, 2]);
        let reduced = columns(&slots, axis(2), 7, |_, slot| Some(f64::from(slot.completed)));
        assert!(reduced.iter().all(Option::is_some), "{reduced:?}");
    }

    #[test]
    fn an_empty_second_is_a_gap_and_not_a_zero() {
        let slots = slots(&[1, 0, 2]);
        let reduced = columns(&slots, axis(3), 3, |_, slot| (slot.completed > 0).then_some(f64::from(slot.completed)));
        assert_eq!(reduced.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }

    #[test]
    fn a_sliding_rate_divides_by_the_time_it_really_spans() {
        let rates = sliding_rate(&slots(&[4, 2, 0, 6]), Micros(2_000_000), |slot| slot.completed);
        assert_eq!(rates, [4.0, 3.0, 1.0, 3.0]);
    }

    #[test]
    fn only_slots_that_touch_the_axis_are_visible() {
        let slots = slots(&[1; 10]);
        let axis = TimeAxis { from: Micros(2_500_000), to: Micros(5_000_000) };
        let seen: Vec<u64> = visible(&slots, axis).iter().map(|slot| slot.start.0 / 1_000_000).collect();
        assert_eq!(seen, [2, 3, 4]);
    }
}
