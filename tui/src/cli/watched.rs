//! A target under load: where it is, how long it is waited for, and what its servers tell of themselves.

use clap::Args;
use loadgen::metrics::MetricsAt;
use loadgen::profile::{Library, Loaded, Scenario};

use super::metrics::MetricsArgs;
use super::ready::{Ready, ReadyArgs};
use super::target::{TargetArgs, TargetSpec};

#[derive(Args, Debug)]
pub(super) struct WatchedArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    ready: ReadyArgs,
    #[command(flatten)]
    metrics: MetricsArgs,
}

/// A target that is watched while it is under load.
#[derive(Debug)]
pub struct WatchedTarget {
    /// Where the load goes.
    pub target: TargetSpec,
    /// How long it is waited for.
    pub ready: Ready,
    /// Where servers tell of themselves, if anywhere.
    pub metrics: Option<MetricsAt>,
}

impl WatchedArgs {
    /// By default the cluster of `scenario`.
    ///
    /// # Errors
    /// When an option has no meaning for this target, or the key is not there.
    pub(super) fn resolve(
        self,
        scenario: Option<Loaded<Scenario>>,
        library: &Library,
    ) -> anyhow::Result<WatchedTarget> {
        let target = self.target.resolve_beside(scenario, library)?;
        let ready = self.ready.resolve(&target)?;
        let metrics = self.metrics.resolve(&target)?;
        Ok(WatchedTarget { target, ready, metrics })
    }
}
