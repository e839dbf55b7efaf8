//! `pdtune report`: the figures of a recording.

use std::path::Path;

use loadgen::recording::{ReadError, Reader};
use loadgen::summary::{Accumulator, Summary};

use super::{Ending, print, tell};
use crate::cli::ReportOptions;

/// Sums a recording up and prints its figures, those of an incomplete one with a warning.
///
/// # Errors
/// When the file is not a recording, is damaged, or has a schema that this version does not know.
pub fn run(options: &ReportOptions) -> anyhow::Result<Ending> {
    let Report { summary, warnings } = read(&options.file)?;
    for warning in warnings {
        tell(&format!("warning: {}: {warning}", options.file.display()));
    }
    let text = if options.json {
        format!("{}\n", serde_json::to_string(&summary)?)
    } else {
        summary.text(std::fs::metadata(&options.file).ok().map(|file| file.len()))
    };
    print(&text)?;
    Ok(Ending::Fine)
}

/// A recording, summed up.
#[derive(Debug)]
struct Report {
    summary: Summary,
    /// What the reader should know about the file, one sentence each.
    warnings: Vec<String>,
}

fn read(file: &Path) -> Result<Report, ReadError> {
    let mut reader = Reader::open(file)?;
    let mut accumulator = Accumulator::new(reader.run());
    for record in reader.by_ref() {
        accumulator.record(&record?);
    }
    let mut warnings = Vec::new();
    if let Some(incomplete) = reader.incomplete() {
        warnings.push(incomplete.to_string());
    }
    if reader.unknown() > 0 {
        warnings.push(format!("{} records of kinds from a later version were skipped", reader.unknown()));
    }
    let summary = accumulator.finish(reader.end(), Some(file.display().to_string()));
    Ok(Report { summary, warnings })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use loadgen::live::Counts;
    use loadgen::recording::{ClientUse, EndRecord, Recorder, RunRecord};
    use loadgen::time::Micros;

    use super::*;

    /// A finished recording without requests, in a folder of its own.
    fn recording() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run.jsonl.zst");
        let recorder = Recorder::create(&path, &RunRecord::named("chat", "cpu"), || Micros::ZERO).expect("created");
        let at = Micros(10_000_000);
        let end = EndRecord {
            at,
            schedule_end: at,
            requests: Counts::default(),
            client: ClientUse::default(),
            aborted: None,
        };
        recorder.finish(&end).expect("finished");
        (folder, path)
    }

    #[test]
    fn a_finished_recording_is_reported_without_a_warning() {
        let (_folder, path) = recording();
        let report = read(&path).expect("a recording");
        assert_eq!(report.warnings, Vec::<String>::new());
        assert!(!report.summary.incomplete);
        assert_eq!(report.summary.recording, Some(path.display().to_string()));
    }

    #[test]
    fn a_torn_recording_is_reported_as_incomplete() {
        let (_folder, path) = recording();
        let bytes = fs::read(&path).expect("the file");
        fs::write(&path, &bytes[..bytes.len() - 1]).expect("written");
        let report = read(&path).expect("a prefix");
        assert!(report.summary.incomplete);
        assert!(report.warnings.iter().any(|warning| warning.starts_with("incomplete")), "{:?}", report.warnings);
    }

    #[test]
    fn what_is_not_a_recording_is_an_error_that_names_the_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notes.txt");
        fs::write(&path, "notes").expect("written");
        let error = read(&path).expect_err("not a recording").to_string();
        assert!(error.contains("notes.txt is not a recording"), "{error}");
        let missing = read(&folder.path().join("missing")).expect_err("no such file").to_string();
        assert!(missing.contains("cannot open") && missing.contains("missing"), "{missing}");
    }
}
