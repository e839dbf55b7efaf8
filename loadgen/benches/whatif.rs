//! One refresh of what-if, `cargo bench --workspace --bench whatif`.
//!
//! The traffic is a minute of Poisson arrivals, prompts of 1,000 tokens and answers of 200, on the eight units of `h200-llama70b`
//! in 4P4D: at 4 and at 40 requests/s. By the profile, and by what is fitted to the requests as clients of an HTTP server see them. The
//! budget of a refresh is 300 ms of a core; the fit itself is measured apart. What is measured is the processor time of the one thread.
#![expect(clippy::expect_used, reason = "without its traffic there is nothing to measure")]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use engine::model::counter;
use engine::units::Split;
use loadgen::profile::Library;
use loadgen::sample::{Account, Gap, Outcome, Sample, TOKEN_HASH_SEED};
use loadgen::schedule::Segment;
use loadgen::time::Micros;
use loadgen::whatif::{Asked, Basis, Eras, Observed, Offered, Sights, UnitTerms, predict};

#[path = "../../kernels/benches/support/cpu_time.rs"]
mod cpu_time;

const MINUTE: Micros = Micros(60_000_000);
const INPUT: u32 = 1_000;
const OUTPUT: u32 = 200;

/// When requests were due.
fn arrivals(rate: f64) -> Vec<Micros> {
    let mut at = 0.0;
    let gaps = (0..).map(|index| -(1.0 - counter::unit_interval(counter::stream(5, 1), index)).ln() / rate);
    let all = gaps.map(|gap| {
        at += gap;
        Micros::from_secs_f64(at)
    });
    all.take_while(|due| *due < MINUTE).collect()
}

fn traffic(rate: f64) -> Observed {
    let offered = arrivals(rate).into_iter().enumerate().map(|(index, due)| Offered {
        due,
        input_tokens: INPUT,
        output_tokens: OUTPUT,
        segments: [Segment(index as u64 + 1, INPUT)].into(),
    });
    Observed::new(Micros::ZERO, MINUTE, offered.collect())
}

/// Requests as they are seen over HTTP: a prompt of 60 ms or more, then a token every 15 ms or so.
fn sights(rate: f64) -> Sights {
    let sample = |(index, due): (usize, Micros)| {
        let chance = |number| counter::unit_interval(counter::stream(9, index as u64), number);
        let input = INPUT / 2 + (chance(0) * f64::from(INPUT)) as u32;
        let first = due + Micros::from_secs_f64(0.02 + f64::from(input) * 6e-5);
        let gap = |token| Gap { gap: Micros::from_secs_f64(0.013 + 0.004 * chance(1 + token)), tokens: 1 };
        let gaps: Vec<Gap> = (1..u64::from(OUTPUT)).map(gap).collect();
        let last = gaps.iter().fold(first, |at, gap| at + gap.gap);
        Sample {
            index: index as u64,
            due,
            sent: Some(due),
            first: Some(first),
            last: Some(last),
            ended: last,
            first_tokens: 1,
            gaps,
            input_tokens: input,
            output_asked: OUTPUT,
            output_tokens: OUTPUT,
            segments: Vec::new(),
            clamped: false,
            turn: None,
            outcome: Outcome::Completed,
            token_hash: TOKEN_HASH_SEED,
            logits_hash: None,
            server: None,
            account: Account::default(),
        }
    };
    let samples: Vec<Sample> = arrivals(rate).into_iter().enumerate().map(sample).collect();
    Sights::of_samples(&samples)
}

fn refresh(criterion: &mut Criterion) {
    let cluster = Library::new(Vec::new()).cluster("h200-llama70b").expect("a cluster");
    let now: Split = "4P4D".parse().expect("a split");
    let slo = "ttft=1s,tpot=30ms".parse().expect("an SLO");
    let by_profile = Basis::of_profile(&cluster).expect("a basis");
    let terms = UnitTerms::untold(32_768);
    let eras = Eras::of(now, Micros(120_000_000));
    let mut group = criterion.benchmark_group("what-if");
    group.sample_size(10).measurement_time(Duration::from_secs(8));
    for rate in [4.0, 40.0] {
        let (traffic, sights) = (traffic(rate), sights(rate));
        let by_requests = || Basis::of_requests(&sights, &eras, &terms).expect("a basis");
        group.bench_function(format!("fit to requests, {rate}/s"), |bencher| cpu_time::iter(bencher, by_requests));
        for (name, basis) in [("profile", &by_profile), ("requests", &by_requests())] {
            let asked = Asked { traffic: &traffic, basis, slo, now };
            let predicted = || predict(&asked, &|| false).expect("a prediction");
            group.bench_function(format!("refresh by {name}, {rate}/s"), |bencher| cpu_time::iter(bencher, predicted));
        }
    }
    group.finish();
}

criterion_group!(benches, refresh);
criterion_main!(benches);
