//! How servers are reached, the same for targets and for controls.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use loadgen::http::{CONNECT_TIMEOUT, HttpOptions, ProxyAddress, Trust};
use loadgen::time::Micros;

use super::load::parse_positive_duration;

#[derive(Args, Clone, Debug, Default)]
pub(super) struct ReachArgs {
    /// PEM file of certificates to trust beside those of the system: of an authority, or of a server that signs its own
    #[arg(long, value_name = "FILE.pem")]
    ca_file: Option<PathBuf>,
    /// Proxy for all HTTP connections, targets and controls alike: http://HOST:PORT [default: none; variables such as `HTTPS_PROXY`
    /// are not looked at]
    #[arg(long, value_name = "URL")]
    proxy: Option<ProxyAddress>,
    /// How long a connection to an HTTP server may take to be made [default: 10s]
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    connect_timeout: Option<Micros>,
}

impl ReachArgs {
    /// # Errors
    /// When the file of certificates is of no use.
    pub(super) fn resolve(&self) -> anyhow::Result<HttpOptions> {
        let trust = self.ca_file.as_deref().map(Trust::read).transpose();
        let trust = trust.map_err(|error| anyhow::anyhow!("--ca-file: {error}"))?.unwrap_or_default();
        let connect_timeout = self.connect_timeout.map_or(CONNECT_TIMEOUT, |time| Duration::from_micros(time.0));
        Ok(HttpOptions { trust, proxy: self.proxy.clone(), http2: false, connect_timeout })
    }

    /// # Errors
    /// When an option was given though nothing is reached over HTTP; `named` is what there is instead.
    pub(super) fn check_none(&self, named: &str) -> anyhow::Result<()> {
        let given = [
            ("--ca-file", self.ca_file.is_some()),
            ("--proxy", self.proxy.is_some()),
            ("--connect-timeout", self.connect_timeout.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((option, _)) => bail!("{option} is for servers that are reached over HTTP, and {named} is none"),
            None => Ok(()),
        }
    }
}
