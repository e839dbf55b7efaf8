//! The one part of the screen that touches the world: terminal, keys, signals, the time that passes while a recording is played,
//! and the channels to a run that goes on.

mod appearance;
mod cast;
mod photo;
mod terminal;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use crossterm::event::{Event, EventStream, KeyCode, KeyEventKind, MouseButton, MouseEventKind};
use futures_util::StreamExt;
use loadgen::clock::{RunClock, unix_micros};
use loadgen::live::{Command, Snapshot};
use loadgen::run::CpuMeters;
use loadgen::whatif::{Hindsight, Outlook};
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};

pub use appearance::theme;
pub use cast::Cast;
use ratatui::layout::{Position, Rect, Size};
pub use terminal::Screen;

use crate::command::signals::{Signals, Told};
use crate::command::tell;
use crate::model::{Model, Offers};
use crate::theme::Theme;
use crate::update::{Effect, Msg, update};
use crate::view::view;
use crate::widget::target::Targets;

pub use crate::update::Exit;

/// The shortest time between two frames: 15 a second.
const FRAME: Duration = Duration::from_millis(67);
/// Pictures and predictions that may wait for their message; whoever writes one more waits, off the screen's thread.
const PICTURES: usize = 4;
/// Set (and not empty) to let the key `!` panic, so that a test can see the terminal restored.
const PANIC_KEY: &str = "PDTUNE_TEST_PANIC";

/// What the live screen is connected to.
#[derive(Debug)]
pub struct LiveSource {
    /// The run as it is now. The channel closes when no more will come.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// What other splits would give.
    pub outlook: watch::Receiver<Arc<Outlook>>,
    /// What the operator asks for. A full queue loses the command, and the operator is told.
    pub commands: mpsc::Sender<Command>,
    /// What the target cannot do.
    pub offers: Offers,
    /// Where drawing is charged to the client.
    pub meters: Arc<CpuMeters>,
}

/// The channels of a run that goes on.
#[derive(Debug)]
struct Feed {
    snapshots: watch::Receiver<Arc<Snapshot>>,
    outlook: watch::Receiver<Arc<Outlook>>,
    commands: mpsc::Sender<Command>,
    meters: Arc<CpuMeters>,
}

/// Shows the run until the operator leaves, the process is told to go, or the terminal is lost. The terminal is restored
/// in every case, and the `cast` closed; one that is not whole is a warning on stderr. The run itself is not waited for:
/// whoever called ends it according to the answer.
///
/// # Errors
/// When the terminal cannot be set up or drawn on, or another thread panicked.
pub async fn run(source: LiveSource, theme: &Theme, cast: Option<Cast>, signals: &mut Signals) -> anyhow::Result<Exit> {
    let LiveSource { mut snapshots, outlook, commands, offers, meters } = source;
    let model = Model::new(snapshots.borrow_and_update().clone(), offers);
    let feed = Feed { snapshots, outlook, commands, meters };
    show(model, Some(feed), None, theme, (cast, signals)).await
}

/// Shows a recording until the operator leaves, the process is told to go, or the terminal is lost. `hindsight` tells what
/// other splits would have given.
///
/// # Errors
/// As [`run`].
pub async fn view_recording(model: Model, hindsight: Hindsight, theme: &Theme) -> anyhow::Result<Exit> {
    let mut signals = Signals::install().context("cannot listen for signals")?;
    show(model, None, Some(hindsight), theme, (None, &mut signals)).await
}

async fn show(
    model: Model,
    feed: Option<Feed>,
    hindsight: Option<Hindsight>,
    theme: &Theme,
    (cast, signals): (Option<Cast>, &mut Signals),
) -> anyhow::Result<Exit> {
    let mut screen = Screen::enter(cast).context("cannot set up the terminal")?;
    let result = drive(model, feed, hindsight, theme, signals, &mut screen).await;
    if let Err(why) = screen.leave() {
        tell(&format!("warning: {why}"));
    }
    result
}

/// The next snapshot or prediction, or that there is none any more. Never comes where none is fed.
async fn news(feed: Option<&mut Feed>) -> Msg {
    let Some(feed) = feed else { return std::future::pending().await };
    tokio::select! {
        biased;
        news = feed.snapshots.changed() => match news {
            Ok(()) => Msg::Snapshot(feed.snapshots.borrow_and_update().clone()),
            Err(_) => Msg::Ended,
        },
        // Whoever predicts may have ended long before the run.
        Ok(()) = feed.outlook.changed() => Msg::Outlook(feed.outlook.borrow_and_update().clone()),
    }
}

/// The next answer about a recording. Never comes where nobody gives one.
async fn answer(hindsight: Option<&mut Hindsight>) -> Msg {
    let Some(Hindsight { answers, .. }) = hindsight else { return std::future::pending().await };
    loop {
        if answers.changed().await.is_err() {
            return std::future::pending().await;
        }
        if let Some((ask, outlook)) = answers.borrow_and_update().clone() {
            return Msg::Hindsight(ask, outlook);
        }
    }
}

async fn drive(
    mut model: Model,
    mut feed: Option<Feed>,
    mut hindsight: Option<Hindsight>,
    theme: &Theme,
    signals: &mut Signals,
    screen: &mut Screen,
) -> anyhow::Result<Exit> {
    let clock = RunClock::start();
    let mut events = EventStream::new();
    let mut frames = interval(FRAME);
    frames.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let panic_key = std::env::var_os(PANIC_KEY).is_some_and(|value| !value.is_empty());
    // What is being written and what became of it; a disk that is slow does not hold up the screen.
    let (pictured, mut pictures) = mpsc::channel(PICTURES);
    update(&mut model, Msg::Resized(screen.area().as_size()));
    let mut targets = Targets::default();
    let mut dirty = true;
    loop {
        if terminal::panicked() {
            return Err(anyhow!("a thread of the program panicked; its message is above"));
        }
        let msg = tokio::select! {
            biased;
            told = signals.which() => Some(match told {
                Told::Interrupt => Msg::Interrupt,
                Told::Terminate => Msg::Terminate,
            }),
            event = events.next() => match event {
                Some(event) => {
                    terminal_event(&event.context("cannot read from the terminal")?, screen.area(), &targets, panic_key)
                }
                None => Some(Msg::Terminate),
            },
            Some(written) = pictures.recv() => Some(written),
            msg = news(feed.as_mut()), if !model.ended => Some(msg),
            msg = answer(hindsight.as_mut()) => Some(msg),
            _ = frames.tick(), if dirty || model.is_moving() => {
                if model.is_moving() {
                    update(&mut model, Msg::Tick(clock.now()));
                }
                let drawn = screen.draw(|frame| targets = view(&model, theme, frame.area(), frame.buffer_mut()));
                drawn.context("cannot draw")?;
                if let Some(feed) = &feed {
                    feed.meters.screen();
                }
                dirty = false;
                match screen.news() {
                    Some(why) => Some(Msg::CastEnded(why)),
                    None => continue,
                }
            }
        };
        dirty = true;
        let mut effects = msg.map_or_else(Vec::new, |msg| update(&mut model, msg));
        while !effects.is_empty() {
            let mut further = Vec::new();
            for effect in effects {
                match effect {
                    Effect::Leave(exit) => return Ok(exit),
                    Effect::Mouse(ours) => screen.take_mouse(ours).context("cannot set the mouse")?,
                    Effect::Picture => {
                        let (picture, told) = (photo::draw(&model, theme, screen.area()), pictured.clone());
                        tokio::task::spawn_blocking(move || {
                            let written = photo::write(&picture, &current_folder(), unix_micros() / 1_000_000);
                            // Nobody is there to be told once the screen was left.
                            let _ = told.blocking_send(Msg::Pictured(written));
                        });
                    }
                    Effect::Export(prediction) => {
                        let told = pictured.clone();
                        tokio::task::spawn_blocking(move || {
                            let now = unix_micros() / 1_000_000;
                            let written = photo::write_prediction(&prediction, &current_folder(), now);
                            let _ = told.blocking_send(Msg::Exported(written));
                        });
                    }
                    Effect::Ask(ask) => {
                        if let Some(Hindsight { asks, .. }) = &hindsight {
                            asks.send_replace(Some(ask));
                        }
                    }
                    Effect::Send(command) => {
                        let Some(feed) = &feed else { continue };
                        if let Err(refused) = feed.commands.try_send(command) {
                            further.extend(update(&mut model, Msg::Undelivered(undelivered(refused))));
                        }
                    }
                }
            }
            effects = further;
        }
    }
}

fn undelivered(refused: mpsc::error::TrySendError<Command>) -> Command {
    match refused {
        mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command) => command,
    }
}

fn current_folder() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

/// Keys, the mouse and sizes become messages. A click counts on what was drawn last: that is what the operator saw.
fn terminal_event(event: &Event, area: Rect, targets: &Targets, panic_key: bool) -> Option<Msg> {
    if let Event::Resize(width, height) = event {
        return Some(Msg::Resized(Size { width: *width, height: *height }));
    }
    if let Event::Mouse(mouse) = event {
        let clicked = (mouse.kind == MouseEventKind::Down(MouseButton::Left))
            .then(|| targets.at(Position::new(mouse.column, mouse.row)))
            .flatten();
        return Some(clicked.map_or(Msg::Mouse(*mouse, area), Msg::Click));
    }
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if panic_key && key.code == KeyCode::Char('!') {
        forced_panic();
    }
    Some(Msg::Key(*key))
}

#[expect(clippy::panic, reason = "asked for by a test, which looks at the terminal afterwards")]
fn forced_panic() {
    panic!("asked for by {PANIC_KEY}");
}
