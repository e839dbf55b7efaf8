//! What the parser says instead of a command line, made short.

use std::error::Error;
use std::fmt;

use clap::error::{ContextKind, ErrorKind};

/// Help that was asked for, or words that are wrong.
#[derive(Debug)]
pub struct Refusal(pub(super) clap::Error);

impl Refusal {
    /// The help or the version, when that was asked for: no error, and printed on stdout.
    pub fn asked_for(&self) -> Option<String> {
        let asked = matches!(self.0.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
        asked.then(|| self.0.render().to_string())
    }
}

/// One line that says what is wrong, and a `hint:` line where there is something to try. The parser's own text spreads the
/// same over paragraphs and adds the usage, which a script's log has no use for.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(option), Some(why)) = (self.0.get(ContextKind::InvalidArg), self.0.source()) {
            // Our own types say what was found and what is allowed; the parser knows only the option's name to add.
            let option = option.to_string();
            return write!(f, "{}: {why}", option.split(' ').next().unwrap_or_default());
        }
        let text = self.0.render().to_string();
        let mut paragraphs = text.split("\n\n");
        let what = paragraphs.next().unwrap_or_default().trim_start_matches("error: ");
        f.write_str(&what.split_whitespace().collect::<Vec<_>>().join(" "))?;
        for tip in paragraphs.filter_map(|paragraph| paragraph.trim_start().strip_prefix("tip: ")) {
            write!(f, "\nhint: {}", tip.split_whitespace().collect::<Vec<_>>().join(" "))?;
        }
        Ok(())
    }
}

impl Error for Refusal {}
