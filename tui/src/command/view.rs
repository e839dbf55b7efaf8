//! `pdtune view`: a recording on the screen.

use std::io::IsTerminal;

use anyhow::Context;
use loadgen::playback::{self, Playback};
use loadgen::whatif::{Ground, Hindsight};

use super::Ending;
use crate::cli::{self, ViewOptions};
use crate::model::{Model, Recording};
use crate::shell;

/// Opens the recording and shows it until the operator leaves.
///
/// # Errors
/// When the file is not a recording, is damaged, or has a schema that this version does not know, and when there is no
/// terminal to show it on.
pub fn run(options: &ViewOptions) -> anyhow::Result<Ending> {
    // Before the terminal is looked at, so that a file that cannot be shown is named wherever it is asked for.
    let playback = playback::open(&options.file)?;
    anyhow::ensure!(
        std::io::stdin().is_terminal() && std::io::stdout().is_terminal(),
        "a recording is shown on a terminal, and this is none\nhint: `pdtune report {}` prints its figures",
        options.file.display()
    );
    let theme = shell::theme(options.appearance.theme.into(), options.appearance.symbols.set());
    let ground = Ground::of_recording(&playback.run, &cli::library());
    let hindsight = Hindsight::start(options.file.clone(), ground).context("cannot start a thread")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(shell::view_recording(model(&playback, options), hindsight, &theme))?;
    Ok(Ending::Fine)
}

fn model(playback: &Playback, options: &ViewOptions) -> Model {
    let name = options.file.file_name().unwrap_or(options.file.as_os_str()).to_string_lossy();
    Model::viewing(playback.last.clone(), Recording::of(playback, name))
}
