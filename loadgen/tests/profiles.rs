//! The shipped profiles, and a user's own before them.
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

use std::fs;
use std::path::Path;

use loadgen::profile::{Kind, Library, Origin};
use loadgen::schedule::{LoadSpec, Schedule};
use loadgen::time::Micros;
use loadgen::workload::Limits;

/// The least that the built-in model can serve.
const LIMITS: Limits = Limits { context_tokens: 4_096, kv_tokens: 8_192 };

fn shipped() -> Library {
    Library::new(Vec::new())
}

#[test]
fn every_shipped_workload_makes_a_schedule_that_fits_the_built_in_model() {
    for entry in shipped().list(Kind::Workload).expect("a list") {
        let loaded = shipped().workload(&entry.name).expect(&entry.name);
        let profile = loaded.profile;
        assert!(!profile.description.is_empty() && profile.slo.is_some(), "{}", entry.name);
        let spec = LoadSpec { duration: Some(Micros(300_000_000)), ..LoadSpec::new(loaded.name, profile.traffic()) };
        let requests: Vec<_> = Schedule::new(&spec, LIMITS).expect(&entry.name).collect();
        assert!(requests.len() > 30 && requests.iter().all(|r| !r.request.clamped), "{}", entry.name);
    }
}

#[test]
fn every_shipped_slo_bounds_something() {
    for entry in shipped().list(Kind::Slo).expect("a list") {
        let loaded = shipped().slo(&entry.name).expect(&entry.name);
        assert!(!loaded.profile.slo.to_string().is_empty() && !loaded.profile.description.is_empty());
    }
}

#[test]
fn every_profile_file_is_compiled_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles");
    for kind in Kind::ALL {
        let mut files: Vec<_> = fs::read_dir(folder.join(kind.to_string()))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
            .collect();
        files.sort();
        let names: Vec<_> = shipped().list(kind).expect("a list").into_iter().map(|entry| entry.name).collect();
        assert_eq!(files, names);
    }
}

const OWN: &str = "description = \"mine\"\nrate = \"3\"\nisl = \"10\"\nosl = \"5\"\n";

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    fs::create_dir_all(folder.join("workload")).expect("a folder");
    let path = folder.join("workload").join(name);
    fs::write(&path, text).expect("written");
    path
}

#[test]
fn a_users_own_profile_goes_before_a_shipped_one_and_the_first_folder_before_the_second() {
    let (first, second) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
    let chat = write(first.path(), "chat.toml", OWN);
    write(second.path(), "chat.toml", "never read");
    let extra = write(second.path(), "extra.toml", OWN);
    let library = Library::new(vec![first.path().to_owned(), second.path().to_owned()]);
    assert_eq!(library.workload("chat").expect("mine").origin, Origin::File(chat));
    assert_eq!(library.workload("extra").expect("mine").origin, Origin::File(extra.clone()));
    assert_eq!(library.workload("wave").expect("shipped").origin, Origin::Shipped);
    let by_path = shipped().workload(&extra.display().to_string()).expect("by path");
    assert_eq!((by_path.name.as_str(), by_path.profile.description.as_str()), ("extra", "mine"));
}

#[test]
fn a_wrong_profile_is_refused_with_its_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = Library::new(vec![folder.path().to_owned()]);
    let refusal = |text: &str| {
        let path = write(folder.path(), "wrong.toml", text);
        let message = library.workload("wrong").expect_err("refused").to_string();
        message.strip_prefix(&format!("workload profile wrong ({}) ", path.display())).expect(&message).to_owned()
    };
    assert_eq!(
        refusal(&format!("{OWN}rates = 4\n")),
        "line 5: unknown field `rates`, expected one of `description`, `arrival`, `rate`, `isl`, `osl`, `prefix_hit`, `slo`"
    );
    assert_eq!(
        refusal(&OWN.replace("\"10\"", "\"ten\"")),
        "line 3: `ten` is not a distribution of lengths: write 1000, uniform:A..B, normal:M,S or lognormal:MEDIAN,SIGMA, in tokens"
    );
    assert_eq!(refusal("description = \"mine\"\n"), "line 1: missing field `rate`");
    assert!(refusal("rate = \n").starts_with("line 1: "));
    assert_eq!(
        library.workload("chats").expect_err("unknown").to_string(),
        "no workload profile is called `chats`; there are azure-like, chat, long-answer, long-prompt, wave, wrong"
    );
    let missing = library.workload("no/such.toml").expect_err("missing").to_string();
    assert_eq!(missing, "cannot read profile no/such.toml");
}
