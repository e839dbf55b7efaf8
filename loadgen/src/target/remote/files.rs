//! How many sockets the process may have.

/// Files that are not sockets to the target: the recording, the terminal, libraries, a control's connection.
const OTHERS: u64 = 64;

/// Sockets that the process may open, after it has asked the system for as many files as it can have: a thousand, which many
/// systems begin with, is fewer than an overloaded server's requests in flight.
pub(super) fn sockets() -> usize {
    let files = kernels::files::raise_open_files();
    files.map_or(usize::MAX, |files| usize::try_from(files.saturating_sub(OTHERS)).unwrap_or(usize::MAX).max(1))
}
