//! How many sockets the process may have.

use kernels::files::OpenFiles;

/// Files that are not sockets to the target: the recording, the terminal, libraries, a control's connection.
const OTHERS: u64 = 64;

/// Sockets that the process may open, and what is to be said of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sockets {
    pub(super) most: usize,
    /// Why there are fewer than were wanted.
    pub(super) too_few: Option<String>,
}

/// At most `wanted`, after the system was asked for as many files as the process can have: a thousand, which many systems begin
/// with, is fewer than an overloaded server's requests in flight.
pub(super) fn sockets(wanted: usize) -> Sockets {
    of(kernels::files::raise_open_files(), wanted)
}

fn of(files: OpenFiles, wanted: usize) -> Sockets {
    let affordable = |files: u64| usize::try_from(files.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(1);
    let most = files.now.map_or(wanted, |now| affordable(now).min(wanted));
    let too_few = files.now.filter(|_| most < wanted).map(|now| {
        let raised = match files.before {
            Some(before) if before != now => format!(", raised from {before}"),
            _ => String::new(),
        };
        let needed = wanted as u64 + OTHERS;
        format!(
            "at most {most} requests can be in flight: {needed} open files are needed for {wanted}, and the system allows {now}{raised}; \
             more requests are shed (`ulimit -n {needed}` allows them)"
        )
    });
    Sockets { most, too_few }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_files_are_said_with_what_is_needed_and_what_was_raised() {
        let few = of(OpenFiles { before: Some(256), now: Some(1_064) }, 8_192);
        assert_eq!(few.most, 1_000);
        let said = few.too_few.expect("fewer than wanted");
        assert!(
            said.starts_with("at most 1000 requests can be in flight: 8256 open files are needed for 8192"),
            "{said}"
        );
        assert!(said.contains("the system allows 1064, raised from 256;"), "{said}");
        let as_it_was = of(OpenFiles { before: Some(32), now: Some(32) }, 8_192);
        assert_eq!(as_it_was.most, 1);
        assert!(as_it_was.too_few.is_some_and(|said| said.contains("the system allows 32;")));
    }

    #[test]
    fn enough_files_are_nothing_to_speak_of() {
        for files in [OpenFiles { before: Some(1_024), now: Some(8_256) }, OpenFiles { before: None, now: None }] {
            assert_eq!(of(files, 8_192), Sockets { most: 8_192, too_few: None });
        }
    }
}
