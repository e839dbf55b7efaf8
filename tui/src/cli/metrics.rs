//! What servers tell of themselves, and where.

use std::time::Duration;

use anyhow::bail;
use clap::Args;
use loadgen::metrics::{MetricsAt, Sources, Told};
use loadgen::text::Malformed;
use loadgen::time::Micros;

use super::load::parse_positive_duration;
use super::target::TargetSpec;

#[derive(Args, Debug)]
#[command(next_help_heading = "Target")]
pub(super) struct MetricsArgs {
    /// Where servers tell of themselves in Prometheus' format: [ROLE=]http://HOST:PORT[/PATH] with prefill, decode or aggregated
    /// for ROLE, ray:FILE (the service-discovery file of a Ray cluster), several with commas between; `none` [default: the target's
    /// own /metrics, if it has such]
    #[arg(long, value_name = "URL[,URL...]|none")]
    metrics: Option<Sources>,
    /// How often they are asked [default: 1s]
    #[arg(long, value_name = "TIME", value_parser = parse_period)]
    metrics_period: Option<Micros>,
}

fn parse_period(text: &str) -> Result<Micros, Malformed> {
    let period = parse_positive_duration(text)?;
    let allowed = "from 100ms to 1m".to_owned();
    let is_one = (100_000..=60_000_000).contains(&period.0);
    is_one.then_some(period).ok_or_else(|| Malformed { what: "a period", found: text.to_owned(), allowed })
}

impl MetricsArgs {
    /// # Errors
    /// When the target is inside the program, which shows more than servers tell.
    pub(super) fn resolve(self, target: &TargetSpec) -> anyhow::Result<Option<MetricsAt>> {
        let Self { metrics, metrics_period } = self;
        let is_server = target.is_server();
        let named = if metrics.is_some() { "--metrics" } else { "--metrics-period" };
        if !is_server && (metrics.is_some() || metrics_period.is_some()) {
            bail!("{named} is for servers: what is inside the program is seen anyway");
        }
        let is_off = metrics.as_ref().is_some_and(|sources| sources.0.is_empty());
        let mut at = MetricsAt::new(metrics.unwrap_or_default().0);
        if let Some(period) = metrics_period {
            at.period = Duration::from_micros(period.0);
        }
        match target {
            _ if is_off => return Ok(None),
            TargetSpec::Http(target) => {
                at.tried.clone_from(&target.addresses);
                at.http = target.http.clone();
                let (to, headers) = (target.addresses.clone(), target.headers.clone());
                at.told = Told { to, key: target.key.clone(), headers };
            }
            // What ours tells on its own goes beyond what its page has; vLLM's has no page where its gRPC is.
            TargetSpec::Grpc(_) | TargetSpec::Vllm(_) if at.sources.is_empty() => return Ok(None),
            TargetSpec::Grpc(_) | TargetSpec::Vllm(_) => {}
            TargetSpec::Embedded(_) | TargetSpec::Sim(_) => return Ok(None),
        }
        Ok(Some(at))
    }
}
