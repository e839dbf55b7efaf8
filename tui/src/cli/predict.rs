//! What predictions on the live screen rest on.

use anyhow::ensure;
use clap::Args;
use loadgen::profile::{Cluster, Library, Loaded};

use super::TargetSpec;

#[derive(Args, Clone, Debug, Default)]
pub(super) struct PredictArgs {
    /// Predict what other splits would give by this cluster profile, such as one that `pdtune calibrate` has written, and not by what
    /// is fitted to the requests of the run
    #[arg(long, value_name = "CLUSTER", help_heading = "Screen")]
    predict_with: Option<String>,
}

impl PredictArgs {
    /// # Errors
    /// When the profile is missing or wrong, or the target has its own.
    pub(super) fn resolve(
        self,
        target: &TargetSpec,
        library: &Library,
    ) -> anyhow::Result<Option<Box<Loaded<Cluster>>>> {
        let Some(name) = self.predict_with else { return Ok(None) };
        ensure!(
            !matches!(target, TargetSpec::Sim(_)),
            "--predict-with is for targets that have no profile of their own, and a simulated cluster is predicted by its own"
        );
        Ok(Some(Box::new(library.cluster(&name)?)))
    }

    pub(super) fn is_given(&self) -> bool {
        self.predict_with.is_some()
    }
}
