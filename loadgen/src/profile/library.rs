//! Finding and reading profiles.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use engine::perf::{Gpu, Model, PerfError};
use serde::de::DeserializeOwned;

use super::locate::line_of;
use super::{
    Cluster, ClusterProfile, GpuProfile, Kind, ModelProfile, Origin, ProfileError, SloProfile, WorkloadProfile, shipped,
};

/// Where profiles are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Library {
    /// Folders that hold a folder for each kind, those that go first first.
    folders: Vec<PathBuf>,
}

/// A profile with its name and origin.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded<T> {
    /// Its name: the file's without `.toml`.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What it says.
    pub profile: T,
}

/// A profile in a list, not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is of.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
}

impl Library {
    /// Looks in `folders`, those that go first first, then among the shipped ones.
    pub fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// The workload of that name, or in that file: a text with a folder or `.toml` in it is a file.
    ///
    /// # Errors
    /// When there is none, or it is not a workload.
    pub fn workload(&self, name_or_file: &str) -> Result<Loaded<WorkloadProfile>, ProfileError> {
        self.load(Kind::Workload, name_or_file)
    }

    /// The SLO of that name, or in that file.
    ///
    /// # Errors
    /// When there is none, or it is not an SLO.
    pub fn slo(&self, name_or_file: &str) -> Result<Loaded<SloProfile>, ProfileError> {
        self.load(Kind::Slo, name_or_file)
    }

    /// The GPU of that name, or in that file.
    ///
    /// # Errors
    /// When there is none, or it is not a GPU.
    pub fn gpu(&self, name_or_file: &str) -> Result<Loaded<(GpuProfile, Gpu)>, ProfileError> {
        self.load_checked(Kind::Gpu, name_or_file, |name, profile: GpuProfile| {
            let gpu = profile.gpu(name)?;
            Ok((profile, gpu))
        })
    }

    /// The model of that name, or in that file.
    ///
    /// # Errors
    /// When there is none, or it is not a model.
    pub fn model(&self, name_or_file: &str) -> Result<Loaded<(ModelProfile, Model)>, ProfileError> {
        self.load_checked(Kind::Model, name_or_file, |name, profile: ModelProfile| {
            let model = profile.model(name)?;
            Ok((profile, model))
        })
    }

    /// The cluster of that name, or in that file, with the GPU and the model that it names.
    ///
    /// # Errors
    /// When one of the three is missing or wrong, or they do not go together.
    pub fn cluster(&self, name_or_file: &str) -> Result<Loaded<Cluster>, ProfileError> {
        let Loaded { name, origin, profile: text } = self.text(Kind::Cluster, name_or_file)?;
        let invalid = |line, why| ProfileError::Invalid {
            kind: Kind::Cluster,
            name: name.clone(),
            origin: origin.clone(),
            line,
            why,
        };
        let profile: ClusterProfile = read(&text).map_err(|(line, why)| invalid(line, why))?;
        // A GPU or a model that is not there is this file's mistake; one that is wrong is its own file's.
        let named = |key: &str, error: ProfileError| match error {
            ProfileError::Unknown { .. } => invalid(line_of(&text, key), error.to_string()),
            other => other,
        };
        let gpu = self.gpu(&profile.gpu).map_err(|error| named("gpu", error))?.profile.1;
        let model = self.model(&profile.model).map_err(|error| named("model", error))?.profile.1;
        let cluster = profile.cluster(gpu, model);
        let cluster = cluster.map_err(|error| invalid(line_of(&text, error.key()), error.to_string()))?;
        Ok(Loaded { name, origin, profile: cluster })
    }

    /// What the cluster profile of that name, or in that file, says; for whoever writes another one from it.
    ///
    /// # Errors
    /// When there is none, or it is not a cluster.
    pub fn cluster_profile(&self, name_or_file: &str) -> Result<Loaded<ClusterProfile>, ProfileError> {
        self.load(Kind::Cluster, name_or_file)
    }

    /// The text of a profile as it stands, with its comments.
    ///
    /// # Errors
    /// When there is none, or its file cannot be read.
    pub fn text(&self, kind: Kind, name_or_file: &str) -> Result<Loaded<String>, ProfileError> {
        let as_path = Path::new(name_or_file);
        let is_file = as_path.extension().is_some_and(|e| e == "toml") || name_or_file.contains(['/', '\\']);
        let entry = if is_file {
            let name = as_path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
            Entry { kind, name, origin: Origin::File(as_path.to_owned()) }
        } else {
            let mut entries = self.list(kind)?;
            let Some(found) = entries.iter().position(|entry| entry.name == name_or_file) else {
                let known: Vec<_> = entries.iter().map(|entry| entry.name.as_str()).collect();
                return Err(ProfileError::Unknown { kind, name: name_or_file.to_owned(), known: known.join(", ") });
            };
            entries.swap_remove(found)
        };
        let text = match &entry.origin {
            Origin::File(path) => {
                fs::read_to_string(path).map_err(|source| ProfileError::Io { path: path.clone(), source })?
            }
            Origin::Shipped => {
                let text = shipped::of(kind).iter().find(|(name, _)| *name == entry.name).map_or("", |(_, text)| *text);
                text.to_owned()
            }
        };
        Ok(Loaded { name: entry.name, origin: entry.origin, profile: text })
    }

    /// The profiles of a kind that a name can mean, in the order of their names.
    ///
    /// # Errors
    /// When a folder is there but cannot be read.
    pub fn list(&self, kind: Kind) -> Result<Vec<Entry>, ProfileError> {
        let shipped = shipped::of(kind).iter().map(|(name, _)| ((*name).to_owned(), Origin::Shipped));
        let mut origins: BTreeMap<String, Origin> = shipped.collect();
        // From the last folder to the first, so that what goes first replaces what goes after.
        for folder in self.folders.iter().rev() {
            for path in toml_files(&folder.join(kind.to_string()))? {
                if let Some(name) = path.file_stem() {
                    origins.insert(name.to_string_lossy().into_owned(), Origin::File(path));
                }
            }
        }
        Ok(origins.into_iter().map(|(name, origin)| Entry { kind, name, origin }).collect())
    }

    fn load<T: DeserializeOwned>(&self, kind: Kind, name_or_file: &str) -> Result<Loaded<T>, ProfileError> {
        self.load_checked(kind, name_or_file, |_, profile| Ok(profile))
    }

    /// A profile and what `make` makes of its name and text, with the line of the key at which that fails.
    fn load_checked<P: DeserializeOwned, T>(
        &self,
        kind: Kind,
        name_or_file: &str,
        make: impl FnOnce(&str, P) -> Result<T, PerfError>,
    ) -> Result<Loaded<T>, ProfileError> {
        let Loaded { name, origin, profile: text } = self.text(kind, name_or_file)?;
        let located = |error: PerfError| (line_of(&text, error.key()), error.to_string());
        match read(&text).and_then(|profile| make(&name, profile).map_err(located)) {
            Ok(profile) => Ok(Loaded { name, origin, profile }),
            Err((line, why)) => Err(ProfileError::Invalid { kind, name, origin, line, why }),
        }
    }
}

/// The profile that a text is, or the line, from 1, at which it is none, and why.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, (usize, String)> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        (before.matches('\n').count() + 1, error.message().replace('\n', ", "))
    })
}

/// The `*.toml` in a folder; none when there is no such folder.
fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, ProfileError> {
    let io = |source| ProfileError::Io { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(io)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(files)
}
