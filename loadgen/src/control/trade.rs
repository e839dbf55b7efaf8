//! What a shift trades, where units of the two roles need not span equally many GPUs.
//!
//! One decode unit of eight GPUs can become two prefill units of four. A shift that takes from one role and gives to the other
//! is a trade, whose two sides must add up: what is asked for beyond what was freed would find no room. To add units, or to give
//! some back, is no trade, and is left to the control plane.

use engine::units::{Role, Split};

use super::plane::Topology;

/// Units of a role that go, or that come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lot {
    role: Role,
    units: u16,
    /// How many GPUs each spans.
    each: u32,
}

impl Lot {
    fn gpus(self) -> u64 {
        u64::from(self.units) * u64::from(self.each)
    }

    fn says(self, every: bool) -> String {
        let Self { role, units, each } = self;
        let (s, gpus) = (if units == 1 { "" } else { "s" }, if each == 1 { "GPU" } else { "GPUs" });
        let size = if every { format!("{each} {gpus}") } else { each.to_string() };
        format!("{units} {role} unit{s} of {size}")
    }
}

/// What a shift from one split to another trades in GPUs, in words; `None` where nobody tells how many a unit spans.
///
/// # Errors
/// When more GPUs are asked for than are freed, with the splits nearby that add up.
pub(super) fn trade(seen: &Topology, from: Split, to: Split) -> Result<Option<String>, String> {
    let mut goes = Vec::new();
    let mut comes = Vec::new();
    for role in [Role::Prefill, Role::Decode, Role::Aggregated] {
        let (before, after) = (from.count(role), to.count(role));
        if before == after {
            continue;
        }
        let Some(each) = seen.gpus_each(role) else { return Ok(None) };
        let lot = Lot { role, units: before.abs_diff(after), each };
        if before > after { goes.push(lot) } else { comes.push(lot) }
    }
    let says = |lots: &[Lot], every| lots.iter().map(|lot| lot.says(every)).collect::<Vec<_>>().join(" and ");
    let gpus = |lots: &[Lot]| lots.iter().map(|lot| lot.gpus()).sum::<u64>();
    let (freed, taken) = (gpus(&goes), gpus(&comes));
    let told = match (goes.is_empty(), comes.is_empty()) {
        (true, true) => return Ok(None),
        (true, false) => format!("{} more", says(&comes, true)),
        (false, true) => format!("{} less", says(&goes, true)),
        (false, false) if taken > freed => {
            let hint = nearby(seen, from, to);
            return Err(format!(
                "{} would become {}: {freed} GPUs are freed, and {taken} are needed{hint}",
                says(&goes, true),
                says(&comes, false)
            ));
        }
        (false, false) => {
            let verb = if goes.iter().map(|lot| lot.units).sum::<u16>() == 1 { "becomes" } else { "become" };
            let idle = freed - taken;
            let idle = match idle {
                0 => String::new(),
                1 => ", and 1 GPU stays idle".to_owned(),
                many => format!(", and {many} GPUs stay idle"),
            };
            format!("{} {verb} {}{idle}", says(&goes, true), says(&comes, false))
        }
    };
    Ok(Some(told))
}

/// Splits nearby whose GPUs are exactly those of `from`.
fn nearby(seen: &Topology, from: Split, to: Split) -> String {
    let each = [Role::Prefill, Role::Decode].map(|role| seen.gpus_each(role));
    let [Some(prefill), Some(decode)] = each else { return String::new() };
    if from.aggregated != to.aggregated {
        return String::new();
    }
    let gpus =
        |split: Split| u64::from(split.prefill) * u64::from(prefill) + u64::from(split.decode) * u64::from(decode);
    let more_prefill = to.prefill > from.prefill;
    // As many of the side that grows as was asked for, or the next beyond; never less than one of the other.
    let exact = (1..=Split::MAX_UNITS).find_map(|step| {
        let split = if more_prefill {
            Split { decode: from.decode.checked_sub(step)?, ..from }
        } else {
            Split { prefill: from.prefill.checked_sub(step)?, ..from }
        };
        let (rest, size) = (gpus(from).checked_sub(gpus(split))?, if more_prefill { prefill } else { decode });
        let grown = u16::try_from(rest / u64::from(size.max(1))).ok()?;
        let split = if more_prefill {
            Split { prefill: from.prefill.checked_add(grown)?, ..split }
        } else {
            Split { decode: from.decode.checked_add(grown)?, ..split }
        };
        (rest % u64::from(size.max(1)) == 0 && split.prefill > 0 && split.decode > 0).then_some(split)
    });
    exact.map_or_else(String::new, |split| format!("\nhint: {split} adds up"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::plane::{Member, MemberState};

    /// Two units of each role, of so many GPUs.
    fn seen(prefill: u32, decode: u32) -> Topology {
        let member = |name: &str, role, gpus| Member::new(name, role, MemberState::Serving).spanning(Some(gpus));
        let members = vec![
            member("a", Role::Prefill, prefill),
            member("b", Role::Prefill, prefill),
            member("c", Role::Decode, decode),
            member("d", Role::Decode, decode),
        ];
        Topology { members, ..Topology::default() }
    }

    fn traded(seen: &Topology, to: &str) -> Result<Option<String>, String> {
        trade(seen, "2P2D".parse().expect("a split"), to.parse().expect("a split"))
    }

    #[test]
    fn what_goes_and_what_comes_are_said_in_gpus() {
        for (to, says) in [
            ("4P1D", "1 decode unit of 8 GPUs becomes 2 prefill units of 4"),
            ("3P1D", "1 decode unit of 8 GPUs becomes 1 prefill unit of 4, and 4 GPUs stay idle"),
            ("2P3D", "1 decode unit of 8 GPUs more"),
            ("1P2D", "1 prefill unit of 4 GPUs less"),
        ] {
            assert_eq!(traded(&seen(4, 8), to).expect(to).as_deref(), Some(says));
        }
        let three = Topology { members: [seen(4, 8).members, seen(4, 8).members].concat(), ..Topology::default() };
        let (from, to) = ("4P4D".parse().expect("a split"), "8P2D".parse().expect("a split"));
        let says = "2 decode units of 8 GPUs become 4 prefill units of 4";
        assert_eq!(trade(&three, from, to), Ok(Some(says.to_owned())));
        assert_eq!(trade(&seen(1, 1), "2P2D".parse().expect("a split"), "2P2D".parse().expect("a split")), Ok(None));
        assert_eq!(
            traded(&seen(1, 1), "3P1D"),
            Ok(Some("1 decode unit of 1 GPU becomes 1 prefill unit of 1".to_owned()))
        );
    }

    #[test]
    fn a_trade_that_does_not_add_up_is_refused_with_one_that_does() {
        let why = "1 prefill unit of 4 GPUs would become 1 decode unit of 8: 4 GPUs are freed, and 8 are needed";
        assert_eq!(traded(&seen(4, 8), "1P3D"), Err(why.to_owned()), "no split with a prefill unit left adds up");
        let why = traded(&seen(4, 8), "5P1D").expect_err("too many");
        assert!(why.ends_with("8 GPUs are freed, and 12 are needed\nhint: 4P1D adds up"), "{why}");
    }

    #[test]
    fn where_sizes_are_not_told_nothing_is_said() {
        let mut seen = seen(4, 8);
        seen.members[2].gpus = None;
        assert_eq!(traded(&seen, "5P1D"), Ok(None));
    }
}
