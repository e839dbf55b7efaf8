//! What SGLang gateways are told beside their address.

use anyhow::ensure;
use clap::{Args, ValueEnum};
use loadgen::control::gateway::{EngineSwitch, GatewayOptions};
use loadgen::http::ApiKey;

use super::key::KeyEnv;

#[derive(Args, Clone, Debug, Default)]
pub(super) struct GatewayArgs {
    /// Behind SGLang gateways: whether the engine of a worker that moves is asked to switch its role. `auto` asks those that
    /// were started for one role, and refuses where they cannot [default: auto]
    #[arg(long, value_name = "WHEN", value_enum)]
    engine_switch: Option<EngineSwitchArg>,
    /// Behind SGLang gateways: the bootstrap port of workers for which neither the gateway nor their engine tells one
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    bootstrap_port: Option<u16>,
    /// Behind SGLang gateways: environment variable with the key that workers want, of pdtune and of the gateway
    #[arg(long, value_name = "VAR")]
    worker_key_env: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum EngineSwitchArg {
    Auto,
    Always,
    Never,
}

impl GatewayArgs {
    /// # Errors
    /// When something was said that only gateways know; `named` is what there is instead.
    pub(super) fn check_none(&self, named: &str) -> anyhow::Result<()> {
        let given = [
            ("--engine-switch", self.engine_switch.is_some()),
            ("--bootstrap-port", self.bootstrap_port.is_some()),
            ("--worker-key-env", self.worker_key_env.is_some()),
        ];
        let stray = given.iter().find(|(_, given)| *given);
        ensure!(
            stray.is_none(),
            "{} is for SGLang gateways, and {named} is none",
            stray.map_or("", |(option, _)| option)
        );
        Ok(())
    }

    /// # Errors
    /// When the key is not there.
    pub(super) fn resolve(&self) -> anyhow::Result<GatewayOptions> {
        let engine_switch = match self.engine_switch {
            Some(EngineSwitchArg::Auto) | None => EngineSwitch::Auto,
            Some(EngineSwitchArg::Always) => EngineSwitch::Always,
            Some(EngineSwitchArg::Never) => EngineSwitch::Never,
        };
        let worker_key = KeyEnv::of("--worker-key-env", self.worker_key_env.as_ref());
        let worker_key = worker_key.map(|key| key.read(ApiKey::new)).transpose()?;
        Ok(GatewayOptions { bootstrap_port: self.bootstrap_port, engine_switch, worker_key })
    }
}
