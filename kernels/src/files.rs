//! How many files this process may have open.

/// Lets the process open as many files as the system allows it to, and says how many that are; `None` where there is no
/// limit, or nobody tells.
pub fn raise_open_files() -> Option<u64> {
    system::raise()
}

#[cfg(unix)]
mod system {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// What macOS takes where it calls the number unlimited (`OPEN_MAX`).
    const MODEST: u64 = 10_240;

    pub(super) fn raise() -> Option<u64> {
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
        getrlimit(Resource::Nofile).current
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn raise() -> Option<u64> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_twice_changes_nothing() {
        assert_eq!(raise_open_files(), raise_open_files());
    }
}
