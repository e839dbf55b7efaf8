//! `pdtune serve`: where it listens, and its bounds.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;
use engine::serve::http::{ApiKey, HttpConfig};
use loadgen::target::cpu::REQUESTS;
use loadgen::text::Malformed;
use loadgen::time::Micros;

use super::target::{EngineArgs, EngineSpec, secret, unusable};

#[derive(Args, Debug)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    engine: EngineArgs,
    /// Address and port; port 0 takes a free one. An address that others can reach needs --api-key-env
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = parse_address, help_heading = "Server")]
    listen: SocketAddr,
    /// Environment variable with the key that clients have to present as `Authorization: Bearer KEY`; /health stays open
    #[arg(long, value_name = "VAR", help_heading = "Server")]
    api_key_env: Option<String>,
    /// What clients call the model [default: the name of the folder or file, or `built-in`]
    #[arg(long, value_name = "NAME", help_heading = "Server")]
    served_model_name: Option<String>,
    /// Requests in flight, at most 8192; one more is answered 429
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=i64::from(REQUESTS)), help_heading = "Server")]
    max_requests: u32,
    /// Open connections; one more closes the longest idle, or is answered 503
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..), help_heading = "Server")]
    max_connections: u32,
    /// How long requests in flight may take to finish after Ctrl-C
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = loadgen::text::parse_duration, help_heading = "Server")]
    drain_timeout: Micros,
}

/// What is served, where, and within which bounds.
#[derive(Debug)]
pub struct ServeOptions {
    /// What answers.
    pub engine: EngineSpec,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// What clients call the model; `None` leaves it to the model.
    pub name: Option<String>,
    /// Requests in flight.
    pub max_requests: u32,
    /// Everything about HTTP.
    pub http: HttpConfig,
}

impl ServeArgs {
    /// # Errors
    /// When others could reach the server without a key, or the key is not there.
    pub(super) fn resolve(self) -> anyhow::Result<ServeOptions> {
        let key = self.api_key_env.map(|name| key(&name)).transpose()?;
        anyhow::ensure!(
            self.listen.ip().is_loopback() || key.is_some(),
            "--listen: {} can be reached from outside, which needs --api-key-env\n\
             hint: listen on 127.0.0.1, or put a key into a variable and name that",
            self.listen
        );
        let http = HttpConfig {
            max_connections: self.max_connections as usize,
            drain_timeout: Duration::from_micros(self.drain_timeout.0),
            key,
            ..HttpConfig::default()
        };
        let (engine, name) = (self.engine.into(), self.served_model_name);
        Ok(ServeOptions { engine, listen: self.listen, name, max_requests: self.max_requests, http })
    }
}

fn parse_address(text: &str) -> Result<SocketAddr, Malformed> {
    text.parse().map_err(|_| Malformed {
        what: "an address with a port",
        found: text.to_owned(),
        allowed: "write it in numbers, such as 127.0.0.1:8080 or [::1]:8080".to_owned(),
    })
}

fn key(name: &str) -> anyhow::Result<ApiKey> {
    ApiKey::new(secret(name)?).ok_or_else(|| unusable(name))
}
