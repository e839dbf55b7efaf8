//! A run that goes on and its recording are summed up alike.

use loadgen::recording::{Reader, Record};
use loadgen::summary::Accumulator;
use proptest::collection::vec;
use proptest::prelude::*;

use crate::strategy;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_recording_has_the_summary_of_its_run(records in vec(strategy::record(), 0..60)) {
        let mut live = Accumulator::new(&strategy::run());
        for record in &records {
            live.record(record);
        }
        let (_folder, path) = strategy::written(&records);
        let mut reader = Reader::open(&path).expect("a recording");
        let mut read = Accumulator::new(reader.run());
        for record in reader.by_ref() {
            read.record(&record.expect("a record"));
        }
        let name = || Some("run.jsonl.zst".to_owned());
        let json = |summary| serde_json::to_string(&summary).expect("JSON");
        prop_assert_eq!(json(live.finish(Some(&strategy::end()), name())), json(read.finish(reader.end(), name())));
    }

    #[test]
    fn counts_of_a_summary_add_up(records in vec(strategy::record(), 0..60)) {
        let mut accumulator = Accumulator::new(&strategy::run());
        for record in &records {
            accumulator.record(record);
        }
        let summary = accumulator.finish(None, None);
        let requests = summary.requests;
        let outcomes = requests.completed + requests.failed + requests.cut + requests.shed + requests.cancelled;
        prop_assert_eq!(requests.offered, outcomes);
        prop_assert_eq!(requests.offered, records.iter().filter(|r| matches!(r, Record::Req(_))).count() as u64);
        prop_assert!(summary.attainment.is_none_or(|share| (0.0..=1.0).contains(&share)));
    }
}
