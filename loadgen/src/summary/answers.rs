//! How requests failed, and what is known of answers beside their times.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::sample::{CountedBy, FailureKind, Outcome, Sample};

/// Failed requests by sort. As JSON it has every sort.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures([u64; FailureKind::ALL.len()]);

impl Failures {
    /// Sorts with how many there were of each.
    pub fn iter(&self) -> impl Iterator<Item = (FailureKind, u64)> + '_ {
        FailureKind::ALL.into_iter().zip(self.0)
    }

    /// How many there were of one sort.
    pub(super) fn of(&self, wanted: FailureKind) -> u64 {
        self.iter().find(|(kind, _)| *kind == wanted).map_or(0, |(_, count)| count)
    }

    pub(super) fn add(&mut self, sample: &Sample) {
        let Outcome::Failed(failure) = &sample.outcome else { return };
        for (count, kind) in self.0.iter_mut().zip(FailureKind::ALL) {
            *count += u64::from(kind == failure.kind);
        }
    }
}

impl Serialize for Failures {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (kind, count) in self.iter() {
            map.serialize_entry(kind.name(), &count)?;
        }
        map.end()
    }
}

/// Addresses that are told apart.
const ADDRESSES: usize = 1024;

/// What is known of answers. All but the addresses are of completed requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Answers {
    /// How their tokens were counted, where the target does not tell every one.
    pub counted_by: Ways,
    /// Those whose usage says another number of tokens than there were ids.
    pub usage_differed: u64,
    /// Those that had not as many tokens as were asked for.
    pub osl_missed: u64,
    /// Those whose prompt the server counted as other than it was to be.
    pub isl_differed: u64,
    /// Tokens of all prompts as they were to be.
    pub prompt_tokens_asked: u64,
    /// And as the server counted them, where it did.
    pub prompt_tokens_counted: u64,
    /// Those with reasoning before the answer.
    pub reasoned: u64,
    /// Tokens of that.
    pub reasoning_tokens: u64,
    /// Requests that went to each address, where there are several.
    pub addresses: Vec<u64>,
    /// Those of them that failed or were cut.
    pub addresses_failed: Vec<u64>,
    /// Answers of several tokens that came in one piece: they have no TPOT.
    pub one_piece: u64,
}

/// Ways of counting tokens, with how many answers were counted so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ways {
    /// By what the server said.
    pub usage: u64,
    /// By the ids of tokens.
    pub ids: u64,
    /// By the pieces of text.
    pub chunks: u64,
}

impl Answers {
    pub(super) fn add(&mut self, sample: &Sample) {
        let account = &sample.account;
        if let Some(address) = account.address.map(usize::from).filter(|address| *address < ADDRESSES) {
            if address >= self.addresses.len() {
                self.addresses.resize(address + 1, 0);
                self.addresses_failed.resize(address + 1, 0);
            }
            self.addresses[address] += 1;
            self.addresses_failed[address] += u64::from(sample.outcome.is_targets_failure());
        }
        if !sample.outcome.is_completed() {
            return;
        }
        match account.counted {
            Some(CountedBy::Usage) => self.counted_by.usage += 1,
            Some(CountedBy::Ids) => self.counted_by.ids += 1,
            Some(CountedBy::Chunks) => self.counted_by.chunks += 1,
            None => {}
        }
        self.usage_differed += u64::from(account.usage_tokens.is_some());
        self.osl_missed += u64::from(sample.output_tokens != sample.output_asked);
        self.one_piece += u64::from(sample.is_one_piece());
        self.isl_differed += u64::from(sample.prompt_tokens() != sample.input_tokens);
        self.prompt_tokens_asked += u64::from(sample.input_tokens);
        self.prompt_tokens_counted += u64::from(sample.prompt_tokens());
        if let Some(reasoning) = account.reasoning {
            self.reasoned += 1;
            self.reasoning_tokens += u64::from(reasoning.tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::testing::{completed, failed, unanswered};
    use crate::sample::{Account, Reasoning};

    #[test]
    fn answers_are_counted_by_how_they_were_and_by_what_they_missed() {
        let asked = completed(0, 0, 100, &[10, 10]);
        let account = Account {
            counted: Some(CountedBy::Chunks),
            usage_tokens: Some(1),
            prompt_tokens: Some(asked.input_tokens + 5),
            reasoning: Some(Reasoning { tokens: 2, answer: None }),
            address: Some(2),
            cut: None,
        };
        let mut answers = Answers::default();
        answers.add(&Sample { account, output_asked: asked.output_tokens + 1, ..asked.clone() });
        answers.add(&Sample { output_asked: asked.output_tokens, ..asked.clone() });
        assert_eq!((answers.osl_missed, answers.isl_differed, answers.counted_by.chunks), (1, 1, 1));
        assert_eq!((answers.usage_differed, answers.one_piece), (1, 0));
        answers.add(&Sample { output_tokens: 9, output_asked: 9, ..completed(0, 0, 100, &[]) });
        assert_eq!(answers.one_piece, 1);
        assert_eq!(answers.prompt_tokens_counted, answers.prompt_tokens_asked + 5);
        assert_eq!((answers.reasoned, answers.reasoning_tokens), (1, 2));
        for (outcome, address) in [(failed(), 0), (Outcome::Cut, 0), (Outcome::Cancelled, 2)] {
            let account = Account { address: Some(address), ..Account::default() };
            answers.add(&Sample { account, ..unanswered(0, 0, 1, outcome) });
        }
        assert_eq!((answers.addresses, answers.addresses_failed), (vec![2, 0, 2], vec![2, 0, 0]));
    }

    #[test]
    fn every_sort_of_failure_has_its_count() {
        let mut failures = Failures::default();
        failures.add(&unanswered(0, 0, 1, failed()));
        failures.add(&completed(0, 0, 100, &[]));
        assert_eq!(failures.iter().map(|(_, count)| count).sum::<u64>(), 1);
        let json = serde_json::to_value(failures).expect("JSON");
        assert_eq!(json.as_object().map(serde_json::Map::len), Some(FailureKind::ALL.len()));
    }
}
