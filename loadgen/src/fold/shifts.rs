//! The shifts of a run: the one under way, and those that wait.

use engine::cluster::How;
use engine::units::Split;

use crate::live::ShiftView;
use crate::recording::{ShiftRecord, WaitingRecord};
use crate::time::Micros;

/// What is known of them.
#[derive(Debug, Default)]
pub(super) struct Shifts {
    running: Option<ShiftView>,
    waiting: Vec<(Split, How)>,
}

impl Shifts {
    /// A shift began or ended: when, with a label and a sentence.
    pub(super) fn apply(&mut self, record: &ShiftRecord) -> (Micros, String, String) {
        let ShiftRecord { at, from, to, how, ended } = record;
        let Some(ended) = ended else {
            self.waiting.retain(|waits| *waits != (*to, *how));
            self.running = Some(ShiftView { to: *to, how: *how, since: Some(*at) });
            return (*at, format!("→{to}"), format!("{from} → {to} by {how} began"));
        };
        self.running = None;
        let lost = match ended.lost {
            0 => "nothing lost".to_owned(),
            lost => format!("{lost} lost"),
        };
        let (label, text) = match &ended.abandoned {
            None => {
                let (count, seconds) = (ended.in_flight, ended.drain.as_secs_f64());
                (format!("{to} ok"), format!("{from} → {to} by {how}: drained {count} in {seconds:.1} s, {lost}"))
            }
            Some(why) => (format!("{to} failed"), format!("{from} → {to} by {how} was abandoned: {why}")),
        };
        (*at + ended.total, label, text)
    }

    /// These wait now.
    pub(super) fn waits(&mut self, record: &WaitingRecord) {
        self.waiting = record.shifts.iter().map(|shift| (shift.to, shift.how)).collect();
    }

    pub(super) fn waiting(&self) -> &[(Split, How)] {
        &self.waiting
    }

    /// For the screen: the one under way first.
    pub(super) fn views(&self) -> Vec<ShiftView> {
        let waiting = self.waiting.iter().map(|(to, how)| ShiftView { to: *to, how: *how, since: None });
        self.running.iter().cloned().chain(waiting).collect()
    }
}
