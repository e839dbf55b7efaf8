//! How late the pacing thread is at 2,000 requests/s while everything else is busy: an in-process target that answers at
//! once, the recorder on, the screen drawn 15 times a second, and four threads that compute without pause in the
//! executors' class. Prints the lag and what the client used.
//!
//! `cargo bench -p pdtune --bench pacing`

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench prints its figures and ends where it cannot go on"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use loadgen::live::Phase;
use loadgen::run::{self, RunConfig};
use loadgen::schedule::{LoadSpec, Traffic};
use loadgen::target::null;
use loadgen::time::Micros;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui::model::{Model, Offers};
use tui::theme::Theme;
use tui::view::view;

const RATE: &str = "2000";
const SECONDS: u64 = 20;
const EXECUTORS: usize = 4;
const FRAME: Duration = Duration::from_millis(67);

fn main() {
    let stop = Arc::new(AtomicBool::new(false));
    let executors: Vec<_> = (0..EXECUTORS).map(|_| busy(Arc::clone(&stop))).collect();

    let traffic = Traffic::Synthetic {
        arrival: "poisson".parse().expect("an arrival"),
        rate: loadgen::arrival::RatePlan::parse_rate(RATE).expect("a rate"),
        isl: "128".parse().expect("lengths"),
        osl: "1".parse().expect("lengths"),
    };
    let load = LoadSpec {
        duration: Some(Micros(SECONDS * 1_000_000)),
        slo: "ttft=1s".parse().ok(),
        ..LoadSpec::new("pacing", traffic)
    };
    let folder = tempfile::tempdir().expect("a folder");
    let record_to = Some(folder.path().join("pacing.jsonl.zst"));
    let handle = run::start(RunConfig { load, connection: null::connect(), record_to }).expect("a run");
    draw(&handle);
    let summary = handle.wait().expect("an end").summary;
    stop.store(true, Ordering::Relaxed);
    for executor in executors {
        executor.join().expect("a busy thread");
    }
    println!(
        "pacing at {RATE}/s for {SECONDS} s, {EXECUTORS} busy threads: sent {}, lag ms p50 {:?} p99 {:?} max {:?}, client CPU {:?} s, dropped {}",
        summary.requests.sent,
        summary.lag_ms.p50,
        summary.lag_ms.p99,
        summary.lag_ms.max,
        summary.client.cpu_s,
        summary.client.dropped,
    );
}

/// A thread that does nothing but compute, as a saturated unit does.
fn busy(stop: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        kernels::thread::run_in_background().expect("the background class");
        let mut state = 1_u64;
        while !stop.load(Ordering::Relaxed) {
            for _ in 0..100_000 {
                state = std::hint::black_box(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
            }
        }
    })
}

/// Draws until the run is over.
fn draw(handle: &run::RunHandle) {
    let area = Rect::new(0, 0, 200, 60);
    let theme = Theme::mono();
    loop {
        let snapshot = handle.snapshots.borrow().clone();
        let over = snapshot.phase == Phase::Done;
        let model = Model::new(snapshot, Offers::default());
        view(&model, &theme, area, &mut Buffer::empty(area));
        if over {
            return;
        }
        thread::sleep(FRAME);
    }
}
