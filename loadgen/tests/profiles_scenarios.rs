//! The shipped scenarios, and what is said of wrong ones.
#![expect(clippy::expect_used, reason = "a helper of a test may fail it")]

use std::fs;
use std::path::Path;

use loadgen::arrival::Arrival;
use loadgen::profile::{Kind, Library, Origin};
use loadgen::workload::Lengths;

const OWN: &str = r#"description = "mine"
cluster = "h200-llama70b"
workload = "chat"
slo = "smooth"
[load]
isl = "900"
[plan]
splits = ["all", "2P1D", "3A", "4P4D"]
attainment = 0.8
procedure = "burst:50"
rate = 2.5
"#;

fn write(folder: &Path, text: &str) -> String {
    let path = folder.join("mine.toml");
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn shipped_scenarios_hold_together() {
    let library = Library::new(Vec::new());
    let entries = library.list(Kind::Scenario).expect("a list");
    assert_eq!(entries.len(), 3);
    for entry in entries {
        let scenario = library.scenario(&entry.name).expect(&entry.name);
        assert_eq!(scenario.origin, Origin::Shipped);
        assert!(scenario.profile.splits.len() >= 2 && !scenario.profile.description.is_empty(), "{}", entry.name);
    }
    let published = library.scenario("mi325x-qwen3-235b-16k1k").expect("a scenario").profile;
    let splits: Vec<_> = published.splits.iter().map(ToString::to_string).collect();
    assert_eq!(splits, ["1P3D", "2P2D", "3P1D", "4A", "2P1D", "3A"]);
    assert_eq!((published.slo.to_string().as_str(), published.workload.arrival), ("tpot=25ms", Arrival::Constant));
    let other = library.scenario("mi325x-deepseek-v3-5k140").expect("a scenario").profile.workload;
    assert_eq!((other.isl, other.prefix_hit.shared_tokens(5_400)), (Lengths::Fixed(5_400), 1_620));
}

#[test]
fn what_is_said_in_place_goes_before_what_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = Library::new(Vec::new());
    let scenario = library.scenario(&write(folder.path(), OWN)).expect("a scenario").profile;
    let chat = library.workload("chat").expect("chat").profile;
    assert_eq!((scenario.workload.isl, scenario.workload.osl), (Lengths::Fixed(900), chat.osl));
    assert_eq!(scenario.slo, library.slo("smooth").expect("an SLO").profile.slo);
    let splits: Vec<_> = scenario.splits.iter().map(ToString::to_string).collect();
    assert_eq!(splits, ["1P7D", "2P6D", "3P5D", "4P4D", "5P3D", "6P2D", "7P1D", "8A", "2P1D", "3A"]);
    assert_eq!((scenario.rate, scenario.attainment), (Some(2.5), Some(0.8)));
    assert_eq!(scenario.procedure.map(|procedure| procedure.to_string()).as_deref(), Some("burst:50"));
    let bare = library.scenario(&write(folder.path(), &OWN.replace("slo = \"smooth\"\n", ""))).expect("a scenario");
    assert_eq!(Some(bare.profile.slo), chat.slo);
}

#[test]
fn a_wrong_scenario_is_refused_with_its_line_and_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let library = Library::new(Vec::new());
    let refusal = |text: &str| {
        let path = write(folder.path(), text);
        let message = library.scenario(&path).expect_err("refused").to_string();
        message.strip_prefix(&format!("scenario profile mine ({path}) ")).expect(&message).to_owned()
    };
    let replaced = |from: &str, to: &str| refusal(&OWN.replace(from, to));
    assert!(
        replaced("h200-llama70b", "nowhere").starts_with("line 2: `cluster`: no cluster profile is called `nowhere`")
    );
    assert!(replaced("\"chat\"", "\"chats\"").starts_with("line 3: `workload`: no workload profile is called `chats`"));
    assert!(replaced("\"smooth\"", "\"rough\"").starts_with("line 4: `slo`: no slo profile is called `rough`"));
    assert!(replaced("\"smooth\"", "\"tpot=25\"").starts_with("line 4: `slo`: `25` is not a duration"));
    assert_eq!(replaced("\"3A\"", "\"9A\""), "line 8: `plan.splits`: 9A has 9 units, cluster h200-llama70b has 8");
    assert!(replaced("\"2P1D\"", "\"2P0D\"").starts_with("line 8: `plan.splits`: "));
    assert_eq!(
        replaced("[\"all\", \"2P1D\", \"3A\", \"4P4D\"]", "[]"),
        "line 8: `plan.splits`: none; name some, or write [\"all\"]"
    );
    assert_eq!(replaced("0.8", "80"), "line 9: `plan.attainment` is 80, which is not above 0 and at most 1");
    assert!(replaced("burst:50", "burst").starts_with("line 10: `burst` is not a procedure"));
    assert!(replaced("rate = 2.5", "speed = 2").starts_with("line 11: unknown field `speed`"));
    assert!(replaced("\"900\"", "\"90000\"").starts_with("line 6: cluster h200-llama70b: isl 90000 is beyond"));
    assert_eq!(replaced("workload = \"chat\"\n", ""), "line 4: without a `workload`, `load.rate` has to be there");
    assert_eq!(
        library.scenario("mine").expect_err("unknown").to_string(),
        "no scenario profile is called `mine`; there are h200-llama70b-chat, mi325x-deepseek-v3-5k140, mi325x-qwen3-235b-16k1k"
    );
}
