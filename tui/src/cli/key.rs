//! Keys: never words of a command line, which others on the machine can read, but values of variables.

/// Makes a key of the variable that `--api-key-env` names.
///
/// # Errors
/// When there is no such variable, or its value is no key.
pub(super) fn read<K>(name: &str, make: impl FnOnce(String) -> Option<K>) -> anyhow::Result<K> {
    let value = std::env::var(name).map_err(|error| anyhow::anyhow!("--api-key-env: {name}: {error}"))?;
    make(value).ok_or_else(|| {
        anyhow::anyhow!("--api-key-env: {name} is empty, or has characters other than printable ASCII without spaces")
    })
}
