//! A gateway of `SGLang`'s as a control plane: `smg+http://HOST:PORT`, SMG (1.13), and `sglang+http://HOST:PORT`, sglang-router
//! (0.3.2).
//!
//! A gateway keeps a list of workers, each with a role; nothing starts or ends with it. A shift flips workers: each is taken out
//! (`DELETE /workers/ID`), is waited for until it is gone, has its engine switch where that was started for one role
//! (`POST WORKER/pd_role_switch`), and is put in again in its new role (`POST /workers`). It is the same worker by its address.
//!
//! What the two answer, and what is made of it:
//!
//! | call | sglang-router | SMG | here |
//! |---|---|---|---|
//! | PUT of a worker with another role | 202, and nothing changes | 202, it changes, and it keeps what it has in flight | not used: an engine must be idle to switch |
//! | PATCH | 405 | 202, and nothing changes | not used |
//! | DELETE | 202, gone at once | 202, drains, gone after some seconds | done when it is not listed any more |
//! | POST of a worker that is there | 202, and nothing changes | 409 | looked for before, and refused |
//! | POST with a role that it does not know | 202, added as `regular` | 400 | seen, taken out again, and told |
//! | POST of a worker that cannot be reached | 202, never listed | the same | rolled back when it is not listed within 30 s |
//!
//! An answer of 202 says nothing, and the gateways' own count of workers (`smg_worker_pool_size`) has been wrong: only what
//! `GET /workers` lists counts.

mod call;
mod engine;
mod propose;
mod seen;
mod workers;

use std::fmt;
use std::str::FromStr;

use ::engine::cluster::How;
use ::engine::units::{Role, Split};
use tokio::task::JoinSet;

use super::plane::{Adapter, CallError, Plan, Topology, Unseen};
use crate::http::{ApiKey, HttpAddress, HttpOptions};
use crate::target::{Abilities, Ways};
use crate::text::Malformed;
use call::Api;
pub use propose::{GatewayCall, Put, Removed};
use seen::Seen;

/// Engines that are asked at a time.
const AT_ONCE: usize = 16;

/// Which gateway it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// SMG, the model gateway.
    Smg,
    /// sglang-router.
    Sglang,
}

impl Flavor {
    const ALL: [Self; 2] = [Self::Smg, Self::Sglang];

    /// What the address of one begins with.
    fn scheme(self) -> &'static str {
        match self {
            Self::Smg => "smg+",
            Self::Sglang => "sglang+",
        }
    }
}

/// Where a gateway is, as `smg+http://HOST:PORT` or `sglang+http://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAddress {
    flavor: Flavor,
    address: HttpAddress,
}

impl GatewayAddress {
    /// Whether a text is meant to be one.
    pub fn is_meant(text: &str) -> bool {
        Flavor::ALL.iter().any(|flavor| text.starts_with(flavor.scheme()))
    }

    /// Where that is.
    pub fn http(&self) -> &HttpAddress {
        &self.address
    }
}

impl FromStr for GatewayAddress {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let named = Flavor::ALL.into_iter().find_map(|flavor| Some((flavor, text.strip_prefix(flavor.scheme())?)));
        let (flavor, rest) = named.ok_or_else(|| {
            Malformed::new("the address of a gateway", text, "write smg+http://HOST:PORT or sglang+http://HOST:PORT")
        })?;
        Ok(Self { flavor, address: rest.parse()? })
    }
}

impl fmt::Display for GatewayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.flavor.scheme(), self.address)
    }
}

/// Whether the engines of workers are asked to switch their roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineSwitch {
    /// Those that were started for one role; one that was, and cannot switch, is not flipped.
    #[default]
    Auto,
    /// All.
    Always,
    /// None: they serve both roles.
    Never,
}

/// What is to be known beside the address.
#[derive(Clone, Debug, Default)]
pub struct GatewayOptions {
    /// The bootstrap port of workers for which neither the gateway nor their engine has told one.
    pub bootstrap_port: Option<u16>,
    /// Whether engines are asked to switch.
    pub engine_switch: EngineSwitch,
    /// The key that workers want, of us and of the gateway.
    pub worker_key: Option<ApiKey>,
}

/// The workers of a gateway.
#[derive(Debug)]
pub struct Gateway {
    api: Api,
    flavor: Flavor,
    options: GatewayOptions,
    /// `None` until it has answered once.
    seen: Option<Seen>,
}

impl Gateway {
    /// The gateway at `address`, which wants to see `key`. Nothing is asked yet.
    ///
    /// # Errors
    /// One line: why there is no HTTP client.
    pub fn new(
        address: &GatewayAddress,
        options: GatewayOptions,
        key: Option<ApiKey>,
        http: &HttpOptions,
    ) -> Result<Self, String> {
        let GatewayAddress { flavor, address } = address;
        let api = Api::new(address, key, options.worker_key.clone(), http)?;
        Ok(Self { api, flavor: *flavor, options, seen: None })
    }

    /// The workers as they are now. Before a call, a look that fails is made again: nothing was sent yet.
    async fn look(&mut self) -> Result<&mut Seen, Unseen> {
        let workers = self.api.workers().await?;
        let seen = self.seen.get_or_insert_default();
        seen.listed(workers);
        Ok(seen)
    }

    async fn remove(&mut self, Removed { url, role, .. }: &Removed) -> Result<(), CallError> {
        let seen = self.look().await.map_err(CallError::not_yet)?;
        let Some(there) = seen.kept_at(url) else {
            // One of ours that never came in need not be taken out.
            let out = seen.known(url).out.is_some();
            return if out { Ok(()) } else { Err(CallError::Refused(format!("{url} is not there any more"))) };
        };
        let (id, now) = (there.id.clone(), there.role());
        if now == Some(*role) {
            // One that never got healthy keeps nobody from being served.
            if !seen.least_loaded(*role, 2).iter().any(|other| other.url != *url) {
                return Err(CallError::Refused(format!("{url} is the last {role} worker that is healthy")));
            }
        } else if now != Some(Role::Aggregated) {
            // What came in as regular, and was not to be, is taken out all the same.
            return Err(CallError::Overtaken(format!("{url} is {} by now: somebody else has changed it", named(now))));
        }
        seen.taken_out(url, *role);
        let answer = self.api.remove(&id).await;
        if let (Err(CallError::Refused(_) | CallError::NotYet(_)), Some(seen)) = (&answer, &mut self.seen) {
            seen.never_left(url);
        }
        answer
    }

    async fn add(&mut self, Put(added): &Put) -> Result<(), CallError> {
        let seen = self.look().await.map_err(CallError::not_yet)?;
        match seen.kept_at(&added.url).map(workers::Worker::role) {
            None => self.api.add(added).await,
            // It never left.
            Some(now) if now == Some(added.role) => {
                seen.never_left(&added.url);
                Ok(())
            }
            // sglang-router would answer 202 and change nothing.
            Some(now) => Err(put_in(&added.url, now)),
        }
    }

    async fn switch(&mut self, url: &str, to: Role) -> Result<(), CallError> {
        let seen = self.look().await.map_err(CallError::not_yet)?;
        if let Some(there) = seen.kept_at(url) {
            return Err(put_in(url, there.role()));
        }
        // An engine wants one switch at a time: none is sent while nobody knows what became of the last.
        if seen.known(url).unheard && self.api.role(url).await.is_none() {
            return Err(CallError::NotYet(format!(
                "what became of the last switch of {url} is not known, and it does not tell its role"
            )));
        }
        let graphs = self.graphs(to).await;
        let seen = self.seen.get_or_insert_default();
        // Before the call: whatever comes of it, the engine is asked.
        seen.asked(url);
        let answer = self.api.switch(url, to, graphs).await;
        let seen = self.seen.get_or_insert_default();
        seen.heard(url, !matches!(answer, Err(CallError::Unclear(_))));
        answer?;
        match self.api.role(url).await {
            Some(role) if role != to => {
                // It serves as it did before.
                Err(CallError::Refused(format!(
                    "{url} answered that it has switched to {to}, and says that it is {role}"
                )))
            }
            _ => Ok(()),
        }
    }

    /// What the decode graphs of a peer take, for an engine that is to decode: it may have none of its own.
    async fn graphs(&self, to: Role) -> Option<engine::Graphs> {
        let seen = self.seen.as_ref().filter(|_| to == Role::Decode)?;
        for peer in seen.least_loaded(Role::Decode, AT_ONCE) {
            let graphs = self.api.graphs(&peer.url).await;
            if graphs.is_some() {
                return graphs;
            }
        }
        None
    }
}

impl Adapter for Gateway {
    type Call = GatewayCall;

    fn abilities(&self) -> Abilities {
        Abilities {
            ways: Ways::of(&[How::Drain]),
            aggregated: false,
            in_place: true,
            counts: false,
            // sglang-router lists a worker no more from the moment that it is taken out.
            drain_visible: self.flavor == Flavor::Smg,
            dry_run: self.options.engine_switch != EngineSwitch::Never,
        }
    }

    async fn observe(&mut self) -> Result<Topology, Unseen> {
        let seen = self.look().await?;
        let (strangers, switching) = (seen.strangers(), seen.switching());
        for some in strangers.chunks(AT_ONCE) {
            let mut asked = JoinSet::new();
            for url in some.iter().cloned() {
                let api = self.api.clone();
                asked.spawn(async move { (api.started(&url).await, url) });
            }
            for (told, url) in asked.join_all().await {
                self.seen.get_or_insert_default().told(url, told);
            }
        }
        for url in switching {
            if let Some(role) = self.api.role(&url).await {
                self.seen.get_or_insert_default().has_role(&url, role);
            }
        }
        Ok(self.seen.get_or_insert_default().topology())
    }

    fn propose(&self, to: Split, how: How) -> Result<Plan<GatewayCall>, String> {
        let seen = self.seen.as_ref().ok_or("the workers have not been seen yet")?;
        propose::propose(seen, &self.options, to, how)
    }

    async fn rehearse(&mut self, call: &GatewayCall) -> Option<Result<(), String>> {
        let GatewayCall::Remove(Removed { url, switches_to: Some(to), .. }) = call else { return None };
        let graphs = self.graphs(*to).await;
        Some(match self.api.would_switch(url, *to, graphs).await {
            // It is not taken out yet, so it may be busy.
            Ok(answer) if answer.is_busy() => Ok(()),
            Ok(answer) => answer.outcome(url).map_err(|error| error.to_string()),
            Err(why) => Err(why),
        })
    }

    async fn apply(&mut self, call: &GatewayCall) -> Result<(), CallError> {
        match call {
            GatewayCall::Remove(removed) => self.remove(removed).await,
            GatewayCall::Switch { url, to } => self.switch(url, *to).await,
            GatewayCall::Add(put) => self.add(put).await,
        }
    }
}

/// Somebody else has put in what was taken out.
fn put_in(url: &str, role: Option<Role>) -> CallError {
    CallError::Overtaken(format!("{url} is there already, as {}: somebody else has put it in", named(role)))
}

fn named(role: Option<Role>) -> String {
    role.map_or_else(|| "something else".to_owned(), |role| role.to_string())
}

#[cfg(test)]
mod tests;
