//! How long a server is waited for.

use anyhow::ensure;
use clap::Args;
use loadgen::time::Micros;

use super::TargetSpec;
use super::load::parse_positive_duration;

/// Unless told otherwise: units that are there and a server that has its model answer sooner.
const PATIENCE: Micros = Micros(60_000_000);

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct ReadyArgs {
    /// How long a server may take until all units that its control tells of serve, and it answers a request of four tokens, then as
    /// many at once as there are units, until each has answered where answers tell; before that no load is sent. Said, a server that is not there yet is waited for, too [default: 1m]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration, conflicts_with = "no_wait", help_heading = "Target")]
    ready_timeout: Option<Micros>,
    /// Send load without waiting until units serve; a server over HTTP or vLLM's gRPC is asked for its model and one token all the same
    #[arg(long, help_heading = "Target")]
    no_wait: bool,
}

/// How long a server is waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// So long; not at all where there is none.
    pub patience: Option<Micros>,
    /// Even one that does not answer at all.
    pub from_nothing: bool,
}

impl ReadyArgs {
    /// # Errors
    /// When the target is in the process.
    pub(super) fn resolve(self, target: &TargetSpec) -> anyhow::Result<Ready> {
        let served = target.is_server();
        let said = [("--ready-timeout", self.ready_timeout.is_some()), ("--no-wait", self.no_wait)];
        for (option, given) in said {
            ensure!(served || !given, "{option} is for servers, and the target is none");
        }
        let patience = (served && !self.no_wait).then_some(self.ready_timeout.unwrap_or(PATIENCE));
        Ok(Ready { patience, from_nothing: self.ready_timeout.is_some() })
    }
}
