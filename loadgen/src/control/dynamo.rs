//! NVIDIA Dynamo without Kubernetes: `dynamo+file:DIR`, workers that register in a folder (`DYN_DISCOVERY_BACKEND=file`,
//! `DYN_FILE_KV=DIR`; Dynamo 1.6).
//!
//! A worker has one role for its life, so a shift ends one process and starts another one, one unit at a time:
//!
//! ```text
//!   SIGTERM ──► takes nothing new ──► its registration goes ──► it has ended ──► the next one starts ──► registers
//! ```
//!
//! Dynamo has nobody who starts processes without Kubernetes, so they are started from here, by a command. Only those are ever
//! ended: at the end of the run all of them, in a shift one of the side that becomes smaller, the last started one first.
//! Workers that others have started are seen and left alone.

mod command;
mod crew;
mod instances;
mod planner;
mod propose;
mod seats;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use engine::cluster::How;
use engine::units::{Role, Split};
use tokio::time::{sleep, timeout};

use super::plane::{Adapter, CallError, Plan, Topology, Trouble, Unseen};
use crate::target::{Abilities, Ways};
use crate::text::Malformed;
pub use command::WorkerCommand;
use crew::Crew;
pub use crew::end_all;
pub use planner::{Decide, DynamoEtcd, DynamoPlanner, EtcdLogin};
pub use propose::SetUnits;
use seats::{Life, Seats};

/// What the name of a folder begins with.
pub const PREFIX: &str = "dynamo+file:";
/// The namespace of workers that were told none.
pub const NAMESPACE: &str = "dynamo";
/// Between two looks whether the first workers have come up.
const LOOK: Duration = Duration::from_millis(200);

/// What workers of Dynamo let be done, of which the processes are ours.
fn abilities() -> Abilities {
    Abilities {
        ways: Ways::of(&[How::Drain]),
        aggregated: false,
        in_place: false,
        counts: true,
        drain_visible: true,
        dry_run: false,
    }
}

/// # Errors
/// When workers of Dynamo cannot get to a split, however they are counted.
fn check(to: Split, how: How) -> Result<(), String> {
    if to.aggregated > 0 {
        return Err("Dynamo's workers either prefill or decode".to_owned());
    }
    if how == How::Migrate {
        return Err("a worker of Dynamo ends what it holds and cannot migrate it: use drain".to_owned());
    }
    Ok(())
}

/// The folder of a file discovery, as `dynamo+file:DIR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoFolder(PathBuf);

impl FromStr for DynamoFolder {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let folder = text.strip_prefix(PREFIX).filter(|folder| !folder.is_empty());
        let allowed = "write dynamo+file:DIR, the folder that Dynamo has as DYN_FILE_KV";
        folder.map(|folder| Self(folder.into())).ok_or_else(|| Malformed::new("a folder of Dynamo's", text, allowed))
    }
}

impl fmt::Display for DynamoFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.0.display())
    }
}

/// Which workers, and how others come to be.
#[derive(Clone, Debug)]
pub struct DynamoWorkers {
    /// Where they register.
    pub folder: DynamoFolder,
    /// Their namespace.
    pub namespace: String,
    /// What starts one; without it they are only watched.
    pub command: Option<WorkerCommand>,
    /// What is started at the beginning.
    pub split: Option<Split>,
    /// How long the first ones may take to register.
    pub patience: Duration,
}

/// Dynamo's workers below one folder.
#[derive(Debug)]
pub struct DynamoFile {
    workers: DynamoWorkers,
    crew: Crew,
    seats: Seats,
    /// Why the last start came to nothing.
    trouble: Option<Trouble>,
}

impl DynamoFile {
    /// Nothing is started yet.
    pub fn new(workers: DynamoWorkers) -> Self {
        Self { workers, crew: Crew::default(), seats: Seats::default(), trouble: None }
    }

    fn start(&mut self, role: Role) -> Result<(), String> {
        let command =
            self.workers.command.as_ref().ok_or("nothing says how to start a worker: give --worker-command")?;
        let n = self.crew.start(command, role)?;
        self.seats.take(n, role);
        Ok(())
    }

    /// Asks one of `role` to end, and never the last that serves.
    fn end_one(&mut self, role: Role) -> Result<(), String> {
        let seat = self.seats.first_to_go(role).ok_or_else(|| propose::not_ours(role))?;
        if !self.seats.stands_in(seat) {
            return Err(format!("no {role} worker would serve without {}", seat.name()));
        }
        let n = seat.n;
        self.crew.stop(n)?;
        self.seats.all.iter_mut().filter(|seat| seat.n == n).for_each(|seat| seat.life = Life::Asked);
        Ok(())
    }

    async fn look(&mut self) -> Result<(), String> {
        for ended in self.crew.ended().await {
            let Some(seat) = self.seats.all.iter_mut().find(|seat| seat.n == ended.n) else { continue };
            if seat.life == Life::Up && !seat.has_registered() {
                let why = format!("{} has ended before it registered, {}", seat.name(), ended.how);
                // Of several the first one tells: the others often follow from it.
                self.trouble.get_or_insert(Trouble::of_role(seat.role, why));
            }
            seat.life = Life::Ended;
        }
        let instances = instances::of_folder(&self.workers.folder.0, &self.workers.namespace)?;
        self.seats.see(&instances);
        Ok(())
    }

    fn topology(&self) -> Topology {
        Topology { troubles: self.trouble.iter().cloned().collect(), ..self.seats.topology() }
    }

    /// Starts the workers of `split` and waits until all of them have registered.
    async fn man(&mut self, split: Split) -> Result<(), String> {
        if split.aggregated > 0 {
            return Err(format!("--split {split}: Dynamo's workers either prefill or decode"));
        }
        self.look().await?;
        let there = self.topology();
        if !there.members.is_empty() {
            let DynamoWorkers { folder, namespace, .. } = &self.workers;
            return Err(format!(
                "{folder} has workers of namespace {namespace} already: {}\nhint: without --split they are watched as they are; those \
                 that were killed are gone after some seconds",
                there.account()
            ));
        }
        for role in split.roles() {
            self.start(role)?;
        }
        let patience = self.workers.patience;
        let up = timeout(patience, self.until_up(split)).await;
        up.unwrap_or_else(|_| {
            let (seconds, account) = (patience.as_secs(), self.topology().account());
            Err(format!("not all workers have registered within {seconds} s: {account}"))
        })
    }

    async fn until_up(&mut self, split: Split) -> Result<(), String> {
        loop {
            self.look().await?;
            let topology = self.topology();
            if let Some(trouble) = &self.trouble {
                return Err(trouble.why.clone());
            }
            if topology.is(split) {
                return Ok(());
            }
            sleep(LOOK).await;
        }
    }
}

impl Adapter for DynamoFile {
    type Call = SetUnits;

    fn abilities(&self) -> Abilities {
        abilities()
    }

    async fn ready(&mut self) -> Result<(), String> {
        let Some(split) = self.workers.split else { return Ok(()) };
        self.man(split).await
    }

    async fn observe(&mut self) -> Result<Topology, Unseen> {
        self.look().await?;
        Ok(self.topology())
    }

    fn propose(&self, to: Split, how: How) -> Result<Plan<SetUnits>, String> {
        propose::propose(&self.seats, self.workers.command.as_ref(), to, how)
    }

    async fn apply(&mut self, call: &SetUnits) -> Result<(), CallError> {
        self.trouble = None;
        let SetUnits { role, units } = *call;
        // What has happened since the last look counts.
        self.look().await.map_err(CallError::NotYet)?;
        let there = self.seats.foreign(role) + self.seats.up(role).count();
        for at in there..units {
            self.start(role).map_err(failed(at > there))?;
        }
        for at in units..there {
            self.end_one(role).map_err(failed(at > units))?;
        }
        Ok(())
    }

    fn is_of_the_run(&self) -> bool {
        // Without a command nothing is ever started.
        self.workers.command.is_some()
    }

    async fn close(&mut self) {
        self.crew.close().await;
        self.seats.all.clear();
    }
}

/// What a start, or an end, that has failed is of a call: nothing has changed, unless another one came before it.
fn failed(has_changed: bool) -> fn(String) -> CallError {
    if has_changed { CallError::Unclear } else { CallError::Refused }
}

#[cfg(test)]
mod tests;
