//! The one vocabulary that the names of all servers are turned into.

use std::fmt;

use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::time::Micros;

/// What a server holds at an instant. What it does not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gauges {
    /// Requests that have a place in a batch.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub running: Option<u32>,
    /// Requests that wait for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub waiting: Option<u32>,
    /// Share of KV in use, in thousandths.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kv_used: Option<u16>,
}

/// What is counted over an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Counter {
    /// Prompt tokens looked up in the prefix cache.
    PrefixQueried,
    /// Prompt tokens found there.
    PrefixHit,
    /// Times a request lost its KV.
    Preempted,
    /// Prompt tokens of requests.
    Input,
    /// Tokens generated.
    Output,
    /// Bytes of KV transferred.
    HandOffBytes,
    /// KV transfers that failed.
    HandOffFailed,
    /// Requests whose KV was given up because nobody fetched it.
    HandOffExpired,
}

impl Counter {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PrefixQueried,
        Self::PrefixHit,
        Self::Preempted,
        Self::Input,
        Self::Output,
        Self::HandOffBytes,
        Self::HandOffFailed,
        Self::HandOffExpired,
    ];

    /// Its key in a recording.
    pub fn key(self) -> &'static str {
        match self {
            Self::PrefixQueried => "queried",
            Self::PrefixHit => "hit",
            Self::Preempted => "preempted",
            Self::Input => "input",
            Self::Output => "output",
            Self::HandOffBytes => "handoff_bytes",
            Self::HandOffFailed => "handoff_failed",
            Self::HandOffExpired => "handoff_expired",
        }
    }
}

/// A time that is summed over an interval, with how often it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// TTFT as the server has it.
    Ttft,
    /// Between two tokens of an answer.
    Gap,
    /// From the arrival of a request to its last token.
    EndToEnd,
    /// Waiting for the first place in a batch.
    Queue,
    /// From there to the first token.
    Prefill,
    /// From the first token to the last.
    Decode,
    /// A transfer of KV.
    HandOff,
}

impl Timer {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Ttft, Self::Gap, Self::EndToEnd, Self::Queue, Self::Prefill, Self::Decode, Self::HandOff];

    /// Its key in a recording.
    pub fn key(self) -> &'static str {
        match self {
            Self::Ttft => "ttft",
            Self::Gap => "itl",
            Self::EndToEnd => "e2e",
            Self::Queue => "queue",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::HandOff => "handoff",
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ttft => "TTFT",
            Self::Gap => "ITL",
            Self::EndToEnd => "E2E",
            Self::Queue => "queue",
            Self::Prefill => "prefill",
            Self::Decode => "decode",
            Self::HandOff => "KV transfer",
        }
    }
}

/// A time that was taken so many times, and its sum, of which some servers tell no more than between which bounds it lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timed {
    /// How often.
    pub taken: u64,
    /// The least that all of them together may be.
    pub least: Micros,
    /// The most.
    pub most: Micros,
}

impl Timed {
    /// Taken so many times, and this in all.
    pub const fn exact(taken: u64, sum: Micros) -> Self {
        Self { taken, least: sum, most: sum }
    }

    /// The mean, or the middle of what it may be; `None` of nothing.
    pub fn mean(self) -> Option<Micros> {
        let middle = self.least.0 + self.most.since(self.least).0 / 2;
        middle.checked_div(self.taken).map(Micros)
    }

    /// The least and the most that the mean may be; `None` where it is known.
    pub fn between(self) -> Option<(Micros, Micros)> {
        let mean = |sum: Micros| sum.0.checked_div(self.taken).map(Micros);
        mean(self.least).zip(mean(self.most)).filter(|_| self.least != self.most)
    }

    fn add(self, other: Self) -> Self {
        Self {
            taken: self.taken.saturating_add(other.taken),
            least: self.least + other.least,
            most: self.most + other.most,
        }
    }
}

/// `[count, sum]`, or `[count, least, most]` where the sum is not known better.
impl Serialize for Timed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.least == self.most {
            (self.taken, self.least).serialize(serializer)
        } else {
            (self.taken, self.least, self.most).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TimedVisitor)
    }
}

struct TimedVisitor;

impl<'de> Visitor<'de> for TimedVisitor {
    type Value = Timed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count and a sum, or its bounds")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Timed, A::Error> {
        let missing = |place| A::Error::invalid_length(place, &self);
        let taken = parts.next_element()?.ok_or_else(|| missing(0))?;
        let least = parts.next_element()?.ok_or_else(|| missing(1))?;
        let most = parts.next_element()?.unwrap_or(least);
        Ok(Timed { taken, least, most: most.max(least) })
    }
}

/// What a server has counted over an interval. What it does not tell is `None`.
///
/// In a recording each is a key of its own, those of times as `[count, microseconds]`, or `[count, least, most]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    counts: [Option<u64>; Counter::ALL.len()],
    times: [Option<Timed>; Timer::ALL.len()],
}

impl Sums {
    /// A count.
    pub fn count(&self, counter: Counter) -> Option<u64> {
        self.counts[counter as usize]
    }

    /// A time.
    pub fn time(&self, timer: Timer) -> Option<Timed> {
        self.times[timer as usize]
    }

    /// The mean of a time; `None` where it was never taken.
    pub fn mean(&self, timer: Timer) -> Option<Micros> {
        self.time(timer).and_then(Timed::mean)
    }

    /// Counts more.
    pub fn add_count(&mut self, counter: Counter, more: u64) {
        let count = &mut self.counts[counter as usize];
        *count = Some(count.unwrap_or(0).saturating_add(more));
    }

    /// Takes more of a time.
    pub fn add_time(&mut self, timer: Timer, more: Timed) {
        let time = &mut self.times[timer as usize];
        *time = Some(time.unwrap_or_default().add(more));
    }

    /// Adds what was counted over another interval, or by another server.
    pub fn add(&mut self, other: &Self) {
        for counter in Counter::ALL {
            if let Some(more) = other.count(counter) {
                self.add_count(counter, more);
            }
        }
        for timer in Timer::ALL {
            if let Some(more) = other.time(timer) {
                self.add_time(timer, more);
            }
        }
    }
}

impl Serialize for Sums {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for counter in Counter::ALL {
            if let Some(count) = self.count(counter) {
                map.serialize_entry(counter.key(), &count)?;
            }
        }
        for timer in Timer::ALL {
            if let Some(time) = self.time(timer) {
                map.serialize_entry(timer.key(), &time)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Sums {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(SumsVisitor)
    }
}

struct SumsVisitor;

impl<'de> Visitor<'de> for SumsVisitor {
    type Value = Sums;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what a server has counted")
    }

    /// Keys of others, and of later versions, are left alone.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sums, A::Error> {
        let mut sums = Sums::default();
        while let Some(key) = map.next_key::<String>()? {
            if let Some(counter) = Counter::ALL.into_iter().find(|counter| counter.key() == key) {
                sums.counts[counter as usize] = Some(map.next_value()?);
            } else if let Some(timer) = Timer::ALL.into_iter().find(|timer| timer.key() == key) {
                sums.times[timer as usize] = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_place_and_key() {
        for (place, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, place);
        }
        for (place, timer) in Timer::ALL.into_iter().enumerate() {
            assert_eq!(timer as usize, place);
        }
        let mut keys: Vec<&str> =
            Counter::ALL.map(Counter::key).into_iter().chain(Timer::ALL.map(Timer::key)).collect();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), Counter::ALL.len() + Timer::ALL.len());
    }

    #[test]
    fn sums_are_read_as_they_were_written_and_keep_out_of_what_is_not_theirs() {
        let mut sums = Sums::default();
        sums.add_count(Counter::PrefixHit, 7);
        sums.add_time(Timer::Queue, Timed::exact(2, Micros(900)));
        let text = serde_json::to_string(&sums).expect("JSON");
        assert_eq!(text, r#"{"hit":7,"queue":[2,900]}"#);
        let read: Sums = serde_json::from_str(r#"{"later": {"x": 1}, "hit": 7, "queue": [2, 900]}"#).expect("sums");
        assert_eq!(read, sums);
        assert_eq!((sums.mean(Timer::Queue), sums.mean(Timer::Decode)), (Some(Micros(450)), None));
    }

    #[test]
    fn of_a_time_that_is_not_known_better_its_bounds_are_kept() {
        let mut sums = Sums::default();
        sums.add_time(Timer::Queue, Timed { taken: 2, least: Micros(200), most: Micros(400) });
        assert_eq!(serde_json::to_string(&sums).expect("JSON"), r#"{"queue":[2,200,400]}"#);
        assert_eq!(serde_json::from_str::<Sums>(r#"{"queue":[2,200,400]}"#).expect("sums"), sums);
        sums.add_time(Timer::Queue, Timed::exact(2, Micros(100)));
        let time = sums.time(Timer::Queue).expect("a time");
        assert_eq!((time.mean(), time.between()), (Some(Micros(100)), Some((Micros(75), Micros(125)))));
        assert_eq!(Timed::exact(2, Micros(100)).between(), None);
    }

    #[test]
    fn what_nobody_told_stays_untold_in_a_sum() {
        let mut sums = Sums::default();
        sums.add(&Sums::default());
        assert_eq!(sums, Sums::default());
        let mut other = Sums::default();
        other.add_count(Counter::Output, u64::MAX);
        sums.add(&other);
        sums.add(&other);
        assert_eq!((sums.count(Counter::Output), sums.count(Counter::Input)), (Some(u64::MAX), None));
    }
}
