//! How many connections a process can hold.

/// Connections at most, however many files the process may open: each idle one takes some memory, too.
const MOST: u64 = 16_384;
/// Files for everything that is no connection: the model, the listeners, the threads' own, and connections that are on
/// their way out while others take their places.
const SPARE: u64 = 128;

/// Lets the process open as many files as the system allows, and says how many connections that makes.
pub fn affordable_connections() -> usize {
    connections(kernels::files::raise_open_files()) as usize
}

/// A process with few files keeps half of them.
fn connections(files: Option<u64>) -> u64 {
    files.map_or(MOST, |files| files.saturating_sub(SPARE).max(files / 2)).clamp(1, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_always_files_to_spare() {
        assert_eq!(connections(None), MOST);
        assert_eq!(connections(Some(1 << 20)), MOST);
        assert_eq!(connections(Some(1024)), 896);
        assert_eq!(connections(Some(64)), 32);
        assert_eq!(connections(Some(0)), 1);
    }
}
