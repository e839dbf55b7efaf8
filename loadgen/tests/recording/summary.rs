//! A run that goes on and its recording are summed up alike.

use loadgen::live::Counts;
use loadgen::playback;
use loadgen::recording::{Reader, Record};
use loadgen::sample::{Gap, Outcome};
use loadgen::summary::Accumulator;
use loadgen::time::Micros;
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
    fn any_recording_can_be_viewed_whole_or_torn(records in vec(strategy::record(), 0..60), kept in 0.0..=1.0_f64) {
        let (_folder, path) = strategy::written(&records);
        let whole = playback::open(&path).expect("a recording");
        prop_assert_eq!(whole.incomplete, None);
        let requests = whole.summary.requests;
        let counts = whole.last.counts;
        // The end record is not of these requests; what is good depends on the SLO, and nothing is in flight any more.
        prop_assert_eq!(Counts { good: 0, ..counts }, Counts { in_flight: counts.in_flight, ..requests });
        prop_assert_eq!(counts.in_flight, 0);
        let bytes = std::fs::read(&path).expect("the file");
        let torn = path.with_extension("torn");
        std::fs::write(&torn, &bytes[..(bytes.len() as f64 * kept) as usize]).expect("written");
        if let Ok(part) = playback::open(&torn) {
            prop_assert_eq!(part.incomplete.is_some(), part.summary.incomplete);
            prop_assert!(part.last.counts.completed <= counts.completed);
        }
    }

    #[test]
    fn instants_that_no_run_ever_has_are_summed_up_without_panic(
        records in vec(strategy::record(), 1..10),
        instants in vec(prop_oneof![any::<u64>(), Just(u64::MAX)], 8),
        slo in strategy::slo(),
    ) {
        let mut run = strategy::run();
        (run.slo, run.warmup) = (Some(slo), Micros(instants[7]));
        let mut accumulator = Accumulator::new(&run);
        for record in records {
            if let Record::Req(mut sample) = record {
                (sample.due, sample.sent, sample.ended) = (Micros(instants[0]), Some(Micros(instants[1])), Micros(instants[2]));
                (sample.first, sample.last) = (Some(Micros(instants[3])), Some(Micros(instants[4])));
                sample.gaps.push(Gap { gap: Micros(instants[5]), tokens: u32::MAX });
                sample.gaps.push(Gap { gap: Micros(instants[6]), tokens: u32::MAX });
                sample.outcome = Outcome::Completed;
                accumulator.record(&Record::Req(sample));
            }
        }
        let summary = accumulator.finish(Some(&strategy::end()), None);
        prop_assert!(summary.ttft_ms.max >= summary.ttft_ms.p50);
        prop_assert!(!summary.text(None).is_empty());
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
