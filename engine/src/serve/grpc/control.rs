//! The service that observes and shifts.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::readers::Watched;
use super::watch::Changes;
use super::{Served, status};
use crate::remote::{Limits, Topology};
use crate::wire::v1::control_server::Control;
use crate::wire::{self, v1};

pub(super) struct Service(pub(super) Arc<Served>);

impl Served {
    /// The engine as it is now.
    pub(super) fn topology(&self) -> Topology {
        let observed = self.hub.observe();
        let blocks = observed.units.iter().map(|unit| unit.figures.blocks).min().unwrap_or(0);
        let config = self.hub.config();
        let limits = Limits {
            context_tokens: config.context_tokens,
            kv_tokens: blocks.saturating_mul(observed.block_tokens),
            vocabulary: config.vocabulary,
        };
        Topology { model: self.model.clone(), limits, observed }
    }
}

#[tonic::async_trait]
impl Control for Service {
    type WatchUnitsStream = Watched<Changes>;

    async fn get_topology(&self, _: Request<v1::GetTopologyRequest>) -> Result<Response<v1::Topology>, Status> {
        Ok(Response::new(wire::topology(&self.0.topology())))
    }

    async fn shift(&self, request: Request<v1::ShiftRequest>) -> Result<Response<v1::ShiftReply>, Status> {
        let v1::ShiftRequest { to, how, expected_generation } = request.into_inner();
        let (to, how) = (wire::read_split(to, "to")?, wire::read_how(how)?);
        if self.0.is_stopping() {
            return Err(status::stopping());
        }
        let ticket = self.0.hub.shift(to, how, expected_generation);
        let ticket = ticket.map_err(|error| status::not_shifted(&error))?;
        Ok(Response::new(v1::ShiftReply { ticket: ticket.0 }))
    }

    async fn watch_units(&self, _: Request<v1::WatchUnitsRequest>) -> Result<Response<Self::WatchUnitsStream>, Status> {
        let served = &self.0;
        let seat = served.watchers.take().ok_or_else(|| {
            Status::resource_exhausted(format!("too many clients are watching: {} at most", served.watchers.limit()))
        })?;
        // The news first: nothing can happen between them and the state.
        let news = served.hub.news();
        let changes = Changes::new(served.topology(), news, served.parted.clone(), seat);
        Ok(Response::new(served.readers.watch(changes)))
    }

    async fn get_load(&self, _: Request<v1::GetLoadRequest>) -> Result<Response<v1::Load>, Status> {
        let mut load = self.0.load();
        load.rates = self.0.meter.rates(&load);
        Ok(Response::new(wire::load(&load)))
    }
}
