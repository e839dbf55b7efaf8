//! The program `pdtune`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tui::command::main()
}
