//! `pdtune calibrate`: probes a target, fits a cluster profile, writes it and tells what it is worth.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{IsTerminal, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use engine::units::Split;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use loadgen::calibrate::{Calibration, Calibrator, ConstantRow, Errors, Probe, ProbeRow};
use loadgen::clock::unix_micros;
use loadgen::profile::ClusterProfile;
use loadgen::target::{Connection, sim};

use super::{Ending, print, ready, tell};
use crate::cli::{CalibrateOptions, TargetSpec};

/// Probes, fits, writes and tells.
///
/// # Errors
/// When the target cannot be opened or is lost, too little was learnt, or the file cannot be written. Then there is none.
pub fn run(options: &CalibrateOptions) -> anyhow::Result<Ending> {
    let (out, beside) = (&options.out, partial(&options.out));
    // Minutes of probing are for nothing where nothing can be written.
    File::create(&beside).with_context(|| format!("--out {}: cannot write {}", out.display(), beside.display()))?;
    let found = calibrate(options).inspect_err(|_| {
        // It is empty; where it cannot be removed nothing is lost either.
        let _ = std::fs::remove_file(&beside);
    });
    let (found, profile) = found?;
    let comment = format!(
        "Made by `pdtune calibrate` from {}, starting from the profile {}.\nProbes kept from the fit were predicted with a median \
         error of {}.",
        found.target,
        found.cluster,
        share(found.held_out.median)
    );
    write_new(out, &profile.to_toml(&comment), &profile)?;
    if options.json {
        let mut object = serde_json::to_value(&found)?;
        object["out"] = out.to_string_lossy().into();
        print(&format!("{object}\n"))?;
    } else {
        print(&text(&found, out))?;
    }
    Ok(Ending::Fine)
}

/// Probes and fits.
fn calibrate(options: &CalibrateOptions) -> anyhow::Result<(Calibration, ClusterProfile)> {
    let bar = progress();
    let mut told = |number: usize, all: usize, probe: Probe| {
        bar.set_length(all as u64);
        bar.set_position(number as u64 - 1);
        bar.set_message(probe.to_string());
        if bar.is_hidden() {
            tell(&format!("probe {number} of {all}: {probe}"));
        }
    };
    // Texts that no server has seen before, whoever calibrated it last.
    let calibrator = |start| Calibrator::new(start, options.budget, unix_micros());
    let exact = matches!(options.target, TargetSpec::Sim(_));
    if options.splits.is_empty() {
        let _guard = ready::Guard::of(&options.target)?;
        let connection = ready::open(options.target.clone(), options.ready)?;
        let split = served_split(&connection, options)?;
        // The profile is of what is there.
        let mut start = options.start.clone();
        start.profile = start.profile.with_units(split.units());
        let mut calibrator = calibrator(start);
        calibrator.probe(connection, split, exact, &mut told)?;
        bar.finish_and_clear();
        return Ok(calibrator.finish()?);
    }
    let mut calibrator = calibrator(options.start.clone());
    for &split in &options.splits {
        calibrator.probe(open(&options.target, split)?, split, exact, &mut told)?;
    }
    bar.finish_and_clear();
    Ok(calibrator.finish()?)
}

fn open(target: &TargetSpec, split: Split) -> anyhow::Result<Connection> {
    match target.clone() {
        TargetSpec::Sim(target) => Ok(sim::open_jumping(&sim::SimTarget { split: Some(split), ..*target })?),
        TargetSpec::Embedded(engine) => {
            TargetSpec::Embedded(crate::cli::EngineSpec { split: Some(split), ..engine }).open()
        }
        other => other.open(),
    }
}

/// The split of a server; one that does not tell is taken for a single unit where the profile has no more.
fn served_split(connection: &Connection, options: &CalibrateOptions) -> anyhow::Result<Split> {
    let cluster = &options.start.cluster;
    match connection.info.split {
        Some(split) => Ok(split),
        None if cluster.profile.units == 1 => Ok(Split { prefill: 0, decode: 0, aggregated: 1 }),
        None => bail!(
            "{} does not tell how many units it has, and cluster {} has {}\nhint: --split says how many; or \
             --cluster with one unit for a server that is one, or --control",
            connection.info.name,
            cluster.name,
            cluster.profile.units
        ),
    }
}

/// The file that is written first, so that one with the name asked for is whole.
fn partial(out: &Path) -> PathBuf {
    let mut beside = out.as_os_str().to_owned();
    beside.push(".partial");
    beside.into()
}

/// Writes `text` beside `out` and then calls it so, replacing nothing. Where that fails, what is beside it stays.
fn write_new(out: &Path, text: &str, profile: &ClusterProfile) -> anyhow::Result<()> {
    let beside = partial(out);
    let whole =
        File::create(&beside).and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    whole.with_context(|| format!("cannot write {}", beside.display()))?;
    read_back(&beside, profile)?;
    // Unlike a rename neither replaces what has come to be there since; not every file system has links.
    let named = std::fs::hard_link(&beside, out).or_else(|_| File::create_new(out)?.write_all(text.as_bytes()));
    named.with_context(|| format!("cannot write {}: the profile is in {}", out.display(), beside.display()))?;
    std::fs::remove_file(&beside).with_context(|| format!("cannot remove {}", beside.display()))
}

/// What was written is what was found, and means a cluster: whoever plans with it shall not be the first to see.
fn read_back(written: &Path, profile: &ClusterProfile) -> anyhow::Result<()> {
    let library = crate::cli::library();
    // A path, whatever its ending.
    let path = std::path::absolute(written).with_context(|| format!("cannot find {}", written.display()))?;
    let path = path.to_string_lossy();
    let wrong = || format!("the profile that was found cannot be used; it is in {}", written.display());
    library.cluster(&path).with_context(wrong)?;
    let found = library.cluster_profile(&path).with_context(wrong)?.profile;
    anyhow::ensure!(found == *profile, "{}: reading it gives something else", wrong());
    Ok(())
}

fn progress() -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    match ProgressStyle::with_template("probing {bar:30} {pos} of {len}, {elapsed}: {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn share(of: Option<f64>) -> String {
    of.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn text(found: &Calibration, out: &Path) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{} in {}: {} on {}, starting from {}",
        found.target,
        found.splits.join(" and "),
        found.model,
        found.gpu,
        found.cluster
    );
    let _ = writeln!(text);
    let constants = found.constants.iter().map(constant_row).collect::<Vec<_>>();
    table(&mut text, ["constant", "value", "prior", ""], &constants);
    let _ = writeln!(text);
    let probes = found.probes.iter().map(probe_row).collect::<Vec<_>>();
    table(&mut text, ["probe", "measured", "predicted", "error"], &probes);
    let _ = writeln!(text);
    for (errors, what) in [(&found.fitted, "fitted"), (&found.held_out, "held out, predicted by the fit")] {
        let Errors { n, median, max } = *errors;
        let _ = writeln!(text, "{n} {what}: error {} at the median, {} at most", share(median), share(max));
    }
    for skipped in &found.skipped {
        let _ = writeln!(text, "left out: {}: {}", skipped.probe, skipped.why);
    }
    let plain = out.to_string_lossy();
    let name = if plain.contains(['/', '\\']) { plain.into_owned() } else { format!("./{plain}") };
    let _ = writeln!(text, "written to {name}: try `pdtune plan --cluster {name}` or `pdtune --target sim:{name}`");
    text
}

fn constant_row(row: &ConstantRow) -> [String; 4] {
    let pair = |value: f64, spread: f64| format!("{} ± {}", digits(value), digits(spread));
    [
        row.constant.clone(),
        pair(row.value, row.spread),
        pair(row.prior_value, row.prior_spread),
        if row.identified { String::new() } else { "not identified".to_owned() },
    ]
}

fn probe_row(row: &ProbeRow) -> [String; 4] {
    let held_out = if row.held_out { " (held out)" } else { "" };
    [
        format!("{}: {}{held_out}", row.probe, row.measure.name()),
        format!("{} ms", digits(row.measured_ms)),
        format!("{} ms", digits(row.predicted_ms)),
        format!("{:+.1} %", row.error * 100.0),
    ]
}

/// Three digits that matter.
fn digits(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else if size >= 0.1 {
        format!("{value:.3}")
    } else {
        format!("{value:.4}")
    }
}

/// The first column to the left, the next two to the right.
fn table(text: &mut String, header: [&str; 4], rows: &[[String; 4]]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(header[column].len())
    };
    let widths = [0, 1, 2, 3].map(width);
    let mut line = |cells: [&str; 4]| {
        let line = format!("{:3$}  {:>4$}  {:>5$}", cells[0], cells[1], cells[2], widths[0], widths[1], widths[2]);
        let _ = writeln!(text, "{}", format!("{line}  {:>1$}", cells[3], widths[3]).trim_end());
    };
    line(header);
    for row in rows {
        line([&row[0], &row[1], &row[2], &row[3]]);
    }
}
