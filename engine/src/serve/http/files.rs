//! How many connections a process can hold.

/// Files for everything that is no connection: the model, the listeners, the threads' own, and connections that are on
/// their way out while others take their places.
const SPARE: u64 = 128;

/// Lets the process open as many files as the system allows, and says for how many connections they suffice.
pub fn raise_affordable_connections() -> usize {
    connections(kernels::files::raise_open_files().now)
}

/// A process with few files keeps half of them.
fn connections(files: Option<u64>) -> usize {
    let connections = |files: u64| files.saturating_sub(SPARE).max(files / 2).max(1);
    files.map_or(usize::MAX, |files| usize::try_from(connections(files)).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_always_files_to_spare() {
        assert_eq!(connections(None), usize::MAX);
        assert_eq!(connections(Some(1024)), 896);
        assert_eq!(connections(Some(64)), 32);
        assert_eq!(connections(Some(0)), 1);
    }
}
