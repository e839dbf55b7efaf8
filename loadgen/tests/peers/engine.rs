//! An engine's rules for switching its role, as SGLang 0.5.23 has them in `disaggregation/role_switch.py`, without an engine.

use serde_json::{Value, json};

/// A role of an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Prefill,
    Decode,
}

impl Engine {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Prefill => "prefill",
            Self::Decode => "decode",
        }
    }

    pub(crate) fn read(name: &str) -> Option<Self> {
        [Self::Prefill, Self::Decode].into_iter().find(|role| role.name() == name)
    }
}

/// What an engine is and holds.
#[expect(clippy::struct_excessive_bools, reason = "what it does wrong is asked for one by one")]
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// What it was started as, and tells for ever.
    pub(crate) started: Engine,
    pub(crate) role: Engine,
    /// Whether it was started with `--enable-pd-role-switch`.
    pub(crate) switches: bool,
    /// Requests that it holds.
    pub(crate) held: usize,
    /// What its decode graphs take, once they are captured.
    pub(crate) graphs_gb: Option<f64>,
    /// What there is room for.
    pub(crate) headroom_gb: f64,
    /// The next switch fails half-way.
    pub(crate) tears: bool,
    /// The next switch is answered and not made.
    pub(crate) lies: bool,
    /// One has failed half-way.
    pub(crate) unhealthy: bool,
}

impl Rules {
    pub(crate) fn new(started: Engine) -> Self {
        Self {
            started,
            role: started,
            switches: true,
            held: 0,
            graphs_gb: (started == Engine::Decode).then_some(1.5),
            headroom_gb: 4.0,
            tears: false,
            lies: false,
            unhealthy: false,
        }
    }

    /// `GET /server_info`.
    pub(crate) fn server_info(&self, port: u16) -> Value {
        let graphs = match self.graphs_gb {
            Some(gb) => json!({"decode_cuda_graph_bs": [1, 2, 4], "decode_cuda_graph_memory_gb": gb}),
            None => json!({"decode_cuda_graph_bs": []}),
        };
        json!({
            "model_path": "tiny", "served_model_name": "tiny", "tp_size": 1, "version": "0.5.23",
            "disaggregation_mode": self.started.name(), "disaggregation_bootstrap_port": port,
            "enable_pd_role_switch": self.switches, "internal_states": [graphs],
        })
    }

    /// `POST /pd_role_switch`: its status and answer.
    pub(crate) fn switch(&mut self, asked: &Value) -> (u16, Value) {
        let old = self.role;
        let name = asked["new_role"].as_str().unwrap_or_default().to_owned();
        let answer = |success: bool, message: &str, safe: bool| {
            let body = json!({
                "success": success, "message": message, "old_role": old.name(), "new_role": name, "safe_to_restore": safe,
            });
            (if success { 200 } else { 400 }, body)
        };
        let prepare_only = asked["prepare_only"] == true;
        let fine = |message| answer(true, if prepare_only { "ready" } else { message }, prepare_only);
        if !self.switches {
            return answer(false, "--enable-pd-role-switch is not set on this instance", true);
        }
        if self.unhealthy {
            return answer(false, "instance is unhealthy after a failed role switch; restart required", false);
        }
        let Some(new) = Engine::read(&name) else { return answer(false, "invalid new_role", true) };
        if new == old {
            return fine("already in target role");
        }
        if self.held > 0 {
            return answer(false, "instance is not idle; drain all requests before switching", true);
        }
        if new == Engine::Decode && self.graphs_gb.is_none() {
            match asked["decode_cuda_graph_memory_gb"].as_f64() {
                None => {
                    let why = "decode_cuda_graph_memory_gb is required before capturing decode graphs";
                    return answer(false, why, true);
                }
                Some(gb) if gb > self.headroom_gb => {
                    return answer(false, "insufficient decode CUDA graph headroom", true);
                }
                Some(_) => {}
            }
        }
        if prepare_only {
            return fine("ready");
        }
        if std::mem::take(&mut self.tears) {
            self.unhealthy = true;
            return answer(false, "role switch failed; instance unhealthy, restart required: torn", false);
        }
        if std::mem::take(&mut self.lies) {
            return fine("ok");
        }
        self.role = new;
        if new == Engine::Decode && self.graphs_gb.is_none() {
            self.graphs_gb = asked["decode_cuda_graph_memory_gb"].as_f64();
        }
        fine("ok")
    }
}
