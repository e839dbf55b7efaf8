//! Keys: never words of a command line, which others on the machine can read, but values of variables.

use std::env::VarError;

/// The variable that has a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct KeyEnv<'a> {
    /// The option that names it.
    pub(super) option: &'static str,
    /// Its name.
    pub(super) name: &'a str,
}

impl<'a> KeyEnv<'a> {
    /// The one that an option names.
    pub(super) fn of(option: &'static str, name: Option<&'a String>) -> Option<Self> {
        name.map(|name| Self { option, name })
    }

    /// Makes a key of it.
    ///
    /// # Errors
    /// When there is no such variable, or its value is no key.
    pub(super) fn read<K>(self, make: impl FnOnce(String) -> Option<K>) -> anyhow::Result<K> {
        self.read_as("is empty, or has characters other than printable ASCII without spaces", make)
    }

    /// The same of a key that has a form of its own; `wrong` says what one that has another one is.
    ///
    /// # Errors
    /// When there is no such variable, or its value is no such key.
    pub(super) fn read_as<K>(self, wrong: &str, make: impl FnOnce(String) -> Option<K>) -> anyhow::Result<K> {
        let Self { option, name } = self;
        let value = std::env::var(name).map_err(|error| match error {
            VarError::NotPresent => anyhow::anyhow!("{option}: {name}: {error}"),
            // The error's own text repeats the value.
            VarError::NotUnicode(_) => anyhow::anyhow!("{option}: {name} is not UTF-8"),
        })?;
        make(value).ok_or_else(|| anyhow::anyhow!("{option}: {name} {wrong}"))
    }
}
