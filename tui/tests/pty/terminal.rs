//! A program in a pseudo-terminal, and an emulator that knows what a person would see.

use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};

/// Nothing here takes this long unless it is broken; debug builds on a busy machine are slow.
const PATIENCE: Duration = Duration::from_mins(2);

/// Back to the main screen.
const LEAVE: &[u8] = b"\x1b[?1049l";

/// A running program with its terminal.
pub(crate) struct Terminal {
    master: Box<dyn MasterPty + Send>,
    writer: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    output: Receiver<Vec<u8>>,
    emulator: vt100::Parser,
    modes_before: String,
    /// Everything it wrote.
    written: Vec<u8>,
}

/// How a program left its terminal.
pub(crate) struct End {
    /// The exit code.
    pub(crate) code: u32,
    /// What is on the screen afterwards.
    pub(crate) text: String,
    /// What was on the screen before the program gave it back.
    pub(crate) last: String,
    alternate: bool,
    cursor_hidden: bool,
    mouse_taken: bool,
    modes_before: String,
    modes_after: String,
}

impl End {
    /// The main screen is back, the cursor shows, the mouse is the terminal's, and the line discipline is as it was.
    pub(crate) fn assert_restored(&self) {
        assert!(!self.alternate, "the alternate screen is still on: {}", self.text);
        assert!(!self.cursor_hidden, "the cursor is still hidden: {}", self.text);
        assert!(!self.mouse_taken, "the mouse is still taken: {}", self.text);
        assert_eq!(self.modes_after, self.modes_before, "the terminal is still in another mode");
    }
}

impl Terminal {
    /// Starts the program with `arguments` in a terminal of `size` columns and rows.
    pub(crate) fn start(arguments: &[&str], variables: &[(&str, &str)], size: (u16, u16)) -> Self {
        Self::start_in(&std::env::current_dir().expect("a folder"), arguments, variables, size)
    }

    /// The same in another folder.
    pub(crate) fn start_in(folder: &Path, arguments: &[&str], variables: &[(&str, &str)], size: (u16, u16)) -> Self {
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_pdtune"));
        command.args(arguments);
        Self::run(command, folder, variables, size)
    }

    /// Starts the program where no file may have more than `blocks` of 512 bytes: writing more fails, as on a full disk.
    pub(crate) fn start_with_little_disk(folder: &Path, blocks: u32, arguments: &[&str], size: (u16, u16)) -> Self {
        let mut command = CommandBuilder::new("sh");
        // The signal that comes with the limit is ignored, so that writing fails with an error.
        command.args(["-c", &format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""), "sh"]);
        command.args([env!("CARGO_BIN_EXE_pdtune")]);
        command.args(arguments);
        Self::run(command, folder, &[], size)
    }

    fn run(mut command: CommandBuilder, folder: &Path, variables: &[(&str, &str)], size: (u16, u16)) -> Self {
        let pair = native_pty_system().openpty(pty_size(size)).expect("a pseudo-terminal");
        command.cwd(folder);
        command.env("TERM", "xterm-256color");
        command.env("LC_ALL", "C.UTF-8");
        // A backtrace would push a panic's message off the screen.
        command.env("RUST_BACKTRACE", "0");
        for (name, value) in variables {
            command.env(name, value);
        }
        let modes_before = modes(pair.master.as_ref());
        let child = pair.slave.spawn_command(command).expect("the program starts");
        // As long as this end is open, the reader would never see the end.
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().expect("its output");
        let (sender, output) = channel();
        thread::spawn(move || {
            let mut chunk = [0; 8192];
            while let Ok(length @ 1..) = reader.read(&mut chunk) {
                if sender.send(chunk[..length].to_vec()).is_err() {
                    break;
                }
            }
        });
        let writer = pair.master.take_writer().expect("its input");
        let emulator = vt100::Parser::new(cells(size.1), cells(size.0), 0);
        Self { master: pair.master, writer, child, output, emulator, modes_before, written: Vec::new() }
    }

    /// Types.
    pub(crate) fn press(&mut self, keys: &str) {
        self.writer.write_all(keys.as_bytes()).and_then(|()| self.writer.flush()).expect("the terminal takes input");
    }

    /// Presses the mouse where `what` stands on the screen once it does, and lets it go.
    pub(crate) fn click(&mut self, what: &str) {
        self.wait(what, |text| text.contains(what));
        let text = self.emulator.screen().contents();
        let (row, line) = text.lines().enumerate().find(|(_, line)| line.contains(what)).expect(what);
        // Counted from 1; every letter of this screen is one column wide.
        let column = line.split(what).next().unwrap_or_default().chars().count() + 1;
        let at = format!("{column};{}", row + 1);
        self.press(&format!("\x1b[<0;{at}M\x1b[<0;{at}m"));
    }

    /// Whether the program has taken the mouse.
    pub(crate) fn mouse_taken(&self) -> bool {
        self.emulator.screen().mouse_protocol_mode() != vt100::MouseProtocolMode::None
    }

    /// Changes the size of the window.
    pub(crate) fn resize(&mut self, size: (u16, u16)) {
        self.emulator.screen_mut().set_size(cells(size.1), cells(size.0));
        self.master.resize(pty_size(size)).expect("the terminal takes a size");
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.process_id().expect("it runs").to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status().expect("kill runs");
        assert!(status.success());
    }

    /// Closes the terminal, as the end of an ssh session does, and waits until the program is gone.
    pub(crate) fn close(mut self) {
        // The thread that reads ends with the next bytes, and with it the last copy of this end.
        self.output = channel().1;
        self.writer = Box::new(std::io::sink());
        self.master = native_pty_system().openpty(pty_size((80, 24))).expect("a pseudo-terminal").master;
        self.child.wait().expect("it has ended");
    }

    /// Waits until the text on the screen is as `seen` wants it.
    pub(crate) fn wait(&mut self, what: &str, seen: impl Fn(&str) -> bool) {
        let deadline = now() + PATIENCE;
        loop {
            let text = self.emulator.screen().contents();
            if seen(&text) {
                return;
            }
            match self.output.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(bytes) => self.process(&bytes),
                Err(RecvTimeoutError::Timeout) => panic!("still waiting for: {what}\n{text}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended before: {what}\n{text}"),
            }
        }
    }

    fn process(&mut self, bytes: &[u8]) {
        self.written.extend_from_slice(bytes);
        self.emulator.process(bytes);
    }

    /// The screen as it was when the program gave it back. A screen of another size was drawn anew, so that only the last size
    /// counts.
    fn last_screen(&self) -> String {
        let (rows, columns) = self.emulator.screen().size();
        let end = self.written.windows(LEAVE.len()).rposition(|bytes| bytes == LEAVE).unwrap_or(self.written.len());
        let mut emulator = vt100::Parser::new(rows, columns, 0);
        emulator.process(&self.written[..end]);
        emulator.screen().contents()
    }

    /// Waits until the program is gone and says how it left the terminal.
    pub(crate) fn wait_for_end(mut self) -> End {
        let deadline = now() + PATIENCE;
        loop {
            match self.output.recv_timeout(deadline.saturating_duration_since(now())) {
                Ok(bytes) => self.process(&bytes),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end\n{}", self.emulator.screen().contents()),
            }
        }
        let status = self.child.wait().expect("it has ended");
        let last = self.last_screen();
        let screen = self.emulator.screen();
        End {
            code: status.exit_code(),
            text: screen.contents(),
            last,
            alternate: screen.alternate_screen(),
            cursor_hidden: screen.hide_cursor(),
            mouse_taken: screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None,
            modes_before: std::mem::take(&mut self.modes_before),
            modes_after: modes(self.master.as_ref()),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // A failed test must not leave a load running; a program that is gone already cannot be killed, and need not be.
        let _ = self.child.kill();
    }
}

#[expect(clippy::disallowed_methods, reason = "the deadline after which a test fails; no result depends on it")]
fn now() -> Instant {
    Instant::now()
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has cells")
}

fn pty_size((cols, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }
}

/// The modes of the line discipline: raw mode changes all three.
fn modes(master: &(dyn MasterPty + Send)) -> String {
    let termios = master.get_termios().expect("modes");
    format!("{:?} {:?} {:?}", termios.input_flags, termios.output_flags, termios.local_flags)
}
