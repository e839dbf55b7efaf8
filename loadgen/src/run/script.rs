//! Shifts that are planned for a run: what is wrong with them is said before the load is sent, not when their time comes.

use engine::cluster::{How, ShiftRefused, check_restart};
use engine::drive::wall::ShiftError;

use super::RunError;
use crate::schedule::ShiftScript;
use crate::target::{Abilities, TargetInfo};

/// # Errors
/// The first that is not possible with what the control lets be done, or that there is none.
pub(super) fn check(shifts: &ShiftScript, info: &TargetInfo, abilities: Option<Abilities>) -> Result<(), RunError> {
    let mut before = info.split;
    for shift in shifts.shifts() {
        let Some(abilities) = abilities else {
            return Err(RunError::NoControl(info.name.clone()));
        };
        // Where another process takes the place of a unit in any case, to restart is what draining comes to.
        let drains = shift.how == How::Restart && !abilities.in_place && abilities.ways.contains(How::Drain);
        let restarts = shift.how == How::Restart && abilities.in_place;
        let from = std::mem::replace(&mut before, info.split.map(|_| shift.to));
        let why = match (shift.to.check(), info.split) {
            (Err(error), _) => error.to_string(),
            (Ok(to), Some(split)) if !abilities.counts && to.units() != split.units() => {
                format!("it has {} units, the target has {} ({split})", to.units(), split.units())
            }
            (Ok(_), _) if !drains && !abilities.ways.contains(shift.how) => {
                format!("its units cannot be shifted by {}{}", shift.how, instead(abilities))
            }
            (Ok(to), _) if to.aggregated > 0 && !abilities.aggregated => {
                "its units cannot be aggregated: each has one role".to_owned()
            }
            (Ok(_), _) if restarts && info.name == crate::target::cpu::NAME => ShiftError::NoProcess.to_string(),
            (Ok(to), _) => match from.filter(|_| restarts).map(|from| check_restart(from, to)) {
                Some(Err(missing)) => ShiftRefused::NobodyMeanwhile { to, missing }.to_string(),
                Some(Ok(())) | None => continue,
            },
        };
        return Err(RunError::Shift { at_s: shift.at.as_secs_f64(), to: shift.to.to_string(), why });
    }
    Ok(())
}

/// What can be asked for instead.
fn instead(abilities: Abilities) -> String {
    let ways: Vec<String> = abilities.ways.into();
    if ways.is_empty() { String::new() } else { format!(", but by {}", ways.join(" or ")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::target::{TargetLimits, Ways};

    /// A server of one unit of each role.
    fn checked(script: &str, abilities: Option<Abilities>) -> Result<(), String> {
        let info = TargetInfo {
            name: "http://host:1".to_owned(),
            model: "m".to_owned(),
            split: Some("1P1D".parse().expect("a split")),
            limits: TargetLimits { context_tokens: 1, kv_tokens: 1, vocabulary: 1 },
            facts: BTreeMap::new(),
        };
        check(&script.parse().expect("a script"), &info, abilities).map_err(|error| error.to_string())
    }

    #[test]
    fn units_can_become_more_and_fewer_only_where_the_control_can_start_and_end_them() {
        let there_and_back = "10s=1P2D,60s=1P1D";
        assert_eq!(checked(there_and_back, Some(Abilities::ALL)), Ok(()));
        let why = checked(there_and_back, Some(Abilities::ENGINE)).expect_err("as many as there were");
        assert_eq!(why, "shift at 10 s to 1P2D: it has 3 units, the target has 2 (1P1D)");
        let why = checked(there_and_back, None).expect_err("nobody to ask");
        assert_eq!(why, "shifts are planned, but target http://host:1 offers no control");
        assert_eq!(checked("", None), Ok(()));
    }

    #[test]
    fn a_way_that_the_control_has_not_is_refused_before_the_load() {
        let drains = Abilities { ways: Ways::of(&[How::Drain]), aggregated: false, ..Abilities::ENGINE };
        let why = checked("10s=1P1D:migrate", Some(drains)).expect_err("no such way");
        assert_eq!(why, "shift at 10 s to 1P1D: its units cannot be shifted by migrate, but by drain");
        assert!(checked("10s=1P1D:restart", Some(drains)).is_err());
        let replaces = Abilities { in_place: false, ..drains };
        assert_eq!(checked("10s=1P1D:restart", Some(replaces)), Ok(()), "that is what draining comes to there");
        let why = checked("10s=2A", Some(drains)).expect_err("one role each");
        assert_eq!(why, "shift at 10 s to 2A: its units cannot be aggregated: each has one role");
    }
}
