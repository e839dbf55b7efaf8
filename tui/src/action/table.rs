//! The table itself.

use crossterm::event::KeyCode;

use super::{Action, Binding, Chord, Place};

const ESC: Chord = Chord::key(KeyCode::Esc);
const ENTER: Chord = Chord::key(KeyCode::Enter);

/// Every action with its keys, in the order in which the help shows them.
pub const TABLE: &[Binding] = &[
    Binding::new(Place::Live, Action::Shift, &[Chord::char('s')], "s")
        .named("shift a unit")
        .hint("shift")
        .help("move a unit to another role (asks before it does)"),
    Binding::new(Place::Live, Action::WhatIf, &[Chord::char('w'), Chord::char('2')], "w")
        .named("what if")
        .hint("what-if")
        .help("show what every split would give under the traffic of the last minute"),
    Binding::new(Place::Live, Action::RateUp, &[Chord::char('+'), Chord::char('='), Chord::key(KeyCode::Up)], "+-")
        .named("rate up")
        .pair(Action::RateUp, Action::RateDown)
        .hint("rate")
        .help("offer about a quarter more requests per second, or (-) a fifth fewer"),
    Binding::new(Place::Live, Action::RateDown, &[Chord::char('-'), Chord::char('_'), Chord::key(KeyCode::Down)], "-")
        .named("rate down"),
    Binding::new(Place::Live, Action::Pause, &[Chord::char('p')], "p")
        .named("pause or resume")
        .help("stop sending, or send again; what is in flight goes on"),
    Binding::new(Place::Live, Action::EditSlo, &[Chord::char('o')], "o")
        .named("edit the SLO")
        .hint("SLO")
        .help("change what makes a request good, from now on"),
    Binding::new(Place::Live, Action::EditLoad, &[Chord::char('l')], "l")
        .named("edit the load")
        .hint("load")
        .help("change rate, arrivals, prompt and answer lengths (isl, osl), from now on"),
    Binding::new(Place::Live, Action::Freeze, &[Chord::char(' ')], "space")
        .named("freeze")
        .hint("freeze")
        .help("hold the picture still; the run and the recording go on"),
    Binding::new(Place::Live, Action::Scrub(-1), &[Chord::key(KeyCode::Left)], "←→")
        .named("cursor back")
        .pair(Action::Scrub(-1), Action::Scrub(1))
        .hint("scrub")
        .help("move through time: all figures are those at the cursor (shift: faster)"),
    Binding::new(Place::Live, Action::Scrub(1), &[Chord::key(KeyCode::Right)], "→").named("cursor forward"),
    Binding::new(Place::Live, Action::Scrub(-10), &[Chord::shift(KeyCode::Left)], "shift ←").named("cursor far back"),
    Binding::new(Place::Live, Action::Scrub(10), &[Chord::shift(KeyCode::Right)], "shift →")
        .named("cursor far forward"),
    Binding::new(Place::View, Action::Play, &[Chord::char(' ')], "space")
        .named("play or stop")
        .hint("play")
        .help("play the recording from the cursor on, at the end from the start; or stop"),
    Binding::new(Place::View, Action::Slower, &[Chord::char('<'), Chord::char(',')], "<>")
        .named("play slower")
        .pair(Action::Slower, Action::Faster)
        .hint("speed")
        .help("play slower, or (>) faster: from half to 60 times as fast as it was"),
    Binding::new(Place::View, Action::Faster, &[Chord::char('>'), Chord::char('.')], ">").named("play faster"),
    Binding::new(Place::View, Action::Seek(-1), &[Chord::key(KeyCode::Left)], "←→")
        .named("a second back")
        .pair(Action::Seek(-1), Action::Seek(1))
        .hint("1s")
        .help("move by a second (shift: by ten): all figures are those at the cursor"),
    Binding::new(Place::View, Action::Seek(1), &[Chord::key(KeyCode::Right)], "→").named("a second on"),
    Binding::new(Place::View, Action::Seek(-10), &[Chord::shift(KeyCode::Left)], "shift ←").named("ten seconds back"),
    Binding::new(Place::View, Action::Seek(10), &[Chord::shift(KeyCode::Right)], "shift →").named("ten seconds on"),
    Binding::new(Place::View, Action::WhatIf, &[Chord::char('w')], "w")
        .named("what if")
        .hint("what-if")
        .help("show what every split would have given, by the minute before the cursor"),
    Binding::new(Place::Screen, Action::PreviousEvent, &[Chord::char('[')], "[ ]")
        .named("event before")
        .pair(Action::PreviousEvent, Action::NextEvent)
        .hint("event")
        .help("put the cursor at the event before, or (]) at the next one"),
    Binding::new(Place::Screen, Action::NextEvent, &[Chord::char(']')], "]").named("next event"),
    Binding::new(Place::Screen, Action::Oldest, &[Chord::key(KeyCode::Home)], "home")
        .named("cursor to the start")
        .help("put the cursor at the start of the run"),
    Binding::new(Place::View, Action::Tenth(0), &[Chord::char('0')], "0-9")
        .named("to the start of the run")
        .hint("jump")
        .help("put the cursor at so many tenths of the run"),
    Binding::new(Place::View, Action::Tenth(1), &[Chord::char('1')], "1").named("to 10 % of the run"),
    Binding::new(Place::View, Action::Tenth(2), &[Chord::char('2')], "2").named("to 20 % of the run"),
    Binding::new(Place::View, Action::Tenth(3), &[Chord::char('3')], "3").named("to 30 % of the run"),
    Binding::new(Place::View, Action::Tenth(4), &[Chord::char('4')], "4").named("to 40 % of the run"),
    Binding::new(Place::View, Action::Tenth(5), &[Chord::char('5')], "5").named("to 50 % of the run"),
    Binding::new(Place::View, Action::Tenth(6), &[Chord::char('6')], "6").named("to 60 % of the run"),
    Binding::new(Place::View, Action::Tenth(7), &[Chord::char('7')], "7").named("to 70 % of the run"),
    Binding::new(Place::View, Action::Tenth(8), &[Chord::char('8')], "8").named("to 80 % of the run"),
    Binding::new(Place::View, Action::Tenth(9), &[Chord::char('9')], "9").named("to 90 % of the run"),
    Binding::new(Place::View, Action::Goto, &[Chord::char('g')], "g")
        .named("go to a time")
        .hint("goto")
        .help("put the cursor at a time that you type"),
    Binding::new(Place::View, Action::Live, &[Chord::key(KeyCode::End)], "end")
        .named("to the end of the run")
        .help("take the cursor away: figures are those of the whole run"),
    Binding::new(Place::Live, Action::Live, &[Chord::key(KeyCode::End)], "end")
        .named("back to now")
        .hint("live")
        .help("take the cursor away: figures are the newest again"),
    Binding::new(Place::Live, Action::SpanLonger, &[Chord::char('t'), Chord::char('>')], "t T")
        .named("more time")
        .pair(Action::SpanLonger, Action::SpanShorter)
        .hint("time span")
        .help("show more time in the charts, or (T) less: from 1 minute to 7 days"),
    Binding::new(Place::Live, Action::SpanShorter, &[Chord::char('T'), Chord::char('<')], "T").named("less time"),
    Binding::new(Place::View, Action::SpanLonger, &[Chord::char('-'), Chord::char('t')], "+-")
        .named("more time")
        .hint("time span")
        .help("show less time in the charts, or (-) more: from 1 minute to the whole run"),
    Binding::new(Place::View, Action::SpanShorter, &[Chord::char('+'), Chord::char('='), Chord::char('T')], "+")
        .named("less time"),
    Binding::new(Place::Screen, Action::FocusNext, &[Chord::key(KeyCode::Tab)], "tab")
        .named("focus the next panel")
        .help("give another panel the focus; its frame is thick"),
    Binding::new(Place::Screen, Action::FocusPrevious, &[Chord::key(KeyCode::BackTab)], "shift tab")
        .named("focus the panel before"),
    Binding::new(Place::Screen, Action::Zoom, &[Chord::char('z'), ENTER], "z")
        .named("zoom the panel")
        .hint("zoom")
        .help("give the panel in focus the whole screen, or take it back (esc)"),
    Binding::new(Place::Screen, Action::Heatmap, &[Chord::char('m')], "m")
        .named("heatmap")
        .hint("heatmap")
        .help("show every TTFT and TPOT as heatmaps, or their percentiles as lines"),
    Binding::new(Place::Screen, Action::Requests, &[Chord::char('i')], "i")
        .named("slowest requests")
        .hint("requests")
        .help("list the slowest requests of the charts, or at the cursor; enter opens one"),
    Binding::new(Place::Screen, Action::Mouse, &[Chord::char('M')], "M")
        .named("mouse on or off")
        .help("let the terminal have the mouse, to select text, or take it back"),
    Binding::new(Place::Screen, Action::Picture, &[Chord::char('S')], "S")
        .named("picture of the screen")
        .help("write the screen as it is now to pdtune-shot-UTC.svg in the current folder"),
    Binding::new(Place::Screen, Action::Palette, &[Chord::char(':')], ":")
        .named("find a command")
        .hint("commands")
        .help("find any of these by its name"),
    Binding::new(Place::Screen, Action::Help, &[Chord::char('?'), Chord::char('h'), Chord::key(KeyCode::F(1))], "?")
        .named("help")
        .hint("help")
        .help("show this list"),
    Binding::new(Place::View, Action::Quit, &[Chord::char('q')], "q").named("quit").hint("quit").help("leave"),
    Binding::new(Place::View, Action::Back, &[ESC], "esc")
        .named("back")
        .help("back out: of the zoom, then to the end of the run"),
    Binding::new(Place::Live, Action::Quit, &[Chord::char('q')], "q")
        .named("quit")
        .hint("quit")
        .help("leave; asks first while the load runs"),
    Binding::new(Place::Live, Action::Back, &[ESC], "esc")
        .named("back")
        .help("back out: of the zoom, then of the past, then of the freeze"),
    Binding::new(Place::Shift, Action::Previous, &[Chord::key(KeyCode::Up), Chord::key(KeyCode::BackTab)], "↑"),
    Binding::new(Place::Shift, Action::Next, &[Chord::key(KeyCode::Down), Chord::key(KeyCode::Tab)], "↑↓")
        .pair(Action::Previous, Action::Next)
        .hint("pick")
        .help("in the shift dialog: another move"),
    Binding::new(Place::Shift, Action::ToggleHow, &[Chord::char('k')], "k")
        .hint("how")
        .help("in the shift dialog: drain the unit, move its KV to peers, or restart it"),
    Binding::new(Place::Shift, Action::ConfirmShift, &[Chord::char('y')], "y")
        .named("shift")
        .hint("shift")
        .help("in the shift dialog: do it"),
    Binding::new(Place::WhatIf, Action::Previous, &[Chord::key(KeyCode::Up), Chord::key(KeyCode::BackTab)], "↑"),
    Binding::new(Place::WhatIf, Action::Next, &[Chord::key(KeyCode::Down), Chord::key(KeyCode::Tab)], "↑↓")
        .pair(Action::Previous, Action::Next)
        .hint("split"),
    Binding::new(Place::WhatIf, Action::ShiftThere, &[ENTER, Chord::char('s')], "enter")
        .named("shift to the selected split")
        .hint("shift to it")
        .help("on the what-if screen: shift to the selected split (asks before it does)"),
    Binding::new(Place::WhatIf, Action::Export, &[Chord::char('e')], "e")
        .named("export the prediction")
        .hint("export")
        .help("on the what-if screen: write it to pdtune-whatif-UTC.json in the current folder"),
    Binding::new(Place::WhatIf, Action::Picture, &[Chord::char('S')], "S").hint("picture"),
    Binding::new(Place::WhatIf, Action::Back, &[ESC, Chord::char('q'), Chord::char('w'), Chord::char('1')], "esc")
        .hint("back"),
    Binding::new(Place::Palette, Action::Previous, &[Chord::key(KeyCode::Up), Chord::key(KeyCode::BackTab)], "↑"),
    Binding::new(Place::Palette, Action::Next, &[Chord::key(KeyCode::Down), Chord::key(KeyCode::Tab)], "↑↓")
        .pair(Action::Previous, Action::Next)
        .hint("pick"),
    Binding::new(Place::Palette, Action::RunCommand, &[ENTER], "enter").hint("do it"),
    Binding::new(Place::Palette, Action::Erase, &[Chord::key(KeyCode::Backspace), Chord::control('h')], ""),
    Binding::new(Place::Palette, Action::EraseAll, &[Chord::control('u')], ""),
    Binding::new(Place::Palette, Action::Back, &[ESC], "esc").hint("close"),
    Binding::new(Place::Form, Action::Previous, &[Chord::key(KeyCode::Up), Chord::key(KeyCode::BackTab)], "↑"),
    Binding::new(Place::Form, Action::Next, &[Chord::key(KeyCode::Down), Chord::key(KeyCode::Tab)], "↑↓")
        .pair(Action::Previous, Action::Next)
        .hint("field"),
    Binding::new(Place::Form, Action::Apply, &[ENTER], "enter").named("apply").hint("apply"),
    Binding::new(Place::Form, Action::Erase, &[Chord::key(KeyCode::Backspace), Chord::control('h')], ""),
    Binding::new(Place::Form, Action::EraseAll, &[Chord::control('u')], "ctrl-u").hint("empty"),
    Binding::new(Place::Form, Action::Back, &[ESC], "esc").hint("cancel"),
    Binding::new(Place::Requests, Action::Previous, &[Chord::key(KeyCode::Up)], "↑"),
    Binding::new(Place::Requests, Action::Next, &[Chord::key(KeyCode::Down)], "↑↓")
        .pair(Action::Previous, Action::Next)
        .hint("pick"),
    Binding::new(Place::Requests, Action::OpenRequest, &[ENTER], "enter").hint("timeline"),
    Binding::new(Place::Requests, Action::Reorder, &[Chord::char('o'), Chord::key(KeyCode::Tab)], "o")
        .hint("order")
        .help("in the list of requests: order by TTFT, E2E or TPOT"),
    Binding::new(Place::Requests, Action::Back, &[ESC, Chord::char('q'), Chord::char('i')], "esc").hint("close"),
    Binding::new(Place::Request, Action::Previous, &[Chord::key(KeyCode::Up)], "↑"),
    Binding::new(Place::Request, Action::Next, &[Chord::key(KeyCode::Down)], "↑↓")
        .pair(Action::Previous, Action::Next)
        .hint("request"),
    Binding::new(Place::Request, Action::Back, &[ESC, ENTER, Chord::char('q')], "esc").hint("list"),
    Binding::new(Place::Quit, Action::StopAndLeave, &[Chord::char('q'), Chord::char('y')], "q")
        .hint("stop now")
        .help("when leaving: cancel what is in flight and print the summary"),
    Binding::new(Place::Quit, Action::FinishAndLeave, &[Chord::char('f')], "f")
        .hint("finish")
        .help("when leaving: wait for what is in flight, then print the summary"),
    Binding::new(Place::Shift, Action::Back, &[ESC, ENTER, Chord::char('q')], "esc").hint("cancel"),
    Binding::new(Place::Quit, Action::Back, &[ESC, ENTER], "esc").hint("back"),
    Binding::new(
        Place::Help,
        Action::Back,
        &[ESC, ENTER, Chord::char('q'), Chord::char('?'), Chord::char('h'), Chord::char(' ')],
        "esc",
    )
    .hint("close"),
    Binding::new(Place::Help, Action::Previous, &[Chord::key(KeyCode::Up)], "↑"),
    Binding::new(Place::Help, Action::Next, &[Chord::key(KeyCode::Down)], "↑↓")
        .pair(Action::Previous, Action::Next)
        .hint("scroll"),
    Binding::new(Place::Anywhere, Action::Interrupt, &[Chord::control('c')], "ctrl-c")
        .help("wait for what is in flight, then leave; a second time: leave at once"),
];
