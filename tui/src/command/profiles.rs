//! `pdtune profiles`: what can be named with `--workload`, `--slo` and `--scenario`, and the GPUs, models and clusters that a
//! simulation can be of.

use std::fmt::Write;

use anyhow::bail;
use loadgen::profile::{Entry, Kind, Library, ProfileError};

use super::{Ending, print};
use crate::cli::{self, ProfilesOptions};

/// Lists, shows or checks profiles.
///
/// # Errors
/// When a profile asked for is missing or wrong, or stdout is closed.
pub fn run(options: &ProfilesOptions) -> anyhow::Result<Ending> {
    print(&text(options, &cli::library())?)?;
    Ok(Ending::Fine)
}

fn text(options: &ProfilesOptions, library: &Library) -> anyhow::Result<String> {
    Ok(match options {
        ProfilesOptions::List => list(library)?,
        ProfilesOptions::Show { kind, name } => library.text(*kind, name)?.profile,
        ProfilesOptions::Check { kind: Some(kind), name: Some(name) } => {
            describe(library, *kind, name)?;
            let more = if *kind == Kind::Cluster { room(library, name)? } else { String::new() };
            format!("{kind} {name}: fine\n{more}")
        }
        ProfilesOptions::Check { .. } => check_all(library)?,
    })
}

fn list(library: &Library) -> Result<String, ProfileError> {
    let mut rows = Vec::new();
    for entry in all(library)? {
        // A broken file of the user's is listed for what it is; `check` says more.
        let description = describe(library, entry.kind, &entry.name).unwrap_or_else(|error| error.to_string());
        rows.push([entry.kind.to_string(), entry.name, entry.origin.to_string(), description]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let (kinds, names, origins) = (width(0), width(1), width(2));
    let mut text = String::new();
    for [kind, name, origin, description] in &rows {
        let _ = writeln!(text, "{kind:kinds$}  {name:names$}  {origin:origins$}  {description}");
    }
    Ok(text)
}

fn check_all(library: &Library) -> anyhow::Result<String> {
    let (mut text, mut wrong) = (String::new(), Vec::new());
    for Entry { kind, name, origin } in all(library)? {
        match describe(library, kind, &name) {
            Ok(_) => {
                let _ = writeln!(text, "{kind} {name} ({origin}): fine");
            }
            Err(error) => wrong.push(error.to_string()),
        }
    }
    if !wrong.is_empty() {
        bail!("{}", wrong.join("\nerror: "));
    }
    Ok(text)
}

fn all(library: &Library) -> Result<Vec<Entry>, ProfileError> {
    let mut entries = Vec::new();
    for kind in Kind::ALL {
        entries.extend(library.list(kind)?);
    }
    Ok(entries)
}

/// Reads a profile whole and returns its description.
fn describe(library: &Library, kind: Kind, name: &str) -> Result<String, ProfileError> {
    Ok(match kind {
        Kind::Workload => library.workload(name)?.profile.description,
        Kind::Slo => library.slo(name)?.profile.description,
        Kind::Gpu => library.gpu(name)?.profile.0.description,
        Kind::Model => library.model(name)?.profile.0.description,
        Kind::Cluster => library.cluster(name)?.profile.description,
        Kind::Scenario => library.scenario(name)?.profile.description,
    })
}

/// What a cluster comes to: its units, and what their memory holds.
fn room(library: &Library, name: &str) -> Result<String, ProfileError> {
    let cluster = library.cluster(name)?.profile;
    let (deployment, config) = (&cluster.deployment, &cluster.config);
    let parts = deployment.parts();
    let price = cluster.price_per_unit_hour();
    let tokens = u64::from(config.blocks_per_unit) * u64::from(config.block_tokens);
    Ok(format!(
        "  {} units of {} {}; ${:.2} to ${:.2} an hour each\n  on each GPU {:.1} GB of weights and {:.1} GB for KV, of {:.0} GB\n  \
         KV of a unit: {} tokens in {} blocks; {:.1} GB are handed off for a prompt of {}\n",
        cluster.units,
        parts.parallel.gpus(),
        parts.gpu.name,
        price.low,
        price.high,
        deployment.weight_bytes_per_gpu() / 1e9,
        deployment.kv_bytes_per_gpu() / 1e9,
        parts.gpu.hbm_bytes / 1e9,
        tokens,
        config.blocks_per_unit,
        deployment.handoff_bytes(u64::from(config.max_context)) / 1e9,
        config.max_context,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Library {
        Library::new(Vec::new())
    }

    #[test]
    fn shipped_profiles_are_listed_and_fine() {
        insta::assert_snapshot!(text(&ProfilesOptions::List, &shipped()).expect("a list"));
        let checked = text(&ProfilesOptions::Check { kind: None, name: None }, &shipped()).expect("all fine");
        assert_eq!(checked.lines().count(), 32);
        assert!(checked.lines().all(|line| line.ends_with("(shipped): fine")), "{checked}");
    }

    #[test]
    fn a_shown_profile_is_the_file_with_its_comments() {
        let show = ProfilesOptions::Show { kind: Kind::Workload, name: "chat".to_owned() };
        assert_eq!(text(&show, &shipped()).expect("a text"), include_str!("../../../profiles/workload/chat.toml"));
    }

    #[test]
    fn a_checked_cluster_says_what_it_comes_to() {
        let check = |name: &str| {
            let options = ProfilesOptions::Check { kind: Some(Kind::Cluster), name: Some(name.to_owned()) };
            text(&options, &shipped()).expect("fine")
        };
        let clusters = ["cpu-built-in", "h200-llama70b", "mi325x-deepseek-v3", "mi325x-qwen3-235b"];
        insta::assert_snapshot!(clusters.map(check).concat());
    }

    #[test]
    fn every_wrong_profile_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        for (kind, name) in [("workload", "one"), ("slo", "two")] {
            std::fs::create_dir_all(folder.path().join(kind)).expect("a folder");
            std::fs::write(folder.path().join(kind).join(format!("{name}.toml")), "speed = 3\n").expect("written");
        }
        let library = Library::new(vec![folder.path().to_owned()]);
        let check = ProfilesOptions::Check { kind: None, name: None };
        let error = text(&check, &library).expect_err("wrong").to_string();
        assert_eq!(error.lines().count(), 2, "{error}");
        assert!(error.contains("workload profile one") && error.contains("slo profile two"), "{error}");
        let listed = text(&ProfilesOptions::List, &library).expect("listed all the same");
        assert_eq!(listed.lines().filter(|line| line.contains("unknown field `speed`")).count(), 2, "{listed}");
    }
}
