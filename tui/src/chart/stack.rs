//! The stages of TTFT over time, one stack a column.

use loadgen::live::Slot;
use loadgen::measure::StageTimes;
use loadgen::time::Micros;

use super::TimeAxis;

/// Puts one stack a slot into columns. Of several in a column the tallest stays, whole: stages of different slots are not
/// mixed. A slot without a stack leaves a gap where nothing else falls.
pub fn stacks(
    slots: &[Slot],
    axis: TimeAxis,
    count: usize,
    pick: impl Fn(&Slot) -> Option<StageTimes>,
) -> Vec<Option<StageTimes>> {
    let mut columns: Vec<Option<StageTimes>> = vec![None; count];
    for slot in slots {
        let Some(stack) = pick(slot) else { continue };
        let last_instant = Micros((slot.start + slot.length).0.saturating_sub(1));
        let Some(first) = axis.column(slot.start.max(axis.from), count) else { continue };
        let last = axis.column(last_instant.min(axis.to), count).unwrap_or(first).max(first);
        for column in columns.iter_mut().take(last + 1).skip(first) {
            if column.is_none_or(|taller| taller.total() < stack.total()) {
                *column = Some(stack);
            }
        }
    }
    columns
}

#[cfg(test)]
mod tests {
    use loadgen::measure::Stage;

    use super::*;

    fn slot(second: u64) -> Slot {
        Slot { start: Micros(second * 1_000_000), length: Micros(1_000_000), ..Slot::default() }
    }

    #[test]
    fn the_tallest_stack_of_a_column_stays_whole() {
        let slots: Vec<Slot> = (0..4).map(slot).collect();
        let axis = TimeAxis { from: Micros::ZERO, to: Micros(4_000_000) };
        let queue = |slot: &Slot| {
            let second = slot.start.0 / 1_000_000;
            let times = StageTimes::from_stages([(Stage::Queue, Micros([5, 9, 0, 3][second as usize]))]);
            (second != 2).then_some(times)
        };
        let heights = |count| -> Vec<Option<u64>> {
            stacks(&slots, axis, count, queue).into_iter().map(|column| column.map(|c| c.total().0)).collect()
        };
        assert_eq!(heights(4), [Some(5), Some(9), None, Some(3)]);
        assert_eq!(heights(2), [Some(9), Some(3)]);
        assert_eq!(heights(0), []);
    }
}
