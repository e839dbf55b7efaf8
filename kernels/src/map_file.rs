//! A file's bytes without reading them: weights are mapped, and pages come in as they are used.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use memmap2::Mmap;

use crate::KernelError;

/// A file mapped for reading.
///
/// The file must stay as it is while it is mapped. If another process shortens it, touching the lost pages ends this one
/// (`SIGBUS`); if another process writes it, the bytes seen here change. No lock can prevent either, which is why this is
/// for files that a program installs once and replaces by renaming, as model weights are, and not for logs.
#[derive(Debug)]
pub struct MappedFile {
    map: Mmap,
}

impl MappedFile {
    /// Maps the whole of `path`.
    ///
    /// # Errors
    /// When the file cannot be opened or mapped.
    pub fn open(path: &Path) -> Result<Self, KernelError> {
        let failed = |source| KernelError::Map { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // SAFETY: the bytes are only ever read as bytes, so that whatever they are is a value; that nobody changes the file
        // meanwhile is the condition that the type's documentation passes on, as every user of mapped files must.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Self { map })
    }
}

impl Deref for MappedFile {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_file_reads_as_the_file() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let mapped = MappedFile::open(&path).expect("the manifest");
        assert_eq!(&mapped[..], std::fs::read(&path).expect("the manifest"));
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = MappedFile::open(Path::new("no/such/file")).expect_err("it is missing");
        assert_eq!(error.to_string(), format!("cannot map {}", Path::new("no/such/file").display()));
    }
}
