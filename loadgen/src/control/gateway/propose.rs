//! Which calls lead from one split to another: a flip for every worker that moves, one after the other.
//!
//! ```text
//!   DELETE /workers/ID ──► gone ──► POST WORKER/pd_role_switch ──► says its new role ──► POST /workers ──► healthy in it
//!                                   └ only where the engine was started for one role
//! ```

use engine::cluster::How;
use engine::units::{Role, Split};

use super::call::Added;
use super::seen::{Known, Seen};
use super::workers::Worker;
use super::{EngineSwitch, GatewayOptions};
use crate::control::plane::{Action, Goal, MemberState, Plan, Step};

/// What a gateway, or an engine behind it, can be told.
#[derive(Clone, Debug, PartialEq)]
pub enum GatewayCall {
    /// Take a worker out.
    Remove(Removed),
    /// Have the engine of a worker, which is out, switch its role.
    Switch {
        /// Where it is.
        url: String,
        /// The new role.
        to: Role,
    },
    /// Put a worker in.
    Add(Put),
}

/// A worker that is taken out.
#[derive(Clone, Debug, PartialEq)]
pub struct Removed {
    pub(super) url: String,
    /// The role that it has.
    pub(super) role: Role,
    /// The role that its engine switches to then, if it does.
    pub(super) switches_to: Option<Role>,
}

/// A worker that is put in.
#[derive(Clone, Debug, PartialEq)]
pub struct Put(pub(super) Added);

/// How to get to `to`.
///
/// # Errors
/// One line: why it cannot be done, or shall not.
pub(super) fn propose(seen: &Seen, options: &GatewayOptions, to: Split, how: How) -> Result<Plan<GatewayCall>, String> {
    if how != How::Drain {
        return Err(format!("a gateway takes a worker out and puts it back, which is no {how}: use drain"));
    }
    let from = seen.kept();
    if to.aggregated != from.aggregated {
        return Err("workers switch between prefill and decode; regular ones stay what they are".to_owned());
    }
    let (role, other) =
        if to.prefill > from.prefill { (Role::Decode, Role::Prefill) } else { (Role::Prefill, Role::Decode) };
    let count = from.count(role).saturating_sub(to.count(role));
    if count == 0 {
        return Ok(Plan { from, steps: Vec::new(), moves: Some(Vec::new()), remarks: Vec::new() });
    }
    if let Some(ill) = seen.workers.iter().find(|worker| worker.stays() && worker.state() != MemberState::Serving) {
        return Err(format!("{} is not healthy, and would be needed: the gateway sends it nothing", ill.url));
    }
    let mut steps = Vec::new();
    let mut remarks = Vec::new();
    let mut at = from;
    let moved = seen.least_loaded(role, usize::from(count));
    for worker in &moved {
        let flip = Flip::of(worker, seen, options, (role, other))?;
        remarks.push(flip.remark(worker));
        steps.extend(flip.steps(&mut at));
    }
    Ok(Plan { from, steps, moves: Some(moved.iter().map(|worker| worker.url.clone()).collect()), remarks })
}

/// A worker on its way from one role to the other.
struct Flip {
    from: Added,
    to: Added,
    switches: bool,
    gpus: Option<u32>,
}

impl Flip {
    /// # Errors
    /// Why this worker cannot take the other role.
    fn of(worker: &Worker, seen: &Seen, options: &GatewayOptions, (from, to): (Role, Role)) -> Result<Self, String> {
        let url = &worker.url;
        let known = seen.known(url);
        let switches = switches(url, known, options.engine_switch)?;
        let port = |role| (role == Role::Prefill).then(|| known.bootstrap_port.or(options.bootstrap_port)).flatten();
        if to == Role::Prefill && port(to).is_none() {
            return Err(format!(
                "no bootstrap port is known for {url}, where decode workers would fetch KV from\nhint: name it with --bootstrap-port"
            ));
        }
        let added = |role| Added {
            url: url.clone(),
            role,
            bootstrap_port: port(role),
            priority: worker.priority,
            cost: worker.cost,
        };
        Ok(Self { from: added(from), to: added(to), switches, gpus: known.gpus })
    }

    fn remark(&self, worker: &Worker) -> String {
        let gpus =
            self.gpus.map_or_else(String::new, |gpus| format!(" of {gpus} GPU{}", if gpus == 1 { "" } else { "s" }));
        let (load, requests) = (worker.load, if worker.load == 1 { "request" } else { "requests" });
        let engine = if self.switches { "" } else { "; its engine is not asked to switch" };
        format!(
            "{} {}{gpus}, with {load} {requests} under way, becomes {}{engine}",
            self.from.role, worker.url, self.to.role
        )
    }

    /// `at` is the split before, and the one after.
    fn steps(&self, at: &mut Split) -> Vec<Step<GatewayCall>> {
        let Self { from, to, .. } = self;
        let before = *at;
        let without = with(before, from.role, -1);
        let after = with(without, to.role, 1);
        *at = after;
        let mut steps = vec![Step {
            forth: remove(from, self.switches.then_some(to.role), without),
            back: Some(add(from, before)),
        }];
        if self.switches {
            steps.push(Step {
                forth: switch(&to.url, to.role, without),
                back: Some(switch(&to.url, from.role, without)),
            });
        }
        steps.push(Step { forth: add(to, after), back: Some(remove(to, None, without)) });
        steps
    }
}

fn with(split: Split, role: Role, change: i16) -> Split {
    let changed = |units: u16| units.saturating_add_signed(change);
    match role {
        Role::Prefill => Split { prefill: changed(split.prefill), ..split },
        Role::Decode => Split { decode: changed(split.decode), ..split },
        Role::Aggregated => Split { aggregated: changed(split.aggregated), ..split },
    }
}

fn remove(worker: &Added, switches_to: Option<Role>, wants: Split) -> Action<GatewayCall> {
    let Added { url, role, .. } = worker;
    Action {
        call: GatewayCall::Remove(Removed { url: url.clone(), role: *role, switches_to }),
        says: format!("DELETE /workers/ID of the {role} worker {url}"),
        goal: Goal::Left { name: url.clone() },
        wants: Some(wants),
    }
}

fn switch(url: &str, to: Role, wants: Split) -> Action<GatewayCall> {
    Action {
        call: GatewayCall::Switch { url: url.to_owned(), to },
        says: format!("POST {url}/pd_role_switch to {to}"),
        goal: Goal::Switched { name: url.to_owned(), role: to },
        wants: Some(wants),
    }
}

fn add(worker: &Added, wants: Split) -> Action<GatewayCall> {
    let Added { url, role, bootstrap_port, .. } = worker;
    let port = bootstrap_port.map_or_else(String::new, |port| format!(", bootstrap_port {port}"));
    Action {
        call: GatewayCall::Add(Put(worker.clone())),
        says: format!("POST /workers with {url}, worker_type {role}{port}"),
        goal: Goal::Joined { name: url.clone(), role: *role },
        wants: Some(wants),
    }
}

/// Whether the engine of a worker is asked to switch, too.
///
/// # Errors
/// When it was started for one role and cannot have the other, or nobody knows.
fn switches(url: &str, known: &Known, asked: EngineSwitch) -> Result<bool, String> {
    let hint = "hint: --engine-switch never leaves engines alone, for those that serve both roles";
    match (asked, &known.engine) {
        (EngineSwitch::Always, _) => Ok(true),
        (EngineSwitch::Never, _) => Ok(false),
        (EngineSwitch::Auto, Ok(engine)) => match engine.only() {
            Some(_) if engine.switches => Ok(true),
            Some(only) => Err(format!(
                "the engine of {url} was started for {only} alone, and without --enable-pd-role-switch\n{hint}"
            )),
            None => Ok(false),
        },
        (EngineSwitch::Auto, Err(why)) => {
            Err(format!("whether the engine of {url} can switch its role is not known: {why}\n{hint}"))
        }
    }
}
