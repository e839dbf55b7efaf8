//! What an operator can do, in one table: key bindings, footer, help and command palette are read from it.

mod table;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::model::{Model, Overlay, Panel, Requests, Source};

pub use table::TABLE;

/// Something an operator can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open the shift dialog.
    Shift,
    /// Write the prediction into a file.
    Export,
    /// Open the what-if screen.
    WhatIf,
    /// Open the shift dialog on the selected split.
    ShiftThere,
    /// Offer more.
    RateUp,
    /// Offer less.
    RateDown,
    /// Pause the load, or resume it.
    Pause,
    /// Open the form of the SLO.
    EditSlo,
    /// Open the form of the load.
    EditLoad,
    /// Make the run what the form says.
    Apply,
    /// Hold the view still, or let it go on.
    Freeze,
    /// Move the cursor by this many steps on the time axis, into the past when negative.
    Scrub(i8),
    /// Play the recording, or stop.
    Play,
    /// Play it slower.
    Slower,
    /// Play it faster.
    Faster,
    /// Move the cursor by this many seconds, into the past when negative.
    Seek(i8),
    /// Put the cursor at so many tenths of the run.
    Tenth(u8),
    /// Open the form of an instant.
    Goto,
    /// Put the cursor at the start of what is known.
    Oldest,
    /// Take the cursor away: back to what is new.
    Live,
    /// Put the cursor at the event before.
    PreviousEvent,
    /// Put the cursor at the next event.
    NextEvent,
    /// Give the focus to the next panel.
    FocusNext,
    /// Give the focus to the panel before.
    FocusPrevious,
    /// Give the panel in focus the whole screen, or take it back.
    Zoom,
    /// Show latencies as heatmaps, or as lines.
    Heatmap,
    /// Show a longer stretch of time.
    SpanLonger,
    /// Show a shorter stretch of time.
    SpanShorter,
    /// Take the mouse, or let the terminal have it.
    Mouse,
    /// Write a picture of the screen.
    Picture,
    /// Open the list of the slowest requests.
    Requests,
    /// Order that list by the next latency.
    Reorder,
    /// Open the selected request.
    OpenRequest,
    /// Open the command palette.
    Palette,
    /// Carry out what is selected in the palette.
    RunCommand,
    /// Take back the last letter typed.
    Erase,
    /// Take back everything typed.
    EraseAll,
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
    /// Select this line, from 0; of commands, the one that is selected already is carried out.
    Choose(u8),
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

impl Action {
    /// Whether it changes the run, and not only what is seen of it.
    fn changes_the_run(self) -> bool {
        matches!(
            self,
            Self::Shift
                | Self::ShiftThere
                | Self::RateUp
                | Self::RateDown
                | Self::Pause
                | Self::EditSlo
                | Self::EditLoad
                | Self::Apply
                | Self::ConfirmShift
        )
    }
}

/// Where a key means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The screen over a run that goes on, nothing open.
    Live,
    /// The screen over a recording, nothing open.
    View,
    /// Both of them.
    Screen,
    /// The shift dialog.
    Shift,
    /// The what-if screen.
    WhatIf,
    /// The command palette.
    Palette,
    /// A form.
    Form,
    /// The list of requests.
    Requests,
    /// The timeline of a request.
    Request,
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
        match &model.overlay {
            Overlay::None => Self::screen(model),
            Overlay::Help(_) => Self::Help,
            Overlay::Quit => Self::Quit,
            Overlay::Shift(_) => Self::Shift,
            Overlay::WhatIf(_) => Self::WhatIf,
            Overlay::Palette(_) => Self::Palette,
            Overlay::Form(_) => Self::Form,
            Overlay::Requests(Requests { opened: false, .. }) => Self::Requests,
            Overlay::Requests(_) => Self::Request,
        }
    }

    /// The screen itself, whatever is open on it.
    pub fn screen(model: &Model) -> Self {
        match model.source {
            Source::Live => Self::Live,
            Source::Recording(_) => Self::View,
        }
    }

    /// Whether letters are text here.
    pub fn takes_text(self) -> bool {
        matches!(self, Self::Palette | Self::Form)
    }

    fn covers(self, other: Self) -> bool {
        self == other || self == Self::Anywhere || (self == Self::Screen && matches!(other, Self::Live | Self::View))
    }
}

/// A key, with the control or the shift key held or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chord {
    code: KeyCode,
    with: KeyModifiers,
}

impl Chord {
    const fn key(code: KeyCode) -> Self {
        Self { code, with: KeyModifiers::NONE }
    }

    const fn char(letter: char) -> Self {
        Self::key(KeyCode::Char(letter))
    }

    const fn control(letter: char) -> Self {
        Self { code: KeyCode::Char(letter), with: KeyModifiers::CONTROL }
    }

    const fn shift(code: KeyCode) -> Self {
        Self { code, with: KeyModifiers::SHIFT }
    }

    /// The key as a terminal reports it.
    pub fn event(&self) -> KeyEvent {
        KeyEvent::new(self.code, self.with)
    }

    /// A letter says itself whether it was typed with shift, and so does back-tab.
    fn matches(self, key: &KeyEvent) -> bool {
        let told_by_code = matches!(key.code, KeyCode::Char(_) | KeyCode::BackTab);
        let counts = if told_by_code { KeyModifiers::CONTROL } else { KeyModifiers::CONTROL | KeyModifiers::SHIFT };
        self.code == key.code && self.with == key.modifiers.intersection(counts)
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
    /// What the first and the last of those keys do, when they are keys for two things.
    pub pair: Option<(Action, Action)>,
    /// What it is called in the command palette and in messages; empty for what only makes sense where it is.
    pub name: &'static str,
    /// One or two words for the footer; empty when the footer leaves it out.
    pub hint: &'static str,
    /// One sentence for the help.
    pub help: &'static str,
}

impl Binding {
    /// A row that neither footer nor help nor palette mentions.
    const fn new(place: Place, action: Action, chords: &'static [Chord], keys: &'static str) -> Self {
        Self { action, place, chords, keys, pair: None, name: "", hint: "", help: "" }
    }

    const fn pair(self, first: Action, last: Action) -> Self {
        Self { pair: Some((first, last)), ..self }
    }

    const fn named(self, name: &'static str) -> Self {
        Self { name, ..self }
    }

    const fn hint(self, hint: &'static str) -> Self {
        Self { hint, ..self }
    }

    const fn help(self, help: &'static str) -> Self {
        Self { help, ..self }
    }
}

/// What `key` does at `place`. Over a recording, a key that would change a live run is told why it does not.
pub fn lookup(place: Place, key: &KeyEvent) -> Option<Action> {
    let typed = |row: &&Binding| row.chords.iter().any(|chord| chord.matches(key));
    let at = |place: Place| TABLE.iter().filter(move |row| row.place.covers(place));
    let elsewhere = || at(Place::Live).find(|row| row.action.changes_the_run() && typed(row));
    let row = at(place).find(typed).or_else(|| (place == Place::View).then(elsewhere).flatten());
    row.map(|row| row.action)
}

/// Whether `action` means something at `place`.
pub fn is_at(place: Place, action: Action) -> bool {
    let lists = matches!(place, Place::Shift | Place::WhatIf | Place::Palette | Place::Form | Place::Requests);
    TABLE.iter().any(|row| row.place.covers(place) && row.action == action)
        || (lists && matches!(action, Action::Choose(_)))
}

/// What the footer of the live screen shows, most important first: what one does next depends on what one looks at.
const HINTS: [Action; 9] = [
    Action::Shift,
    Action::WhatIf,
    Action::RateUp,
    Action::Scrub(-1),
    Action::Zoom,
    Action::Heatmap,
    Action::Palette,
    Action::Help,
    Action::Quit,
];
/// The same while the cursor is in the past.
const HINTS_OF_THE_PAST: [Action; 9] = [
    Action::Live,
    Action::Scrub(-1),
    Action::PreviousEvent,
    Action::SpanLonger,
    Action::Zoom,
    Action::Heatmap,
    Action::Palette,
    Action::Help,
    Action::Quit,
];

/// The same over a recording.
const HINTS_OF_A_RECORDING: [Action; 10] = [
    Action::Play,
    Action::Seek(-1),
    Action::PreviousEvent,
    Action::Tenth(0),
    Action::Slower,
    Action::Goto,
    Action::WhatIf,
    Action::Requests,
    Action::Help,
    Action::Quit,
];

/// The rows that the footer shows.
pub fn footer(model: &Model) -> Vec<&'static Binding> {
    let place = Place::of(model);
    let rows = || TABLE.iter().filter(move |row| row.place.covers(place) && !row.hint.is_empty());
    let hints: &[Action] = match place {
        Place::View => &HINTS_OF_A_RECORDING,
        Place::Live if model.timeline.cursor().is_some() => &HINTS_OF_THE_PAST,
        Place::Live => &HINTS,
        _ => return rows().collect(),
    };
    let at_stages = model.focus == Panel::Stages;
    let hint = |action| if action == Action::Heatmap && at_stages { Action::Requests } else { action };
    hints.iter().copied().map(hint).filter_map(|action| rows().find(|row| row.action == action)).collect()
}

/// The rows that the help of a screen shows: its own, and those of what can be opened on it.
pub fn help(screen: Place) -> impl Iterator<Item = &'static Binding> {
    let of_a_run = |row: &Binding| match row.place {
        Place::Shift | Place::Quit | Place::Anywhere => true,
        Place::WhatIf => row.action.changes_the_run(),
        _ => false,
    };
    let is_elsewhere = move |row: &Binding| match row.place {
        Place::Live | Place::View => row.place != screen,
        _ => screen == Place::View && of_a_run(row),
    };
    TABLE.iter().filter(move |row| !row.help.is_empty() && !is_elsewhere(row))
}

/// The rows that the command palette of a screen offers.
pub fn commands(screen: Place) -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(move |row| row.place.covers(screen) && row.place != Place::Anywhere && !row.name.is_empty())
}

/// What an action is called on a screen.
pub fn name(screen: Place, action: Action) -> &'static str {
    let rows = || TABLE.iter().filter(|row| row.action == action);
    rows().find(|row| row.place.covers(screen)).or_else(|| rows().next()).map_or("", |row| row.name)
}

/// Why `action` cannot be done now; `None` when it can.
pub fn refusal(model: &Model, action: Action) -> Option<String> {
    if model.recording().is_some() && action.changes_the_run() && !matches!(action, Action::Apply) {
        return Some("this is a recording".to_owned());
    }
    if model.offers.read_only && action.changes_the_run() {
        return Some("the screen is read-only".to_owned());
    }
    let over = || model.is_over().then(|| "the load is over".to_owned());
    match action {
        // Of a recording every instant is there, and the end is one of them.
        Action::Apply | Action::Live if model.recording().is_some() => None,
        Action::RateUp | Action::RateDown | Action::EditLoad => model.offers.rate_refused.clone().or_else(over),
        Action::Pause | Action::EditSlo | Action::Apply => over(),
        Action::Shift | Action::ShiftThere | Action::ConfirmShift => model.offers.shift_refused.clone().or_else(|| {
            if model.is_over() {
                Some("the load is over".to_owned())
            } else if model.latest.split.units() < 2 {
                Some("a single unit has no role to give away".to_owned())
            } else {
                None
            }
        }),
        Action::Live => model.timeline.cursor().is_none().then(|| "the cursor is at the newest sample".to_owned()),
        Action::Requests if model.shown().history.iter().all(|slot| slot.slowest.lines().is_empty()) => {
            Some("no request is over yet".to_owned())
        }
        Action::Scrub(_) | Action::Oldest | Action::Play | Action::Seek(_) | Action::Tenth(_) | Action::Goto
            if model.shown().history.is_empty() =>
        {
            Some("no second is over yet".to_owned())
        }
        Action::PreviousEvent | Action::NextEvent if model.shown().events.iter().all(|event| event.mark.is_none()) => {
            Some("nothing has happened yet".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: [Place; 10] = [
        Place::Live,
        Place::View,
        Place::Shift,
        Place::WhatIf,
        Place::Palette,
        Place::Form,
        Place::Requests,
        Place::Request,
        Place::Help,
        Place::Quit,
    ];

    #[test]
    fn no_key_means_two_things_at_one_place() {
        for place in PLACES {
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
    fn where_text_is_typed_no_letter_is_a_key() {
        for row in TABLE.iter().filter(|row| row.place.takes_text()) {
            for chord in row.chords {
                assert!(!matches!(chord, Chord { code: KeyCode::Char(_), with: KeyModifiers::NONE }), "{chord:?}");
            }
        }
    }

    #[test]
    fn the_footers_stay_short_and_show_what_they_mean_to() {
        for place in PLACES.into_iter().filter(|place| !matches!(place, Place::Live | Place::View)) {
            assert!(TABLE.iter().filter(|row| row.place == place && !row.hint.is_empty()).count() <= 9, "{place:?}");
            assert_eq!(lookup(place, &KeyEvent::from(KeyCode::Esc)), Some(Action::Back), "{place:?}");
        }
        let of_a_run =
            HINTS.into_iter().chain(HINTS_OF_THE_PAST).chain([Action::Requests]).map(|action| (Place::Live, action));
        for (place, action) in of_a_run.chain(HINTS_OF_A_RECORDING.map(|action| (Place::View, action))) {
            let row = TABLE.iter().find(|row| row.action == action && row.place.covers(place));
            assert!(row.is_some_and(|row| !row.hint.is_empty()), "{action:?}");
        }
    }

    #[test]
    fn every_action_of_the_live_screen_is_in_the_palette_and_in_the_help() {
        for row in TABLE.iter().filter(|row| matches!(row.place, Place::Live | Place::View | Place::Screen)) {
            assert!(!row.name.is_empty(), "{:?}", row.action);
        }
    }

    #[test]
    fn over_a_recording_the_help_speaks_of_nothing_that_needs_a_run() {
        let all: Vec<Action> = help(Place::View).chain(commands(Place::View)).map(|row| row.action).collect();
        assert!(all.iter().all(|action| !action.changes_the_run()), "{all:?}");
        assert!([Action::Play, Action::Help, Action::Quit].iter().all(|action| all.contains(action)), "{all:?}");
        let key = |letter| lookup(Place::View, &KeyEvent::from(KeyCode::Char(letter)));
        assert_eq!([key('s'), key('p'), key('x')], [Some(Action::Shift), Some(Action::Pause), None]);
        assert_eq!([key(' '), key('+'), key('7')], [Action::Play, Action::SpanShorter, Action::Tenth(7)].map(Some));
    }

    #[test]
    fn letters_tell_their_case_themselves_and_arrows_do_not() {
        let key = |code, with| lookup(Place::Live, &KeyEvent::new(code, with));
        assert_eq!(key(KeyCode::Char('M'), KeyModifiers::SHIFT), Some(Action::Mouse));
        assert_eq!(key(KeyCode::Char('m'), KeyModifiers::NONE), Some(Action::Heatmap));
        assert_eq!(key(KeyCode::Char('m'), KeyModifiers::CONTROL), None);
        assert_eq!(key(KeyCode::Left, KeyModifiers::NONE), Some(Action::Scrub(-1)));
        assert_eq!(key(KeyCode::Left, KeyModifiers::SHIFT), Some(Action::Scrub(-10)));
        assert_eq!(key(KeyCode::BackTab, KeyModifiers::SHIFT), Some(Action::FocusPrevious));
    }
}
