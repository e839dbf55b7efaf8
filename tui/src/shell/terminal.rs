//! The terminal: taken over on entry, given back on every way out, panics included.

use std::fmt;
use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::cursor::{Hide, Show};
use crossterm::event::DisableMouseCapture;
use crossterm::terminal::{
    BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode,
    enable_raw_mode,
};
use crossterm::{Command, execute};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};

/// Whether the terminal is ours: whoever clears it gives the terminal back, and nobody does so twice.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Whether a panic took the terminal away from a screen that still runs.
static PANICKED: AtomicBool = AtomicBool::new(false);
static HOOK: Once = Once::new();
/// A frame of a large terminal fits into one write.
const FRAME_BYTES: usize = 128 * 1024;

/// Asks for presses, dragging and the wheel. Crossterm's own command asks for every motion as well, which would redraw the
/// screen for nothing.
struct TakeMouse;

impl Command for TakeMouse {
    fn write_ansi(&self, f: &mut impl fmt::Write) -> fmt::Result {
        // 1002: buttons and motion while one is held; 1006: columns beyond 223.
        f.write_str("\x1b[?1002h\x1b[?1006h")
    }
}

/// The alternate screen in raw mode, for as long as it lives.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stdout>>>,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl Screen {
    /// Takes the terminal over. The panic hook that gives it back is installed first, once a process.
    ///
    /// # Errors
    /// When standard output is not a terminal that can be set up.
    pub fn enter() -> io::Result<Self> {
        install_hook();
        PANICKED.store(false, Ordering::SeqCst);
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let entered = execute!(stdout(), EnterAlternateScreen, Hide, TakeMouse)
            .and_then(|()| Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, stdout()))));
        match entered {
            Ok(terminal) => Ok(Self { terminal }),
            Err(error) => {
                restore();
                Err(error)
            }
        }
    }

    /// Draws one frame, following the size of the terminal. The terminal shows it at once where it can.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(view)?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }
}

impl Screen {
    /// The size of what was drawn last.
    pub fn area(&mut self) -> Rect {
        self.terminal.get_frame().area()
    }

    /// Takes the mouse, or lets the terminal have it, to select text.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn take_mouse(&mut self, ours: bool) -> io::Result<()> {
        let out = self.terminal.backend_mut();
        if ours { execute!(out, TakeMouse) } else { execute!(out, DisableMouseCapture) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// Whether a panic, on whatever thread, has given the terminal back already.
pub(super) fn panicked() -> bool {
    PANICKED.load(Ordering::SeqCst)
}

/// Gives the terminal back if it is ours. Errors are of no use: there is nothing left to show them on.
fn restore() {
    if TAKEN.swap(false, Ordering::SeqCst) {
        let mut out = stdout();
        let _ = execute!(out, EndSynchronizedUpdate, DisableMouseCapture, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        let _ = out.flush();
    }
}

/// A panic message on the alternate screen would vanish with it: leave first, then let the earlier hook print.
fn install_hook() {
    HOOK.call_once(|| {
        let earlier = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if TAKEN.load(Ordering::SeqCst) {
                PANICKED.store(true, Ordering::SeqCst);
            }
            restore();
            earlier(info);
        }));
    });
}
