//! The command palette: a typed word picks from the table of actions.

use crate::action::{self, Binding, Place};

/// The palette's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Palette {
    /// The screen whose actions it offers.
    pub screen: Place,
    /// What was typed.
    pub text: String,
    /// The selected row among the matches.
    pub selected: usize,
}

impl Palette {
    /// With nothing typed yet.
    pub fn new(screen: Place) -> Self {
        Self { screen, text: String::new(), selected: 0 }
    }

    /// The actions that match, the best first.
    pub fn matches(&self) -> Vec<&'static Binding> {
        let mut matches: Vec<(usize, &Binding)> =
            action::commands(self.screen).filter_map(|row| Some((distance(&self.text, row.name)?, row))).collect();
        // Stable: equals stay in the order of the table.
        matches.sort_by_key(|(distance, _)| *distance);
        matches.into_iter().map(|(_, row)| row).collect()
    }

    /// The row that enter carries out.
    pub fn chosen(&self) -> Option<&'static Binding> {
        let matches = self.matches();
        matches.get(self.selected.min(matches.len().saturating_sub(1))).copied()
    }
}

/// How far `name` is from what was typed: letters skipped before and between those typed, which must occur in their order.
/// `None` when they do not. To skip to the start of a word costs little.
fn distance(typed: &str, name: &str) -> Option<usize> {
    walk(typed, name, true).into_iter().chain(walk(typed, name, false)).min()
}

fn walk(typed: &str, name: &str, by_words: bool) -> Option<usize> {
    let letters: Vec<char> = name.chars().collect();
    let starts_word = |at: usize| at == 0 || letters.get(at - 1) == Some(&' ');
    let (mut cost, mut from) = (0, 0);
    for wanted in typed.chars().filter(|letter| !letter.is_whitespace()) {
        let found = |at: &usize| letters.get(*at).is_some_and(|letter| letter.eq_ignore_ascii_case(&wanted));
        let all = || (from..letters.len()).filter(found);
        let next = all().next()?;
        let at = if by_words { all().find(|at| *at == from || starts_word(*at)).unwrap_or(next) } else { next };
        cost += if starts_word(at) { usize::from(at > from) } else { (at - from) * 2 };
        from = at + 1;
    }
    Some(cost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn best(text: &str) -> Option<&'static str> {
        Palette { text: text.to_owned(), ..Palette::new(Place::Live) }.chosen().map(|row| row.name)
    }

    #[test]
    fn letters_in_order_find_an_action_and_starts_of_words_come_first() {
        assert_eq!(best("shift"), Some("shift a unit"));
        assert_eq!(best("ru"), Some("rate up"));
        assert_eq!(best("RD"), Some("rate down"));
        assert_eq!(best("quit"), Some("quit"));
        assert_eq!(best("heat"), Some("heatmap"));
        assert_eq!(best("xyzzy"), None);
    }

    #[test]
    fn nothing_typed_lists_every_action_once() {
        let all = Palette::new(Place::Live).matches();
        assert_eq!(all.len(), action::commands(Place::Live).count());
        for (index, row) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other.name != row.name), "{}", row.name);
        }
    }

    #[test]
    fn a_selection_beyond_the_matches_is_the_last_one() {
        let palette = Palette { text: "rate".to_owned(), selected: 99, ..Palette::new(Place::Live) };
        assert_eq!(palette.chosen().map(|row| row.name), palette.matches().last().map(|row| row.name));
    }
}
