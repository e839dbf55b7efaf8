//! `pdtune serve`: where it listens, and its bounds.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use engine::serve::ApiKey;
use engine::serve::grpc::GrpcConfig;
use engine::serve::http::HttpConfig;
use loadgen::profile::Library;
use loadgen::target::cpu::REQUESTS;
use loadgen::text::Malformed;
use loadgen::time::Micros;

use super::key::KeyEnv;
use super::target::{EngineArgs, Served};

#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// Address and port; port 0 takes a free one. An address that others can reach needs --api-key-env
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = parse_address, help_heading = "Server")]
    listen: SocketAddr,
    /// Address and port of the gRPC API for control and generation, or `none`. The same rules
    #[arg(long, value_name = "ADDRESS:PORT|none", default_value = "127.0.0.1:50051", value_parser = parse_control, help_heading = "Server")]
    control_listen: ControlListen,
    /// Environment variable with the key that clients have to present as `Authorization: Bearer KEY`; /health stays open
    #[arg(long, value_name = "VAR", help_heading = "Server")]
    api_key_env: Option<String>,
    /// What clients call the model; SIMULATED- goes before it where it is [default: the name of the folder, file or cluster, or
    /// `built-in`]
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    served_model_name: Option<String>,
    /// Requests in flight, at most 8192; one more is answered 429
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=i64::from(REQUESTS)), help_heading = "Server")]
    max_requests: u32,
    /// Open connections; one more closes the one that has waited for its client the longest, or is answered 503. Of gRPC, at
    /// most 256 beside them [default: as many as the limit of open files allows, 16384 at most]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), help_heading = "Server")]
    max_connections: Option<u32>,
    /// How long requests in flight may take to finish after Ctrl-C
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = loadgen::text::parse_duration, help_heading = "Server")]
    drain_timeout: Micros,
}

/// What is served, where, and within which bounds.
#[derive(Debug)]
pub struct ServeOptions {
    /// What answers.
    pub engine: Served,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// What clients call the model; `None` leaves it to the model.
    pub name: Option<String>,
    /// Requests in flight.
    pub max_requests: u32,
    /// Open connections; `None` leaves it to the process's limit of open files.
    pub max_connections: Option<u32>,
    /// Everything else about HTTP.
    pub http: HttpConfig,
    /// Where gRPC listens, if it does, and everything about it.
    pub control: Option<(SocketAddr, GrpcConfig)>,
}

/// An address, or none.
#[derive(Clone, Copy, Debug)]
struct ControlListen(Option<SocketAddr>);

impl ServeArgs {
    /// # Errors
    /// When others could reach the server without a key, the key is not there, or the engine cannot be what was said.
    pub(super) fn resolve(self, library: &Library) -> anyhow::Result<ServeOptions> {
        let key =
            KeyEnv::of("--api-key-env", self.api_key_env.as_ref()).map(|key| key.read(ApiKey::new)).transpose()?;
        let ControlListen(control) = self.control_listen;
        for (option, address) in [("--listen", Some(self.listen)), ("--control-listen", control)] {
            let Some(address) = address.filter(|address| key.is_none() && !address.ip().is_loopback()) else {
                continue;
            };
            anyhow::bail!(
                "{option}: {address} can be reached from outside, which needs --api-key-env\n\
                 hint: listen on 127.0.0.1, or put a key into a variable and name that"
            );
        }
        anyhow::ensure!(
            control.is_none_or(|control| control != self.listen || control.port() == 0),
            "--control-listen: {} is where --listen is already\nhint: give them different ports",
            self.listen
        );
        let drain_timeout = Duration::from_micros(self.drain_timeout.0);
        let http = HttpConfig { drain_timeout, key: key.clone(), ..HttpConfig::default() };
        let grpc = GrpcConfig { drain_timeout, key, ..GrpcConfig::default() };
        let control = control.map(|address| (address, grpc));
        let Self { engine, listen, served_model_name: name, max_requests, max_connections, .. } = self;
        let engine = engine.resolve(library)?;
        anyhow::ensure!(
            engine.is_in_step() || control.is_none(),
            "--time-scale: clients of the gRPC API tell times by the engine's clock, which would go at another pace than theirs\n\
             hint: --control-listen none"
        );
        Ok(ServeOptions { engine, listen, name, max_requests, max_connections, http, control })
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, Malformed> {
    text.parse().map_err(|_| Malformed {
        what: "an address with a port",
        found: text.to_owned(),
        allowed: "write it in numbers, such as 127.0.0.1:8080 or [::1]:8080".to_owned(),
    })
}

fn parse_control(text: &str) -> Result<ControlListen, Malformed> {
    if text == "none" {
        return Ok(ControlListen(None));
    }
    let address = parse_address(text).map_err(|malformed| Malformed {
        what: "an address with a port, or `none`",
        allowed: malformed.allowed.replace("8080", "50051"),
        ..malformed
    });
    address.map(|address| ControlListen(Some(address)))
}
