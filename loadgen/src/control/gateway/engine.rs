//! The engine behind a worker: what `SGLang` tells of itself, and how it is asked for another role (0.5.23).
//!
//! `GET /server_info` tells how the engine was *started*: after a switch, its `disaggregation_mode` is still that of the start.
//! What it is now is in the answer to a question that changes nothing: `POST /pd_role_switch` with `prepare_only`, whose
//! `old_role` is the present one.

use engine::units::Role;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::control::plane::CallError;

/// What an engine tells of how it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Started {
    #[serde(default)]
    disaggregation_mode: Option<String>,
    /// Whether its role can be switched while it runs.
    #[serde(default, rename = "enable_pd_role_switch")]
    pub(super) switches: bool,
    #[serde(default, rename = "disaggregation_bootstrap_port")]
    pub(super) bootstrap_port: Option<u16>,
    #[serde(default)]
    tp_size: Option<u32>,
    #[serde(default)]
    pp_size: Option<u32>,
    #[serde(default)]
    dp_size: Option<u32>,
    #[serde(default)]
    enable_dp_attention: bool,
}

impl Started {
    /// Reads an answer; one that is no SGLang's tells nothing.
    pub(super) fn read(said: &[u8]) -> Self {
        serde_json::from_slice(said).unwrap_or_default()
    }

    /// The one role that it was started for; `None` where it serves both.
    pub(super) fn only(&self) -> Option<Role> {
        self.disaggregation_mode.as_deref().and_then(role)
    }

    /// How many GPUs it spans. Data parallelism of attention alone is within those of the tensor parallelism.
    pub(super) fn gpus(&self) -> Option<u32> {
        let replicas = if self.enable_dp_attention { 1 } else { self.dp_size.unwrap_or(1) };
        self.tp_size?.checked_mul(self.pp_size.unwrap_or(1))?.checked_mul(replicas)
    }
}

/// A role as engines call it.
pub(super) fn role(name: &str) -> Option<Role> {
    match name {
        "prefill" => Some(Role::Prefill),
        "decode" => Some(Role::Decode),
        _ => None,
    }
}

/// What the decode graphs of a peer take, which an engine that has none must be told.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Graphs {
    #[serde(default)]
    decode_cuda_graph_bs: Option<Vec<u32>>,
    #[serde(default)]
    decode_cuda_graph_memory_gb: Option<f64>,
}

impl Graphs {
    /// Those of the engine that gave this `/server_info`, by the rank that takes most; `None` where it has none.
    pub(super) fn of(said: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            internal_states: Vec<Graphs>,
        }
        let Answer { internal_states } = serde_json::from_slice(said).ok()?;
        let told = internal_states.into_iter().filter(|graphs| graphs.decode_cuda_graph_memory_gb.is_some());
        let memory = |graphs: &Self| graphs.decode_cuda_graph_memory_gb.unwrap_or_default();
        told.max_by(|one, other| memory(one).total_cmp(&memory(other)))
    }
}

/// The body of a request to switch; with `prepare_only`, of a question that changes nothing.
pub(super) fn switch(to: Role, graphs: Option<Graphs>, prepare_only: bool) -> Value {
    let mut body = Map::new();
    body.insert("new_role".to_owned(), json!(to.to_string()));
    if let Some(Graphs { decode_cuda_graph_bs, decode_cuda_graph_memory_gb }) = graphs {
        let sizes = decode_cuda_graph_bs.filter(|sizes| !sizes.is_empty());
        body.extend(sizes.map(|sizes| ("decode_cuda_graph_bs".to_owned(), json!(sizes))));
        body.extend(decode_cuda_graph_memory_gb.map(|gb| ("decode_cuda_graph_memory_gb".to_owned(), json!(gb))));
    }
    if prepare_only {
        body.insert("prepare_only".to_owned(), json!(true));
    }
    body.into()
}

/// What an engine answers to it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Answer {
    success: bool,
    #[serde(default)]
    message: String,
    #[serde(default)]
    old_role: String,
    /// Whether it still serves in its old role. Told of failures.
    #[serde(default)]
    safe_to_restore: bool,
}

impl Answer {
    pub(super) fn read(said: &[u8]) -> Option<Self> {
        serde_json::from_slice(said).ok()
    }

    /// The role before, which is that of now where nothing has changed.
    pub(super) fn old_role(&self) -> Option<Role> {
        role(&self.old_role)
    }

    /// What it says.
    pub(super) fn message(&self) -> String {
        engine::remote::one_line(&self.message)
    }

    /// Whether it only waits for what it holds.
    pub(super) fn is_busy(&self) -> bool {
        !self.success && self.safe_to_restore && self.message.contains("not idle")
    }

    /// Whether the engine at `url` has switched.
    ///
    /// # Errors
    /// Why it has not; whether it is as it was before.
    pub(super) fn outcome(&self, url: &str) -> Result<(), CallError> {
        let message = self.message();
        match self {
            Self { success: true, .. } => Ok(()),
            _ if self.is_busy() => Err(CallError::NotYet(format!("{url} says: {message}"))),
            Self { safe_to_restore: true, .. } => Err(CallError::Refused(format!("{url} did not switch: {message}"))),
            _ => Err(CallError::Broken(format!("{url} did not switch, and is not safe to be put back: {message}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_tells_how_it_was_started() {
        let said = r#"{"model_path":"m","tp_size":8,"pp_size":2,"dp_size":8,"enable_dp_attention":true,"disaggregation_mode":"decode",
            "enable_pd_role_switch":true,"disaggregation_bootstrap_port":8998,"version":"0.5.23","internal_states":[{}]}"#;
        let started = Started::read(said.as_bytes());
        assert_eq!((started.only(), started.switches), (Some(Role::Decode), true));
        assert_eq!((started.gpus(), started.bootstrap_port), (Some(16), Some(8998)));
        let replicas = Started::read(br#"{"tp_size":2,"dp_size":3,"disaggregation_mode":"null"}"#);
        assert_eq!((replicas.gpus(), replicas.only(), replicas.switches), (Some(6), None, false));
        assert_eq!(Started::read(b"<html>"), Started::default());
        assert_eq!(Started::default().gpus(), None);
    }

    #[test]
    fn the_graphs_of_a_peer_are_those_of_its_largest_rank() {
        let said = br#"{"internal_states":[{"decode_cuda_graph_bs":[1,2],"decode_cuda_graph_memory_gb":1.5},
            {"decode_cuda_graph_bs":[1,2],"decode_cuda_graph_memory_gb":1.75},{"decode_cuda_graph_bs":[]}]}"#;
        let graphs = Graphs::of(said);
        let body = switch(Role::Decode, graphs, false);
        assert_eq!(
            body,
            json!({"new_role": "decode", "decode_cuda_graph_bs": [1, 2], "decode_cuda_graph_memory_gb": 1.75})
        );
        assert_eq!(Graphs::of(br#"{"internal_states":[{"decode_cuda_graph_bs":[]}]}"#), None);
        assert_eq!(switch(Role::Prefill, None, true), json!({"new_role": "prefill", "prepare_only": true}));
    }

    #[test]
    fn an_answer_says_whether_the_engine_still_serves() {
        let answer = |said: &str| Answer::read(said.as_bytes()).expect("an answer");
        let ready = answer(
            r#"{"success":true,"message":"ready","old_role":"decode","new_role":"prefill","safe_to_restore":true}"#,
        );
        assert_eq!((ready.outcome("u"), ready.old_role()), (Ok(()), Some(Role::Decode)));
        let busy = r#"{"success":false,"message":"instance is not idle; drain all requests before switching","safe_to_restore":true}"#;
        assert!(matches!(answer(busy).outcome("u"), Err(CallError::NotYet(why)) if why.contains("not idle")));
        let short = r#"{"success":false,"message":"insufficient decode CUDA graph headroom","safe_to_restore":true}"#;
        assert!(matches!(answer(short).outcome("u"), Err(CallError::Refused(why)) if why.contains("headroom")));
        let torn = r#"{"success":false,"message":"role switch failed; instance unhealthy, restart required: x"}"#;
        assert!(matches!(answer(torn).outcome("u"), Err(CallError::Broken(why)) if why.contains("not safe")));
        assert_eq!(Answer::read(b"{\"error\": 1}"), None);
    }
}
