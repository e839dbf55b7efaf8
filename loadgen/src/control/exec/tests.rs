//! Commands that are small scripts, run for real.

use engine::cluster::How;

use super::*;

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

/// A command that answers by a script, which finds the words of the call in `$@`.
fn scripted(folder: &tempfile::TempDir, script: &str) -> Exec {
    let path = folder.path().join("plane.sh");
    std::fs::write(&path, script).expect("a script");
    // Run by the shell, not executed itself: a file that was just written may still be open elsewhere.
    Exec::new(format!("exec:sh {}", path.display()).parse().expect("a command"))
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

const OBSERVE: &str = r#"
[ "$1" = observe ] && { echo '{"units": [{"name": "a", "role": "prefill", "state": "serving"},
    {"name": "b", "role": "decode", "state": "serving"}, {"name": "c", "role": "decode", "state": "starting"}]}'; exit 0; }
"#;

#[test]
fn a_command_is_asked_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let told = folder.path().join("told");
    let mut exec = scripted(&folder, &format!("{OBSERVE}\necho \"$@\" > {}", told.display()));
    let seen = block_on(exec.observe()).expect("units");
    assert_eq!(
        (seen.serving(), seen.account().as_str()),
        (split("1P1D"), "prefill 1 serving; decode 1 serving, 1 starting (c)")
    );
    let plan = exec.propose(split("2A"), How::Migrate).expect("a plan");
    assert_eq!(plan.steps[0].forth.says, "sh shift 1P1D 2A migrate");
    assert_eq!(plan.steps[0].forth.goal, Goal::All(split("2A")));
    block_on(exec.apply(&plan.steps[0].forth.call)).expect("taken");
    assert_eq!(std::fs::read_to_string(&told).expect("told"), "shift 1P1D 2A migrate\n");
    let back = plan.steps[0].back.clone().expect("a way back");
    block_on(exec.apply(&back.call)).expect("taken");
    assert_eq!(std::fs::read_to_string(&told).expect("told"), "shift 2A 1P1D migrate\n");
}

#[test]
fn a_refusal_is_told_from_what_nobody_knows() {
    let folder = tempfile::tempdir().expect("a folder");
    let call = Shift { from: split("1P1D"), to: split("2A"), how: How::Drain };
    let apply = |script: &str| block_on(scripted(&folder, script).apply(&call)).expect_err("not taken");
    assert_eq!(
        apply("echo starting >&2; echo 'no quota left' >&2; exit 2"),
        CallError::Refused("sh shift ended with exit code 2: no quota left".to_owned())
    );
    assert_eq!(apply("exit 1"), CallError::Unclear("sh shift ended with exit code 1".to_owned()));
    assert_eq!(apply("kill -9 $$"), CallError::Unclear("sh shift ended with a signal".to_owned()));
    let flood = apply("exec head -c 3000000 /dev/zero");
    assert_eq!(flood, CallError::Unclear("sh shift said more than 1 MB".to_owned()));
    let gone = Exec::new("exec:/no/such/program".parse().expect("a command"));
    let CallError::Refused(why) = block_on({ gone }.apply(&call)).expect_err("not there") else {
        panic!("nothing was run")
    };
    assert!(why.starts_with("/no/such/program shift cannot be run: "), "{why}");
}

#[test]
fn what_a_command_leaves_running_is_not_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let call = Shift { from: split("1P1D"), to: split("2A"), how: How::Drain };
    // It holds both streams open until it is told to end, and ends by itself after a minute.
    let (going, over) = (folder.path().join("going"), folder.path().join("over"));
    let script = format!(
        "( : > {0}; n=0; while [ ! -e {1} ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n + 1)); done ) &\necho begun >&2",
        going.display(),
        over.display()
    );
    let taken = block_on(scripted(&folder, &script).apply(&call));
    let refused = block_on(scripted(&folder, &format!("{script}\nexit 2")).apply(&call));
    std::fs::write(&over, "").expect("a file");
    assert_eq!(taken, Ok(()));
    assert_eq!(refused, Err(CallError::Refused("sh shift ended with exit code 2: begun".to_owned())));
}

#[test]
fn an_answer_that_is_not_as_agreed_is_no_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    for (said, why) in [
        ("hello", "expected value"),
        (r#"{"unit": []}"#, "unknown field `unit`"),
        (r#"{"units": [{"name": "a", "role": "boss", "state": "serving"}]}"#, "unknown variant `boss`"),
        (r#"{"units": [], "wanted": "3P"}"#, "wanted: split 3P0D has no unit that can decode"),
        (
            r#"{"units": [{"name": "a", "role": "decode", "state": "serving"}, {"name": "a", "role": "decode", "state": "serving"}]}"#,
            "two units are called a",
        ),
    ] {
        let error = block_on(scripted(&folder, &format!("echo '{said}'")).observe()).expect_err(said);
        assert!(!error.may_pass(), "{error:?}");
        let error = error.to_string();
        assert!(error.starts_with("sh observe did not answer as agreed: ") && error.contains(why), "{error}");
    }
    let failed = Err(Unseen::NotYet("sh observe ended with exit code 3".to_owned()));
    assert_eq!(block_on(scripted(&folder, "exit 3").observe()), failed);
    let none: ExecCommand = "exec:/no/such/program".parse().expect("a command");
    let unseen = block_on(Exec::new(none).observe()).expect_err("nothing runs");
    assert!(
        matches!(&unseen, Unseen::Never(why) if why.starts_with("/no/such/program observe cannot be run: ")),
        "{unseen:?}"
    );
}

#[test]
fn a_command_is_shown_without_its_arguments() {
    let command: ExecCommand = "exec:./plane.sh --token hunter2".parse().expect("a command");
    assert_eq!(command.to_string(), "exec:./plane.sh");
    assert!("exec: ".parse::<ExecCommand>().is_err());
}
