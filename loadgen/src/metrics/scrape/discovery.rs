//! Files in which Ray names the pages of its nodes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::http::HttpAddress;
use crate::metrics::source::{discovered, page_of};

/// The longest file that is read.
const LONGEST: u64 = 1 << 20;

/// Between two looks at a file; Ray writes it every five seconds.
const PERIOD: Duration = Duration::from_secs(5);

/// A file that names pages.
#[derive(Debug)]
pub(super) struct Discovery {
    file: PathBuf,
    since: Duration,
    failing: bool,
    /// The pages that it named last.
    pages: BTreeSet<String>,
}

impl Discovery {
    pub(super) fn new(file: PathBuf) -> Self {
        Self { file, since: PERIOD, failing: false, pages: BTreeSet::new() }
    }

    /// Whether the file named a page when it was last read.
    pub(super) fn names(&self, url: &str) -> bool {
        self.pages.contains(url)
    }

    /// What the file names, if it is time to look again, `passed` after the last call.
    ///
    /// # Errors
    /// One line, the first time that it cannot be read.
    pub(super) fn look(&mut self, passed: Duration) -> Result<Vec<HttpAddress>, String> {
        self.since += passed;
        if self.since < PERIOD {
            return Ok(Vec::new());
        }
        self.since = Duration::ZERO;
        match read(&self.file) {
            Ok(found) => {
                self.failing = false;
                self.pages = found.iter().map(page_of).collect();
                Ok(found)
            }
            Err(_) if std::mem::replace(&mut self.failing, true) => Ok(Vec::new()),
            Err(why) => Err(format!("{} {why}", self.file.display())),
        }
    }
}

fn read(file: &Path) -> Result<Vec<HttpAddress>, String> {
    let bytes = || {
        if std::fs::metadata(file)?.len() > LONGEST {
            return Err(std::io::Error::other("it is longer than 1 MiB"));
        }
        std::fs::read(file)
    };
    discovered(&bytes().map_err(|error| format!("cannot be read: {error}"))?)
}
