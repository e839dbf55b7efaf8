//! Whatever fails on the way of a flip, every worker is accounted for, and none serves in a role that its engine is not in.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::mock::{Fate, Mock};
use super::{Ended, Flavor, GatewayOptions, block_on, gateway, shift};
use crate::control::plane::MemberState;

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => Just(Fate::Fine),
        1 => Just(Fate::Refused),
        1 => Just(Fate::Failed),
        1 => Just(Fate::Ignored),
        1 => Just(Fate::DoneUnanswered),
        1 => Just(Fate::Unanswered),
        1 => Just(Fate::Wrong),
    ]
}

/// # Errors
/// What is not as it must be.
fn check(mock: &Mock, to: &str, ended: &Ended) -> Result<(), TestCaseError> {
    let state = mock.lock();
    prop_assert!(state.fewest >= 1, "a role had nobody: {:?}", ended.why);
    for worker in &state.workers {
        let engine = &state.engines.iter().find(|(name, _)| *name == worker.name).expect("an engine").1;
        let serves = worker.role == "regular" || engine.role.name() == worker.role && !engine.unhealthy;
        prop_assert!(serves, "{} serves as {} on {:?}: {:?}", worker.name, worker.role, engine, ended.why);
    }
    // Those that are not in the list are told as being out of it, by name.
    let listed: BTreeSet<_> =
        state.workers.iter().map(|worker| format!("{}/{}", mock_url(&ended.seen), worker.name)).collect();
    let out: BTreeSet<_> = ended
        .seen
        .members
        .iter()
        .filter(|member| member.state == MemberState::Out)
        .map(|member| member.name.clone())
        .collect();
    prop_assert!(listed.is_disjoint(&out));
    prop_assert_eq!(listed.len() + out.len(), 4, "{:?} and {:?}: {:?}", listed, out, ended.why);
    match &ended.why {
        None => prop_assert_eq!(ended.seen.serving().to_string(), to),
        Some(why) if why.ends_with("rolled back to 2P2D") || out.is_empty() => {}
        Some(why) => {
            for name in &out {
                prop_assert!(why.contains(name.as_str()), "{} is out, and not in: {}", name, why);
            }
        }
    }
    Ok(())
}

/// The address that all names begin with.
fn mock_url(seen: &crate::control::plane::Topology) -> String {
    let name = &seen.members.first().expect("a member").name;
    name.rsplit_once('/').expect("a path").0.to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, rng_seed: RngSeed::Fixed(11), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn wherever_a_flip_fails_every_worker_is_accounted_for(
        smg in any::<bool>(), to in prop::sample::select(vec!["3P1D", "1P3D"]), fates in prop::collection::vec(fate(), 1..8),
    ) {
        block_on(async {
            let mock = Mock::new(if smg { Flavor::Smg } else { Flavor::Sglang }).await;
            mock.lock().fates.extend(fates);
            let mut gateway = gateway(&mock, GatewayOptions::default());
            let ended = shift(&mut gateway, to, |_| {}).await.expect("it begins");
            check(&mock, to, &ended)
        })?;
    }
}
