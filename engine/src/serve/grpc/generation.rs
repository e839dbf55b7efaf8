//! The service that generates.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::answer::Events;
use super::readers::Watched;
use super::{Served, status};
use crate::wire::v1::generation_server::Generation;
use crate::wire::{self, v1};

pub(super) struct Service(pub(super) Arc<Served>);

#[tonic::async_trait]
impl Generation for Service {
    type GenerateStream = Watched<Events>;

    async fn generate(&self, request: Request<v1::GenerateRequest>) -> Result<Response<Self::GenerateStream>, Status> {
        let Self(served) = self;
        let request = request.into_inner();
        if !request.model.is_empty() && request.model != served.model {
            return Err(status::no_model(&request.model, &served.model));
        }
        let generation = wire::asked(request)?;
        let seat = served.answers.take().ok_or_else(|| {
            Status::resource_exhausted(format!("too many answers are open: {} at most", served.answers.limit()))
        })?;
        let answers = served.hub.generate(vec![generation]).map_err(|refusal| status::refused(&refusal))?;
        // One was asked for, and all of a batch or nothing is given.
        let answer = answers.into_iter().next().ok_or_else(|| Status::internal("no answer to one request"))?;
        Ok(Response::new(served.readers.watch(Events::new(answer, seat))))
    }
}
