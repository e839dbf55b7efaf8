//! Which split served when, for targets of which nobody tells what a single unit did.

use std::collections::VecDeque;

use engine::units::Split;

use crate::time::Micros;

/// Most stretches that are remembered: shifts come at the pace of an operator.
const MOST: usize = 64;

/// A stretch in which one split served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Era {
    from: Micros,
    to: Micros,
    split: Split,
}

/// The splits that served, each as long as no unit moved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Eras(VecDeque<Era>);

impl Eras {
    /// One that has served from the start until `to`.
    pub fn of(split: Split, to: Micros) -> Self {
        Self(VecDeque::from([Era { from: Micros::ZERO, to, split }]))
    }

    /// At `now` this split serves; none does while units move, or where none are known.
    pub fn see(&mut self, now: Micros, split: Option<Split>) {
        let Some(split) = split else {
            // Whatever comes next is another stretch, even of the same split.
            if self.0.back().is_some_and(|last| last.from < last.to) {
                self.0.push_back(Era {
                    from: now,
                    to: Micros::ZERO,
                    split: Split { prefill: 0, decode: 0, aggregated: 0 },
                });
            }
            return self.forget();
        };
        match self.0.back_mut() {
            Some(last) if last.split == split => last.to = now,
            // Until it was seen to move it had its split.
            Some(_) => self.0.push_back(Era { from: now, to: now, split }),
            None => self.0.push_back(Era { from: Micros::ZERO, to: now, split }),
        }
        self.forget();
    }

    fn forget(&mut self) {
        while self.0.len() > MOST {
            self.0.pop_front();
        }
    }

    /// The split that served all the time from `from` to `to`, if one did.
    pub(in crate::whatif) fn split(&self, from: Micros, to: Micros) -> Option<Split> {
        let during = |era: &&Era| era.from <= from && to <= era.to && era.split.units() > 0;
        self.0.iter().find(during).map(|era| era.split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Split {
        text.parse().expect("a split")
    }

    #[test]
    fn only_stretches_of_one_split_have_one() {
        let mut eras = Eras::default();
        for (at, name) in [(1, "2P2D"), (10, "2P2D"), (12, ""), (15, ""), (20, "1P3D"), (30, "1P3D")] {
            eras.see(Micros(at), name.parse().ok());
        }
        assert_eq!(eras.split(Micros(0), Micros(10)), Some(split("2P2D")));
        assert_eq!(eras.split(Micros(9), Micros(11)), None, "it began to move");
        assert_eq!(eras.split(Micros(13), Micros(14)), None);
        assert_eq!(eras.split(Micros(21), Micros(30)), Some(split("1P3D")));
        assert_eq!(eras.split(Micros(21), Micros(31)), None, "nobody has looked yet");
        // The same split after a shift that was given up.
        eras.see(Micros(31), None);
        eras.see(Micros(40), Some(split("1P3D")));
        eras.see(Micros(50), Some(split("1P3D")));
        assert_eq!(eras.split(Micros(25), Micros(45)), None);
        assert_eq!(eras.split(Micros(41), Micros(50)), Some(split("1P3D")));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut eras = Eras::default();
        for at in 0..1_000 {
            eras.see(Micros(at), Some(split(if at % 2 == 0 { "2P2D" } else { "1P3D" })));
        }
        assert!(eras.0.len() <= MOST);
    }
}
