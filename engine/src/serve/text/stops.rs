//! Stop strings in text that comes piece by piece.

/// Passes text on until one of the stop strings has come, and holds back what could still become one.
#[derive(Debug)]
pub(super) struct StopMatcher {
    stops: Vec<String>,
    /// Text that was not passed on: a proper prefix of a stop string.
    held: String,
}

impl StopMatcher {
    /// Empty stop strings are met by nothing.
    pub(super) fn new(stops: Vec<String>) -> Self {
        Self { stops: stops.into_iter().filter(|stop| !stop.is_empty()).collect(), held: String::new() }
    }

    /// Takes `piece` and appends to `out` what may go out now. `true` once a stop string was met: the one that is complete
    /// first, of those that are complete together the longest. Neither it nor anything after it goes out.
    pub(super) fn push(&mut self, piece: &str, out: &mut String) -> bool {
        self.held.push_str(piece);
        let met =
            self.stops.iter().filter_map(|stop| self.held.find(stop).map(|start| (start + stop.len(), start))).min();
        if let Some((_, start)) = met {
            out.push_str(&self.held[..start]);
            self.held.clear();
            return true;
        }
        let kept = self.beginning();
        out.push_str(&self.held[..kept]);
        self.held.drain(..kept);
        false
    }

    /// No more text comes: what was held back is no stop string.
    pub(super) fn finish(&mut self, out: &mut String) {
        out.push_str(&self.held);
        self.held.clear();
    }

    /// Where the longest end of the held text begins that a stop string begins with.
    fn beginning(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest);
        let ends = self.held.char_indices().map(|(at, _)| at).filter(|&at| at >= from);
        let mut beginnings = ends.filter(|&at| self.stops.iter().any(|stop| stop.starts_with(&self.held[at..])));
        beginnings.next().unwrap_or(self.held.len())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fed(stops: &[String], pieces: &[&str]) -> (String, bool) {
        let mut matcher = StopMatcher::new(stops.to_vec());
        let mut out = String::new();
        for piece in pieces {
            if matcher.push(piece, &mut out) {
                return (out, true);
            }
        }
        matcher.finish(&mut out);
        (out, false)
    }

    #[test]
    fn text_is_withheld_only_while_it_could_be_the_start_of_a_stop_string() {
        let mut matcher = StopMatcher::new(vec!["END".to_owned()]);
        let mut out = String::new();
        assert!(!matcher.push("the E", &mut out));
        assert_eq!(out, "the ");
        assert!(!matcher.push("NEN", &mut out));
        assert_eq!(out, "the EN");
        assert!(matcher.push("D and more", &mut out));
        assert_eq!(out, "the EN");
    }

    #[test]
    fn the_first_complete_stop_string_counts_and_the_longest_of_those() {
        let stops = ["abc", "b", "xyz", "z"].map(str::to_owned);
        assert_eq!(fed(&stops, &["-abc"]), ("-a".to_owned(), true));
        assert_eq!(fed(&stops, &["-xyz"]), ("-".to_owned(), true));
        assert_eq!(fed(&[String::new()], &["abc"]), ("abc".to_owned(), false));
    }

    /// The definition, character by character and without any holding back.
    fn expected(stops: &[String], text: &str) -> (String, bool) {
        for end in text.char_indices().map(|(at, c)| at + c.len_utf8()) {
            let met = stops.iter().filter(|stop| !stop.is_empty() && text[..end].ends_with(stop.as_str()));
            if let Some(longest) = met.map(String::len).max() {
                return (text[..end - longest].to_owned(), true);
            }
        }
        (text.to_owned(), false)
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same_text(
            text in "[abü]{0,40}",
            stops in prop::collection::vec("[abü]{0,4}", 0..4),
            cuts in prop::collection::vec(0_usize..40, 0..8),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|&at| text.is_char_boundary(at)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let pieces: Vec<&str> = cuts.windows(2).map(|cut| &text[cut[0]..cut[1]]).collect();
            prop_assert_eq!(fed(&stops, &pieces), expected(&stops, &text));
        }
    }
}
