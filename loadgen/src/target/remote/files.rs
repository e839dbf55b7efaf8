//! How many sockets the process may have.

/// Files that are not sockets to the target: the recording, the terminal, libraries, an embedded server's own.
const OTHERS: usize = 64;

/// Sockets that the process may open, after it has asked the system for as many files as it can have at all: a thousand, which
/// many systems begin with, is fewer than an overloaded server's requests in flight.
pub(super) fn sockets() -> usize {
    limit().saturating_sub(OTHERS).max(1)
}

#[cfg(unix)]
fn limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limits = getrlimit(Resource::Nofile);
    let most = Rlimit { current: limits.maximum, maximum: limits.maximum };
    // Where the system refuses, fewer requests are in flight.
    let raised = setrlimit(Resource::Nofile, most).is_ok();
    let limit = if raised { limits.maximum } else { limits.current };
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn limit() -> usize {
    usize::MAX
}
