//! Workers that are small scripts: they register by a file and end as workers do.

use engine::cluster::How;

use super::*;
use crate::control::conductor;
use crate::control::listener::Listener;
use crate::control::plane::{Goal, MemberState, Whose};
use crate::target::{Control, TargetEvent};
use crate::time::Micros;

fn split(text: &str) -> Split {
    text.parse().expect("a split")
}

/// A worker that registers under its role and number; asked to end, it takes its registration away first.
const WORKER: &str = r#"
dir=$1 role=$2 n=$3
[ "$role" = decode ] && component=backend || component=prefill
mkdir -p "$dir/v1/instances"
file="$dir/v1/instances/dynamo%2F$component%2Fgenerate%2F$(printf %x "$n")"
trap 'rm -f "$file"; exit 0' TERM
echo "loading" >&2
: > "$file"
while :; do sleep 0.02; done
"#;

/// One that dies.
const BROKEN: &str = "echo 'a first line' >&2; echo 'no GPU has room' >&2; exit 3";

/// Nothing here takes longer, unless it hangs.
const BOUND: Duration = Duration::from_mins(1);

struct Rig {
    folder: tempfile::TempDir,
    dynamo: DynamoFile,
}

impl Rig {
    fn new(script: &str, first: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("worker.sh");
        std::fs::write(&path, script).expect("a script");
        let kv = folder.path().join("kv");
        std::fs::create_dir(&kv).expect("a folder");
        let command = format!("sh {} {} {{role}} {{n}}", path.display(), kv.display());
        let dynamo = DynamoFile::new(DynamoWorkers {
            folder: format!("{PREFIX}{}", kv.display()).parse().expect("a folder"),
            namespace: NAMESPACE.to_owned(),
            command: Some(command.parse().expect("a command")),
            split: first.map(split),
            patience: Duration::from_secs(30),
        });
        Self { folder, dynamo }
    }

    /// Registers a worker that is not ours.
    fn foreign(&self, component: &str, id: u32) {
        let folder = self.folder.path().join("kv/v1/instances");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(format!("dynamo%2F{component}%2Fgenerate%2F{id:x}")), "").expect("a file");
    }

    /// Makes a call and looks until what it is for has come true.
    async fn follow(&mut self, call: &SetUnits, goal: &Goal) -> Vec<String> {
        self.dynamo.apply(call).await.expect("taken");
        let mut seen = Vec::new();
        self.look_until(|topology| {
            if seen.last() != Some(&topology.account()) {
                seen.push(topology.account());
            }
            goal.is_met(topology)
        })
        .await;
        seen
    }

    /// Looks until what is seen is as it should be, and returns that.
    async fn look_until(&mut self, mut is_so: impl FnMut(&Topology) -> bool) -> Topology {
        let mut last = String::new();
        let looks = async {
            loop {
                let topology = self.dynamo.observe().await.expect("seen");
                if is_so(&topology) {
                    return topology;
                }
                last = topology.account();
                sleep(Duration::from_millis(5)).await;
            }
        };
        let seen = timeout(BOUND, looks).await;
        seen.unwrap_or_else(|_| panic!("not so after {BOUND:?}: {last}"))
    }
}

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}

#[test]
fn workers_are_started_moved_one_by_one_and_ended() {
    let mut rig = Rig::new(WORKER, Some("2P2D"));
    block_on(async {
        rig.dynamo.ready().await.expect("they come up");
        assert!(rig.dynamo.observe().await.expect("seen").is(split("2P2D")));
        let plan = rig.dynamo.propose(split("1P3D"), How::Drain).expect("a plan");
        let says: Vec<_> = plan.steps.iter().map(|step| step.forth.says.as_str()).collect();
        assert_eq!(says, ["SIGTERM to prefill-2, which ends what it holds", "start a decode worker: sh"]);
        for step in &plan.steps {
            rig.follow(&step.forth.call, &step.forth.goal).await;
        }
        let topology = rig.dynamo.observe().await.expect("seen");
        assert!(topology.is(split("1P3D")), "{}", topology.account());
        assert_eq!(topology.called["5"], "decode-5");
        rig.dynamo.close().await;
        let topology = rig.dynamo.observe().await.expect("seen");
        assert_eq!(topology.members, []);
    });
}

#[test]
fn a_worker_that_dies_at_its_start_is_told_with_its_last_words() {
    let mut rig = Rig::new(BROKEN, Some("1P1D"));
    let why = block_on(rig.dynamo.ready()).expect_err("they die");
    // Whichever died first is the one that is told of.
    let (name, how) = why.split_once(' ').expect("words");
    assert!(["prefill-1", "decode-2"].contains(&name), "{why}");
    assert_eq!(how, "has ended before it registered, with exit code 3: no GPU has room");

    let mut rig = Rig::new(BROKEN, None);
    rig.foreign("prefill", 1);
    rig.foreign("backend", 2);
    block_on(async {
        let call = SetUnits { role: Role::Decode, units: 2 };
        rig.dynamo.apply(&call).await.expect("it was started");
        let told = rig.look_until(|topology| !topology.troubles.is_empty()).await.troubles;
        assert_eq!(told[0].of, Whose::Role(Role::Decode));
        assert!(told[0].why.starts_with("decode-1 has ended before it registered"), "{told:?}");
        // What undoes it finds nothing to do.
        rig.follow(&SetUnits { role: Role::Decode, units: 1 }, &Goal::Count { role: Role::Decode, units: 1 }).await;
    });
}

#[test]
fn what_a_worker_says_last_does_not_repeat_its_command() {
    let mut rig = Rig::new("echo \"cannot log in with $1\" >&2; exit 4", Some("1P1D"));
    let secret = rig.folder.path().join("kv");
    let why = block_on(rig.dynamo.ready()).expect_err("they die");
    assert!(why.ends_with("with exit code 4: cannot log in with <word 3>"), "{why}");
    assert!(!why.contains(&*secret.to_string_lossy()), "{why}");
}

/// A script that has started the worker, and does not wait for it when it is asked to end.
#[test]
fn whoever_a_script_has_left_is_ended_too() {
    let script = format!("trap 'exit 0' TERM\n( {WORKER} ) &\nwait");
    let mut rig = Rig::new(&script, Some("2P1D"));
    block_on(async {
        rig.dynamo.ready().await.expect("they come up");
        let one = Goal::Count { role: Role::Prefill, units: 1 };
        rig.follow(&SetUnits { role: Role::Prefill, units: 1 }, &one).await;
        rig.dynamo.close().await;
        let left = instances::of_folder(&rig.dynamo.workers.folder.0, NAMESPACE).expect("a folder");
        assert_eq!(left, [], "they have ended, and taken their registrations away");
    });
}

#[test]
fn the_last_worker_that_serves_is_kept_and_one_that_does_not_goes_first() {
    // Every second one never registers.
    let script = WORKER.replace("echo \"loading\"", "[ $((n % 2)) = 0 ] && while :; do sleep 0.02; done");
    let mut rig = Rig::new(&script, None);
    rig.foreign("prefill", 99);
    block_on(async {
        let set = |units| SetUnits { role: Role::Decode, units };
        rig.dynamo.apply(&set(2)).await.expect("they are started");
        rig.look_until(|topology| topology.count(Role::Decode, MemberState::Serving) == 1).await;
        let why = rig.dynamo.apply(&set(0)).await.expect_err("one is the last");
        assert_eq!(why, CallError::Unclear("no decode worker would serve without decode-1".to_owned()));
        let seen = rig.look_until(|topology| topology.members.len() == 2).await;
        assert!(seen.is(split("1P1D")), "the other has gone: {}", seen.account());
        let why = rig.dynamo.apply(&set(0)).await.expect_err("it is the last");
        assert_eq!(why, CallError::Refused("no decode worker would serve without decode-1".to_owned()));
        rig.dynamo.close().await;
    });
}

#[test]
fn a_folder_that_cannot_be_read_for_a_moment_is_read_again() {
    let mut rig = Rig::new(WORKER, None);
    let (kv, away) = (rig.folder.path().join("kv"), rig.folder.path().join("away"));
    block_on(async {
        std::fs::rename(&kv, &away).expect("it is moved");
        let error = rig.dynamo.apply(&SetUnits { role: Role::Decode, units: 1 }).await.expect_err("it is away");
        assert!(matches!(&error, CallError::NotYet(why) if why.starts_with("cannot read ")), "{error:?}");
        std::fs::rename(&away, &kv).expect("it is back");
        rig.dynamo.apply(&SetUnits { role: Role::Decode, units: 1 }).await.expect("now");
        rig.dynamo.close().await;
    });
}

#[test]
fn workers_of_others_are_seen_and_not_ended() {
    let mut rig = Rig::new(WORKER, None);
    for (component, id) in [("prefill", 1), ("prefill", 2), ("backend", 3)] {
        rig.foreign(component, id);
    }
    block_on(async {
        rig.dynamo.ready().await.expect("nothing to start");
        let topology = rig.dynamo.observe().await.expect("seen");
        assert!(topology.is(split("2P1D")), "{}", topology.account());
        assert!(topology.members.iter().all(|member| member.state == MemberState::Serving));
        let why = rig.dynamo.propose(split("1P2D"), How::Drain).expect_err("they are not ours");
        assert_eq!(why, "no prefill worker was started from here: those of others are not ended");
        let error = rig.dynamo.apply(&SetUnits { role: Role::Prefill, units: 1 }).await.expect_err("not ours");
        assert!(matches!(error, CallError::Refused(_)), "{error}");
        // More of them can be started, and those go first.
        rig.follow(&SetUnits { role: Role::Decode, units: 2 }, &Goal::Count { role: Role::Decode, units: 2 }).await;
        let seen =
            rig.follow(&SetUnits { role: Role::Decode, units: 1 }, &Goal::Count { role: Role::Decode, units: 1 }).await;
        assert!(seen.last().is_some_and(|last| last == "prefill 2 serving; decode 1 serving"), "{seen:?}");
        rig.dynamo.close().await;
    });
    let mut rig = Rig::new(WORKER, Some("1P1D"));
    rig.foreign("backend", 9);
    let why = block_on(rig.dynamo.ready()).expect_err("others are there");
    assert!(why.contains("has workers of namespace dynamo already: decode 1 serving\nhint: without --split"), "{why}");
}

/// Somebody who is told and never has room for it.
struct Full;

impl Listener for Full {
    async fn tell(&self, _: &mut Vec<TargetEvent>) {
        std::future::pending::<()>().await;
    }

    fn now(&self) -> Micros {
        Micros::ZERO
    }
}

#[test]
fn whoever_drops_the_control_has_ended_the_workers_even_where_nobody_listens_any_more() {
    let Rig { folder, dynamo } = Rig::new(WORKER, Some("1P1D"));
    let registered = || std::fs::read_dir(folder.path().join("kv/v1/instances")).expect("a folder").count();
    let (over, ended) = std::sync::mpsc::channel();
    let (control, topology) = conductor::open(dynamo, BOUND, Full).expect("a control");
    assert!(topology.is(split("1P1D")) && registered() == 2, "{}", topology.account());
    control.shift(split("1P2D"), How::Drain).expect("it is taken");
    std::thread::spawn(move || {
        drop(control);
        over.send(())
    });
    ended.recv_timeout(BOUND).expect("it does not hang");
    assert_eq!(registered(), 0);
}

#[test]
fn what_was_started_and_has_not_come_up_is_ended() {
    // The one that decodes dies, and the other one has registered by then or has not.
    let script = WORKER.replace("echo \"loading\"", "[ \"$role\" = decode ] && exit 4\necho \"loading\"");
    let Rig { folder, dynamo } = Rig::new(&script, Some("1P1D"));
    let why = conductor::open(dynamo, BOUND, Full).expect_err("it dies").to_string();
    assert_eq!(why, "decode-2 has ended before it registered, with exit code 4");
    assert_eq!(std::fs::read_dir(folder.path().join("kv/v1/instances")).expect("a folder").count(), 0);
}

#[test]
fn what_cannot_be_shifted_is_refused_before_anything_happens() {
    let mut rig = Rig::new(WORKER, None);
    for (component, id) in [("prefill", 1), ("backend", 3)] {
        rig.foreign(component, id);
    }
    block_on(rig.dynamo.observe()).expect("seen");
    for (to, how, why) in [("2A", How::Drain, "either prefill or decode"), ("1P1D", How::Migrate, "cannot migrate")] {
        let error = rig.dynamo.propose(split(to), how).expect_err(why);
        assert!(error.contains(why), "{error}");
    }
}
