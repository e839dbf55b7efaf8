//! How many files this process may have open.

/// How many files the process may have open; `None` where there is no limit, or nobody tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFiles {
    /// Before more were asked for.
    pub before: Option<u64>,
    /// Now.
    pub now: Option<u64>,
}

/// Lets the process open as many files as the system allows it to, and says how many that are.
pub fn raise_open_files() -> OpenFiles {
    system::raise()
}

#[cfg(unix)]
mod system {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// What macOS takes where it calls the number unlimited (`OPEN_MAX`).
    const MODEST: u64 = 10_240;

    use super::OpenFiles;

    pub(super) fn raise() -> OpenFiles {
        let limit = getrlimit(Resource::Nofile);
        for wanted in [limit.maximum, limit.maximum.map_or(Some(MODEST), |most| Some(most.min(MODEST)))] {
            let more = match (wanted, limit.current) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(wanted), Some(current)) => wanted > current,
            };
            if more && setrlimit(Resource::Nofile, Rlimit { current: wanted, ..limit }).is_ok() {
                break;
            }
        }
        OpenFiles { before: limit.current, now: getrlimit(Resource::Nofile).current }
    }
}

#[cfg(not(unix))]
mod system {
    use super::OpenFiles;

    pub(super) fn raise() -> OpenFiles {
        OpenFiles { before: None, now: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_twice_changes_nothing() {
        let now = raise_open_files().now;
        assert_eq!(raise_open_files(), OpenFiles { before: now, now });
    }
}
