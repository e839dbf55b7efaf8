//! A run is steered, recorded and viewed: what the screen shows of the recording are the figures of its report.

use std::path::Path;
use std::process::Command;

use loadgen::time::Micros;
use serde_json::Value;
use tui::format;

use crate::terminal::Terminal;

/// Wide enough for every percentile.
const SIZE: (u16, u16) = (140, 34);

fn pdtune(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pdtune")).args(arguments).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// The line that starts with `start`.
fn line<'a>(text: &'a str, start: &str) -> &'a str {
    text.lines().find(|line| line.trim_start().starts_with(start)).unwrap_or("")
}

/// The recording of a run whose rate was raised and whose split was shifted.
fn record(path: &str) {
    let load =
        "live --target cpu --split 2P2D --rate 6 --isl 24 --osl 8 --duration 600s --slo ttft=600s,tpot=60s --out";
    let arguments: Vec<&str> = load.split(' ').chain([path]).collect();
    let mut terminal = Terminal::start(&arguments, &[], SIZE);
    let headline = |text: &str| line(text, "GOODPUT").to_owned();
    terminal.wait("the first answers", |text| headline(text).contains("req/s"));
    terminal.press("+");
    terminal.wait("the new rate", |text| headline(text).contains("rate 8/s"));
    // Whole seconds between the changes, so that each has one of its own.
    let past = |seconds: u64| move |text: &str| (0..seconds).all(|s| !text.contains(&format!(" 00:{s:02}/10:00")));
    terminal.wait("some seconds", past(3));
    terminal.press("s\x1b[A\x1b[A\x1b[A\x1b[A");
    terminal.wait("the move is selected", |text| text.contains("▸ one prefill → decode"));
    terminal.press("y");
    terminal.wait("the shift is over", |text| text.contains("nothing lost"));
    terminal.wait("some seconds more", past(7));
    terminal.press("qf");
    let end = terminal.wait_for_end();
    assert_eq!(end.code, 0, "{}", end.text);
}

/// `p50 18.9  p95 23.6  p99 25.1` as the title of a chart says it.
fn percentiles(report: &Value, latency: &str) -> String {
    let figure = |name: &str| {
        let ms = report[latency][name].as_f64().expect("a percentile");
        format!("{name} {}", format::millis(Micros::from_secs_f64(ms / 1e3)))
    };
    ["p50", "p95", "p99"].map(figure).join("  ")
}

#[test]
fn a_recording_shows_the_figures_of_its_report_and_the_shift_as_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("run.jsonl.zst").display().to_string();
    record(&path);
    let (code, stdout, _) = pdtune(&["report", &path, "--json"]);
    assert_eq!(code, Some(0));
    let report: Value = serde_json::from_str(&stdout).expect("JSON");
    let figure = |key: &str| report[key].as_f64().expect("a figure");

    let mut terminal = Terminal::start(&["view", &path], &[], SIZE);
    let whole = [
        format!("GOODPUT {} req/s", format::number(figure("goodput_rps"))),
        format!("attain {}%", format::percent(figure("attainment"))),
        format!("offered {}", format::number(figure("offered_rps"))),
        format!("err {}", report["requests"]["failed"].as_u64().expect("a count")),
    ];
    let chart = |text: &str, name: &str, latency: &str| {
        text.lines().any(|line| line.contains(name) && line.contains(&percentiles(&report, latency)))
    };
    terminal.wait("the figures of the whole run", |text| {
        let headline = line(text, "GOODPUT");
        text.contains("run.jsonl.zst  complete ✓")
            && text.contains("WHOLE RUN")
            && whole.iter().all(|figure| headline.contains(figure))
            && chart(text, "TTFT ms", "ttft_ms")
            && chart(text, "TPOT ms", "tpot_ms")
            && headline.trim_end().ends_with("1P3D")
    });

    // From the end back: the end of the shift, its start, the rate.
    let (at_s, total_ms) =
        (report["shifts"][0]["at_s"].as_f64().expect("a shift"), report["shifts"][0]["total_ms"].as_f64());
    let began = Micros::from_secs_f64(at_s);
    let ended = began + Micros::from_secs_f64(total_ms.expect("it ended") / 1e3);
    // The cursor shows the second in which it stands as it was at its end.
    let second = |at: Micros| format!(" AT {} ", format::clock(Micros((at.0 / 1_000_000 + 1) * 1_000_000)));
    terminal.press("[");
    terminal.wait("the end of the shift", |text| text.contains(&second(ended)) && text.contains("nothing lost"));
    let same_second = began.0 / 1_000_000 == ended.0 / 1_000_000;
    if !same_second {
        terminal.press("[");
    }
    terminal.wait("the start of the shift", |text| {
        text.contains(&second(began)) && text.lines().any(|line| line.contains('▸') && line.contains("2P2D → 1P3D"))
    });
    terminal.press("[");
    terminal.wait("the rate", |text| {
        line(text, "GOODPUT").contains("rate 8/s") && line(text, "GOODPUT").trim_end().ends_with("2P2D")
    });

    terminal.press("0 ");
    terminal.wait("it plays", |text| text.contains("▶ PLAY 1×") && !text.contains(" AT 00:01 "));
    terminal.press(" p");
    terminal.wait("what needs a run is refused", |text| text.contains("pause or resume: this is a recording"));
    terminal.press("\x1b[F");
    terminal.wait("the whole run again", |text| text.contains("WHOLE RUN"));
    terminal.press("q");
    let end = terminal.wait_for_end();
    assert_eq!(end.code, 0, "{}", end.text);
    end.assert_restored();
}

#[test]
fn what_cannot_be_shown_is_refused_with_its_name_and_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.display().to_string()
    };
    let refusal = |path: &str| {
        let (code, stdout, stderr) = pdtune(&["view", path]);
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{stderr}");
        stderr
    };
    let missing = folder.path().join("missing").display().to_string();
    assert!(refusal(&missing).starts_with(&format!("error: cannot open {missing}")));
    let empty = file("empty", b"");
    assert!(refusal(&empty).starts_with(&format!("error: {empty} is not a recording")));
    let foreign = file("notes.txt", b"notes");
    assert!(refusal(&foreign).starts_with(&format!("error: {foreign} is not a recording")));

    let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../loadgen/tests/data/schema-1.jsonl.zst");
    let bytes = std::fs::read(whole).expect("a recording");
    let fine = file("run.jsonl.zst", &bytes);
    let said = refusal(&fine);
    assert!(said.contains("shown on a terminal, and this is none\nhint: `pdtune report "), "{said}");
    let twice = file("twice.jsonl.zst", &[bytes.as_slice(), bytes.as_slice()].concat());
    let said = refusal(&twice);
    assert!(said.contains("twice.jsonl.zst, record ") && said.contains("stands after the end record"), "{said}");
}
