//! What an operator can do, in one table: key bindings, footer and help are read from it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::model::{Model, Overlay};

/// Something an operator can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open the shift dialog.
    Shift,
    /// Offer more.
    RateUp,
    /// Offer less.
    RateDown,
    /// Pause the load, or resume it.
    Pause,
    /// Hold the view still, or let it go on.
    Freeze,
    /// Show a longer or shorter stretch of time in the charts.
    Span,
    /// Show all keys.
    Help,
    /// Leave.
    Quit,
    /// Close what is open.
    Back,
    /// Select the line above.
    Previous,
    /// Select the line below.
    Next,
    /// Switch between draining and migrating.
    ToggleHow,
    /// Carry out the selected shift.
    ConfirmShift,
    /// End the schedule, wait for what is in flight, leave.
    FinishAndLeave,
    /// Cancel what is in flight and leave.
    StopAndLeave,
    /// Finish and leave; a second time, stop and leave.
    Interrupt,
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The live screen, nothing open.
    Live,
    /// The shift dialog.
    Shift,
    /// The help.
    Help,
    /// The question whether to leave.
    Quit,
    /// All of them.
    Anywhere,
}

impl Place {
    /// Where the operator is.
    pub fn of(model: &Model) -> Self {
        match model.overlay {
            Overlay::None => Self::Live,
            Overlay::Help => Self::Help,
            Overlay::Quit => Self::Quit,
            Overlay::Shift(_) => Self::Shift,
        }
    }

    fn covers(self, other: Self) -> bool {
        self == other || self == Self::Anywhere
    }
}

/// A key, with the control key held or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chord {
    code: KeyCode,
    control: bool,
}

impl Chord {
    const fn key(code: KeyCode) -> Self {
        Self { code, control: false }
    }

    const fn char(letter: char) -> Self {
        Self::key(KeyCode::Char(letter))
    }

    fn matches(self, key: &KeyEvent) -> bool {
        self.code == key.code && self.control == key.modifiers.contains(KeyModifiers::CONTROL)
    }
}

/// A row of the table.
#[derive(Debug)]
pub struct Binding {
    /// What happens.
    pub action: Action,
    /// Where.
    pub place: Place,
    /// The keys that do it.
    pub chords: &'static [Chord],
    /// The keys as the footer and the help write them.
    pub keys: &'static str,
    /// One or two words for the footer; empty when the footer leaves it out.
    pub hint: &'static str,
    /// One sentence for the help.
    pub help: &'static str,
}

const ESC: Chord = Chord::key(KeyCode::Esc);
const ENTER: Chord = Chord::key(KeyCode::Enter);

/// Every action with its keys, in the order in which the footer shows them.
pub const TABLE: &[Binding] = &[
    Binding {
        action: Action::Shift,
        place: Place::Live,
        chords: &[Chord::char('s')],
        keys: "s",
        hint: "shift",
        help: "move a unit to another role (asks before it does)",
    },
    Binding {
        action: Action::RateUp,
        place: Place::Live,
        chords: &[Chord::char('+'), Chord::char('='), Chord::key(KeyCode::Up)],
        keys: "+",
        hint: "rate up",
        help: "offer about a quarter more requests per second",
    },
    Binding {
        action: Action::RateDown,
        place: Place::Live,
        chords: &[Chord::char('-'), Chord::char('_'), Chord::key(KeyCode::Down)],
        keys: "-",
        hint: "rate down",
        help: "offer about a fifth fewer requests per second",
    },
    Binding {
        action: Action::Pause,
        place: Place::Live,
        chords: &[Chord::char('p')],
        keys: "p",
        hint: "pause",
        help: "stop sending, or send again; what is in flight goes on",
    },
    Binding {
        action: Action::Freeze,
        place: Place::Live,
        chords: &[Chord::char(' ')],
        keys: "space",
        hint: "freeze",
        help: "hold the picture still; the run and the recording go on",
    },
    Binding {
        action: Action::Span,
        place: Place::Live,
        chords: &[Chord::char('t')],
        keys: "t",
        hint: "time span",
        help: "show 1, 2, 5, 15 or 60 minutes in the charts",
    },
    Binding {
        action: Action::Help,
        place: Place::Live,
        chords: &[Chord::char('?'), Chord::char('h'), Chord::key(KeyCode::F(1))],
        keys: "?",
        hint: "help",
        help: "show this list",
    },
    Binding {
        action: Action::Quit,
        place: Place::Live,
        chords: &[Chord::char('q')],
        keys: "q",
        hint: "quit",
        help: "leave; asks first while the load runs",
    },
    Binding {
        action: Action::Previous,
        place: Place::Shift,
        chords: &[Chord::key(KeyCode::Up), Chord::key(KeyCode::BackTab)],
        keys: "↑",
        hint: "",
        help: "",
    },
    Binding {
        action: Action::Next,
        place: Place::Shift,
        chords: &[Chord::key(KeyCode::Down), Chord::key(KeyCode::Tab)],
        keys: "↑↓",
        hint: "pick",
        help: "in the shift dialog: another move",
    },
    Binding {
        action: Action::ToggleHow,
        place: Place::Shift,
        chords: &[Chord::char('k')],
        keys: "k",
        hint: "drain/migrate",
        help: "in the shift dialog: drain the unit, or move its KV to peers",
    },
    Binding {
        action: Action::ConfirmShift,
        place: Place::Shift,
        chords: &[Chord::char('y')],
        keys: "y",
        hint: "shift",
        help: "in the shift dialog: do it",
    },
    Binding {
        action: Action::StopAndLeave,
        place: Place::Quit,
        chords: &[Chord::char('q'), Chord::char('y')],
        keys: "q",
        hint: "stop now",
        help: "when leaving: cancel what is in flight and print the summary",
    },
    Binding {
        action: Action::FinishAndLeave,
        place: Place::Quit,
        chords: &[Chord::char('f')],
        keys: "f",
        hint: "finish",
        help: "when leaving: wait for what is in flight, then print the summary",
    },
    Binding {
        action: Action::Back,
        place: Place::Shift,
        chords: &[ESC, ENTER, Chord::char('q')],
        keys: "esc",
        hint: "cancel",
        help: "close what is open, nothing done",
    },
    Binding { action: Action::Back, place: Place::Quit, chords: &[ESC, ENTER], keys: "esc", hint: "back", help: "" },
    Binding {
        action: Action::Back,
        place: Place::Help,
        chords: &[ESC, ENTER, Chord::char('q'), Chord::char('?'), Chord::char('h'), Chord::char(' ')],
        keys: "esc",
        hint: "close",
        help: "",
    },
    Binding {
        action: Action::Interrupt,
        place: Place::Anywhere,
        chords: &[Chord { code: KeyCode::Char('c'), control: true }],
        keys: "ctrl-c",
        hint: "",
        help: "wait for what is in flight, then leave; a second time: leave at once",
    },
];

/// What `key` does at `place`.
pub fn lookup(place: Place, key: &KeyEvent) -> Option<Action> {
    TABLE
        .iter()
        .find(|row| row.place.covers(place) && row.chords.iter().any(|chord| chord.matches(key)))
        .map(|row| row.action)
}

/// The rows that the footer shows at `place`.
pub fn footer(place: Place) -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(move |row| row.place == place && !row.hint.is_empty())
}

/// The rows that the help shows.
pub fn help() -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(|row| !row.help.is_empty())
}

/// Why `action` cannot be done now; `None` when it can.
pub fn refusal(model: &Model, action: Action) -> Option<String> {
    let over = || model.is_over().then(|| "the load is over".to_owned());
    match action {
        Action::RateUp | Action::RateDown => model.offers.rate_refused.clone().or_else(over),
        Action::Pause => over(),
        Action::Shift | Action::ConfirmShift => model.offers.shift_refused.clone().or_else(|| {
            if model.is_gone() {
                Some("the run is over".to_owned())
            } else if model.latest.split.units() < 2 {
                Some("a single unit has no role to give away".to_owned())
            } else {
                None
            }
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_means_two_things_at_one_place() {
        for place in [Place::Live, Place::Shift, Place::Help, Place::Quit] {
            let mut seen: Vec<Chord> = Vec::new();
            for row in TABLE.iter().filter(|row| row.place.covers(place)) {
                for chord in row.chords {
                    assert!(!seen.contains(chord), "{chord:?} at {place:?}");
                    seen.push(*chord);
                }
            }
        }
    }

    #[test]
    fn the_footer_stays_short_and_every_place_can_be_left() {
        for place in [Place::Live, Place::Shift, Place::Help, Place::Quit] {
            assert!(footer(place).count() <= 9, "{place:?}");
        }
        for place in [Place::Shift, Place::Help, Place::Quit] {
            assert_eq!(lookup(place, &KeyEvent::from(KeyCode::Esc)), Some(Action::Back), "{place:?}");
        }
    }
}
