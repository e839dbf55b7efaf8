//! Who is registered: the keys of Dynamo's discovery, which are the names of files or the keys of etcd.
//!
//! An instance of the endpoint `generate` is `v1/instances/NAMESPACE/COMPONENT/generate/ID`, with the component `prefill` or
//! `backend` and a hexadecimal number. As the name of a file everything behind `v1/instances/` is one name, with `/` and other
//! signs written as `%2F`. The name says it all, so that a file that is just being written is no trouble.

use std::io::ErrorKind;
use std::path::Path;

use engine::units::Role;

/// Most instances that are looked at.
const MOST: usize = 4096;

/// A registered worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Instance {
    pub(super) id: u64,
    pub(super) role: Role,
}

/// Reads `NAMESPACE/COMPONENT/generate/ID`; `None` of what is no worker of `namespace`.
pub(super) fn of_key(key: &str, namespace: &str) -> Option<Instance> {
    let mut parts = key.strip_prefix(namespace)?.strip_prefix('/')?.split('/');
    let role = match parts.next()? {
        "prefill" => Role::Prefill,
        "backend" => Role::Decode,
        _ => return None,
    };
    let (endpoint, id, more) = (parts.next()?, parts.next()?, parts.next());
    let id = u64::from_str_radix(id, 16).ok()?;
    (endpoint == "generate" && more.is_none()).then_some(Instance { id, role })
}

/// All workers of `namespace` below the folder of a file discovery, in order.
///
/// # Errors
/// One line: why the folder cannot be read.
pub(super) fn of_folder(folder: &Path, namespace: &str) -> Result<Vec<Instance>, String> {
    let unreadable = |error| format!("cannot read {}: {error}", folder.display());
    let entries = match std::fs::read_dir(folder.join("v1/instances")) {
        Ok(entries) => entries,
        // Nobody has registered yet, if there is the folder itself.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let hint = "hint: it is the folder that Dynamo has as DYN_FILE_KV";
            std::fs::metadata(folder).map_err(|error| format!("{}\n{hint}", unreadable(error)))?;
            return Ok(Vec::new());
        }
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        found.extend(name.to_str().and_then(plain).and_then(|key| of_key(&key, namespace)));
        if found.len() > MOST {
            return Err(format!("{} has more than {MOST} instances", folder.display()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A key out of the name of its file.
fn plain(name: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a mocker of Dynamo 1.6.1 has written them.
    const NAMES: [&str; 4] = [
        "dynamo%2Fbackend%2Fgenerate%2Fefd66ab9bc643726",
        "dynamo%2Fprefill%2Fgenerate%2Fac5edb22d99f0c33",
        "dynamo%2Fprefill%2Fworker%5Fkv%5Fquery%5Fsource%5F701eedc6879c3%2Fac5edb22d99f0c33",
        "other%2Fprefill%2Fgenerate%2F12",
    ];

    #[test]
    fn workers_are_told_by_the_names_of_their_files() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(of_folder(folder.path(), "dynamo"), Ok(Vec::new()), "nobody yet");
        let instances = folder.path().join("v1/instances");
        std::fs::create_dir_all(&instances).expect("a folder");
        for name in NAMES {
            std::fs::write(instances.join(name), "").expect("a file");
        }
        let prefill = Instance { id: 12_420_605_765_060_856_883, role: Role::Prefill };
        let decode = Instance { id: 17_282_117_966_043_035_430, role: Role::Decode };
        let found = of_folder(folder.path(), "dynamo").expect("workers");
        assert!(found.len() == 2 && found.contains(&prefill) && found.contains(&decode), "{found:?}");
        let gone = of_folder(&folder.path().join("no"), "dynamo").expect_err("no folder");
        assert!(gone.contains("hint: it is the folder that Dynamo has as DYN_FILE_KV"), "{gone}");
    }

    #[test]
    fn what_is_no_worker_is_passed_over() {
        for key in [
            "dynamo",
            "dynamo/backend",
            "dynamo/backend/generate/xyz",
            "dynamo/backend/generate/1/2",
            "dynamox/backend/generate/1",
        ] {
            assert_eq!(of_key(key, "dynamo"), None, "{key}");
        }
        assert_eq!([plain("a%2"), plain("a%zz"), plain("a%2Fb")], [None, None, Some("a/b".to_owned())]);
    }
}
