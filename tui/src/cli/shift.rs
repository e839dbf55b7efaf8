//! `pdtune shift`: one shift of a remote engine.

use std::time::Duration;

use clap::{Args, ValueEnum};
use engine::cluster::How;
use engine::remote::{RemoteAddress, RemoteKey};
use engine::units::Split;
use loadgen::time::Micros;

use super::key;
use super::load::parse_positive_duration;

#[derive(Args, Debug)]
pub(super) struct ShiftArgs {
    /// The engine's gRPC address: grpc://HOST:PORT, as `pdtune serve` prints it
    #[arg(long, value_name = "grpc://HOST:PORT")]
    target: RemoteAddress,
    /// The split to shift to: 3P1D is three prefill units and one decode unit, 4A is four that do both
    #[arg(long, value_name = "xPyD|nA")]
    to: Split,
    /// How units get to their new role: `drain` finishes what they hold, `migrate` moves it to peers, `restart` finishes it,
    /// ends their process and starts another one, which loads the weights
    #[arg(long, value_name = "HOW", value_enum, default_value_t = HowArg::Drain)]
    how: HowArg,
    /// How long to wait for the units to arrive (10s, 2m); the shift itself has no such limit [default: 2m; to restart, 30m]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    timeout: Option<Micros>,
    /// Print the outcome as one JSON object
    #[arg(long)]
    json: bool,
    /// Environment variable with the key that the server wants
    #[arg(long, value_name = "VAR")]
    api_key_env: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum HowArg {
    Drain,
    Migrate,
    Restart,
}

/// One shift, where and how.
#[derive(Debug)]
pub struct ShiftOptions {
    /// The engine.
    pub target: RemoteAddress,
    /// Where it leads.
    pub to: Split,
    /// How.
    pub how: How,
    /// How long it is waited for.
    pub timeout: Duration,
    /// Whether the outcome is printed as JSON.
    pub json: bool,
    /// The key, where the server wants one.
    pub key: Option<RemoteKey>,
}

impl ShiftArgs {
    /// # Errors
    /// When the key is not there.
    pub(super) fn resolve(self) -> anyhow::Result<ShiftOptions> {
        let key = self.api_key_env.map(|name| key::read(&name, |key| RemoteKey::new(&key))).transpose()?;
        let how = match self.how {
            HowArg::Drain => How::Drain,
            HowArg::Migrate => How::Migrate,
            HowArg::Restart => How::Restart,
        };
        let timeout = self.timeout.map_or_else(|| patience(how), |timeout| Duration::from_micros(timeout.0));
        Ok(ShiftOptions { target: self.target, to: self.to, how, timeout, json: self.json, key })
    }
}

/// How long units are waited for when nobody says: a process that loads large weights from a network takes many minutes.
fn patience(how: How) -> Duration {
    match how {
        How::Drain | How::Migrate => Duration::from_mins(2),
        How::Restart => Duration::from_mins(30),
    }
}
