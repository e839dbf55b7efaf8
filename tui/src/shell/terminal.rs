//! The terminal: taken over on entry, given back on every way out, panics included.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io::{self, BufWriter, Stdout, Write, stdout};
use std::rc::Rc;
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

use super::cast::Cast;

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

/// What is written goes to the terminal, and into the cast if there is one.
struct Tee {
    out: Stdout,
    cast: Rc<RefCell<Option<Cast>>>,
    /// The terminal was given back: what is written from now on vanishes. Its owner writes once more when it is dropped, and
    /// complains of a failure on standard error, which may be the very terminal that has gone.
    given_back: Rc<Cell<bool>>,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.given_back.get() {
            return Ok(bytes.len());
        }
        let written = self.out.write(bytes)?;
        if let (Some(cast), Some(bytes)) = (self.cast.borrow_mut().as_mut(), bytes.get(..written)) {
            cast.sent(bytes);
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.given_back.get() { Ok(()) } else { self.out.flush() }
    }
}

/// The alternate screen in raw mode, for as long as it lives.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Tee>>>,
    cast: Rc<RefCell<Option<Cast>>>,
    given_back: Rc<Cell<bool>>,
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Screen").finish_non_exhaustive()
    }
}

impl Screen {
    /// Takes the terminal over. The panic hook that gives it back is installed first, once a process. All that is drawn
    /// goes into `cast` as well.
    ///
    /// # Errors
    /// When standard output is not a terminal that can be set up.
    pub fn enter(cast: Option<Cast>) -> io::Result<Self> {
        install_hook();
        PANICKED.store(false, Ordering::SeqCst);
        enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let cast = Rc::new(RefCell::new(cast));
        let given_back = Rc::new(Cell::new(false));
        let tee = Tee { out: stdout(), cast: Rc::clone(&cast), given_back: Rc::clone(&given_back) };
        let mut out = BufWriter::with_capacity(FRAME_BYTES, tee);
        // Whoever plays the cast has a mouse of their own.
        let entered = execute!(out, EnterAlternateScreen, Hide)
            .and_then(|()| execute!(stdout(), TakeMouse))
            .and_then(|()| Terminal::new(CrosstermBackend::new(out)));
        match entered {
            Ok(terminal) => Ok(Self { terminal, cast, given_back }),
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
        let area = self.terminal.draw(view)?.area;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)?;
        if let Some(cast) = self.cast.borrow_mut().as_mut() {
            cast.frame(area.as_size());
        }
        Ok(())
    }

    /// Why the cast ended before the screen did, told once.
    pub(super) fn news(&self) -> Option<String> {
        self.cast.borrow_mut().as_mut().and_then(Cast::take_news)
    }

    /// Gives the terminal back and closes the cast.
    ///
    /// # Errors
    /// Why the cast is not whole.
    pub(super) fn leave(self) -> Result<(), String> {
        restore();
        self.close()
    }

    fn close(&self) -> Result<(), String> {
        // Taken out first: nothing that is written from now on belongs to it.
        let cast = self.cast.borrow_mut().take();
        let mut last = Vec::new();
        // Writing to memory cannot fail.
        let _ = execute!(last, EndSynchronizedUpdate, LeaveAlternateScreen, Show);
        cast.map_or(Ok(()), |cast| cast.close(&last))
    }

    /// The size of what was drawn last.
    pub fn area(&mut self) -> Rect {
        self.terminal.get_frame().area()
    }

    /// Takes the mouse, or lets the terminal have it, to select text. Every frame has been flushed before.
    ///
    /// # Errors
    /// When the terminal cannot be written to.
    pub fn take_mouse(&self, ours: bool) -> io::Result<()> {
        if ours { execute!(stdout(), TakeMouse) } else { execute!(stdout(), DisableMouseCapture) }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
        self.given_back.set(true);
        // Where it matters what became of it, it was closed by `leave`.
        let _ = self.close();
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
