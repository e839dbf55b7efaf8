//! What Ray says went wrong, without the way that Python took to it.

/// What begins a line of a Python traceback that names a place in a program.
const FRAME: &str = "File \"";

/// A message of Ray's. Of one with a traceback, its first sentence and the error at its end: what is between is of Ray's own program,
/// and longer than what anybody would be shown of it.
pub(super) fn words(text: &str) -> String {
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty());
    if !lines().any(|line| line.starts_with(FRAME)) {
        return text.to_owned();
    }
    let (first, last) = (lines().next().unwrap_or_default(), lines().next_back().unwrap_or_default());
    // Whose traceback it is stands before it, with its process.
    if first.contains("ray::") || first.starts_with("Traceback") || first.starts_with(FRAME) {
        return last.to_owned();
    }
    let sentence = first.split_once(". ").map_or(first, |(sentence, _)| sentence);
    format!("{}: {last}", sentence.trim_end_matches([':', '.']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_traceback_the_error_is_what_is_told() {
        let frames = "  File \"/usr/lib/python3/site-packages/ray/serve/_private/replica.py\", line 1\n    await self._user_callable_wrapper\n";
        let replica = "\u{1b}[36mray::ServeReplica:pd:Decode:tiny.initialize_and_get_metadata()\u{1b}[39m (pid=7, ip=192.0.2.2)\n";
        let started = "The deployment failed to start 3 times in a row. This may be due to a problem with its constructor or initial health check failing. See controller logs for details. Error:\n";
        let text = format!("{started}{replica}{frames}RuntimeError: no free port\n");
        assert_eq!(words(&text), "The deployment failed to start 3 times in a row: RuntimeError: no free port");
        assert_eq!(words(&format!("{replica}{frames}ValueError: bad")), "ValueError: bad");
        let deploying = format!(
            "Unexpected error occurred while deploying application 'pd': \nTraceback (most recent call last):\n{frames}KeyError: 'a'"
        );
        assert_eq!(words(&deploying), "Unexpected error occurred while deploying application 'pd': KeyError: 'a'");
        for plain in ["ValueError: Deployment 'Prefil:typo' does not exist.", "one\n  two", ""] {
            assert_eq!(words(plain), plain);
        }
    }
}
