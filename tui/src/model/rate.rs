//! The rates that `+` and `-` walk over.

/// The rungs within a decade: about a quarter apart, and numbers one can say.
const RUNGS: [f64; 10] = [1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0];
/// The lowest rate; pausing is another action.
const LOWEST: f64 = 0.1;
/// The highest rate: far beyond what one process can pace, so that a stuck key ends somewhere.
const HIGHEST: f64 = 100_000.0;
/// Rates closer than this share of themselves are the same rung.
const SAME: f64 = 1e-6;

fn ladder() -> impl DoubleEndedIterator<Item = f64> {
    (-1..=5).flat_map(|power| RUNGS.map(|rung| rung * 10f64.powi(power)))
}

/// The next rung above `rate`.
pub fn up(rate: f64) -> f64 {
    ladder().find(|rung| *rung > rate * (1.0 + SAME)).map_or(HIGHEST, |rung| rung.min(HIGHEST))
}

/// The next rung below `rate`.
pub fn down(rate: f64) -> f64 {
    ladder().rev().find(|rung| *rung < rate * (1.0 - SAME)).map_or(LOWEST, |rung| rung.min(HIGHEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_numbers_about_a_quarter_apart() {
        let mut rate = 4.0;
        for expected in [5.0, 6.0, 8.0, 10.0, 12.5, 15.0, 20.0] {
            rate = up(rate);
            assert!((rate - expected).abs() < 1e-9, "{rate}");
        }
        assert!((down(15.2) - 15.0).abs() < 1e-9);
        assert!((up(15.2) - 20.0).abs() < 1e-9);
    }

    #[test]
    fn the_ladder_ends_on_both_sides_and_takes_any_number() {
        assert!((down(0.05) - LOWEST).abs() < 1e-12);
        assert!((down(LOWEST) - LOWEST).abs() < 1e-12);
        assert!((up(HIGHEST) - HIGHEST).abs() < 1e-6);
        assert!((up(1e12) - HIGHEST).abs() < 1e-6);
        assert!((up(f64::NAN) - HIGHEST).abs() < 1e-6);
        assert!((down(f64::INFINITY) - HIGHEST).abs() < 1e-6);
    }

    #[test]
    fn up_then_down_returns_to_the_rung() {
        for rung in ladder().filter(|rung| *rung > LOWEST && *rung < HIGHEST) {
            assert!((down(up(rung)) - rung).abs() < rung * 1e-9, "{rung}");
        }
    }
}
