//! The highest rate at which the SLO is met.

/// Steps of the bisection: the answer is known to a two-hundredth of an octave.
const STEPS: u32 = 8;
/// Doublings, and halvings, from where the search starts.
const REACH: u32 = 24;

/// The highest rate, up to `most`, at which `is_met`, if that is so below some rate and not above: bracketed by octaves from
/// `start`, then bisected by ratio. `None` when it is met nowhere within reach.
pub(super) fn highest_rate(start: f64, most: f64, mut is_met: impl FnMut(f64) -> bool) -> Option<f64> {
    let mut low = start.min(most);
    let mut left = REACH;
    while !is_met(low) {
        low /= 2.0;
        left = left.checked_sub(1)?;
    }
    let mut high = low * 2.0;
    // Found by halving, what is above has failed already.
    if left == REACH {
        loop {
            if low >= most {
                return Some(most);
            }
            high = (low * 2.0).min(most);
            if !is_met(high) {
                break;
            }
            low = high;
        }
    }
    for _ in 0..STEPS {
        let middle = (low * high).sqrt();
        if is_met(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_edge_is_found_from_either_side() {
        for edge in [0.01, 0.9, 1.0, 3.7, 812.0] {
            for start in [0.5, 1.0, 40.0] {
                let found = highest_rate(start, 1e6, |rate| rate <= edge).expect("an edge");
                assert!(found <= edge && found > edge * 0.99, "{found} for {edge} from {start}");
            }
        }
        assert_eq!(highest_rate(1.0, 1e6, |_| false), None);
        assert_eq!(highest_rate(1.0, 50.0, |_| true), Some(50.0));
    }
}
