//! What a server tells of itself.

use engine::units::Role;
use serde::{Deserialize, Serialize};

use super::text;
use crate::metrics::{Gauges, Sums};
use crate::time::Micros;

/// What an engine, a unit, a worker or a whole service holds, and what it has counted since its record before; or that it did not
/// tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerRecord {
    /// When.
    pub at: Micros,
    /// How long before that counting began: when its page was last read, zero where it was the first time.
    #[serde(rename = "span_us")]
    pub span: Micros,
    /// Its name: an address, a unit or a replica.
    #[serde(deserialize_with = "text::name")]
    pub name: String,
    /// Its role, where it is known.
    #[serde(with = "text::role_option", skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// The unit that it is in the records of units, where it is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub unit: Option<u16>,
    /// It speaks for the whole service: what it counts is not to be added to what units count.
    #[serde(skip_serializing_if = "text::is_false", default)]
    pub whole: bool,
    /// It did not tell: no answer, or none that is a page.
    #[serde(skip_serializing_if = "text::is_false", default)]
    pub failed: bool,
    /// What it holds.
    #[serde(flatten)]
    pub gauges: Gauges,
    /// What it has counted.
    #[serde(flatten)]
    pub sums: Sums,
}

impl ServerRecord {
    /// A page that could not be read.
    pub fn failed(at: Micros, name: String) -> Self {
        Self {
            at,
            span: Micros::ZERO,
            name,
            role: None,
            unit: None,
            whole: false,
            failed: true,
            gauges: Gauges::default(),
            sums: Sums::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Counter, Timed, Timer};

    #[test]
    fn a_record_says_what_is_known_and_no_more() {
        let mut sums = Sums::default();
        sums.add_count(Counter::Output, 640);
        sums.add_time(Timer::Queue, Timed::exact(3, Micros(1_500)));
        let record = ServerRecord {
            at: Micros(2_000_000),
            span: Micros(1_000_000),
            name: "Decode:tiny#abc".to_owned(),
            role: Some(Role::Decode),
            unit: Some(2),
            whole: false,
            failed: false,
            gauges: Gauges { running: Some(4), waiting: None, kv_used: Some(620) },
            sums,
        };
        let text = serde_json::to_string(&record).expect("JSON");
        let expected = r#"{"at":2000000,"span_us":1000000,"name":"Decode:tiny#abc","role":"D","unit":2,"running":4,"kv_used":620,"output":640,"queue":[3,1500]}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<ServerRecord>(&text).expect("a record"), record);
        let failed = ServerRecord::failed(Micros(7), "a:1".to_owned());
        let text = serde_json::to_string(&failed).expect("JSON");
        assert_eq!(text, r#"{"at":7,"span_us":0,"name":"a:1","failed":true}"#);
        assert_eq!(serde_json::from_str::<ServerRecord>(&text).expect("a record"), failed);
    }
}
