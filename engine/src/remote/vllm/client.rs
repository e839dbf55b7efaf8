//! The client.

use std::sync::Arc;

use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::{VllmAddress, VllmAnswer};
use crate::remote::channels::Channels;
use crate::remote::key::Present;
use crate::remote::peer::Service;
use crate::remote::stamp::Telling;
use crate::remote::{RemoteConfig, RemoteError};
use crate::wire::vllm;
use crate::wire::vllm::generate_request::Input;
use crate::wire::vllm::vllm_engine_client::VllmEngineClient;

/// An engine of vLLM's; cheap to clone, and used from any number of tasks.
#[derive(Clone, Debug)]
pub struct VllmEngine(Arc<Channels>);

/// Whether it is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VllmHealth {
    /// It is.
    pub healthy: bool,
    /// What it says of that.
    pub message: String,
}

/// What it serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VllmModel {
    /// What clients call the model.
    pub name: String,
    /// Whether it generates answers, and not something else.
    pub generates: bool,
    /// Longest sequence, prompt and answer together; 0 where it does not tell.
    pub context_tokens: u32,
    /// Token ids run from 0 to this, exclusive; 0 where it does not tell.
    pub vocabulary: u32,
}

/// How it runs, as far as it tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VllmServer {
    /// Replicas among which it shares its requests out.
    pub ranks: Option<u32>,
    /// What it was started with, by the service's own names.
    pub arguments: Vec<(&'static str, String)>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct VllmRequest {
    /// What it is called in the engine and its logs.
    pub id: String,
    /// The trace that it belongs to, as the W3C's Trace Context writes it.
    pub traceparent: Option<String>,
    /// Token ids of its prompt.
    pub prompt: Arc<[u32]>,
    /// Tokens that its answer shall have.
    pub output_tokens: u32,
}

type Carrier = InterceptedService<Channel, Present>;

impl VllmEngine {
    /// Makes all connections. Has to be called within a tokio runtime, which then carries them.
    ///
    /// # Errors
    /// When a connection cannot be made.
    pub async fn connect(address: VllmAddress, config: RemoteConfig) -> Result<Self, RemoteError> {
        let VllmAddress(address) = address;
        Ok(Self(Arc::new(Channels::connect(address, config, Service::Vllm).await?)))
    }

    /// Whether it is up.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn health(&self) -> Result<VllmHealth, RemoteError> {
        let mut client = self.client();
        let health = self.0.call(client.health_check(vllm::HealthCheckRequest {})).await?;
        Ok(VllmHealth { healthy: health.healthy, message: self.0.peer.words(&health.message) })
    }

    /// What it serves.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn model(&self) -> Result<VllmModel, RemoteError> {
        let mut client = self.client();
        let model = self.0.call(client.get_model_info(vllm::GetModelInfoRequest {})).await?;
        let name = if model.served_model_name.is_empty() { &model.model_path } else { &model.served_model_name };
        Ok(VllmModel {
            name: self.0.peer.words(name),
            generates: model.is_generation,
            context_tokens: model.max_context_length,
            vocabulary: model.vocab_size,
        })
    }

    /// How it runs.
    ///
    /// # Errors
    /// When the call fails.
    pub async fn server(&self) -> Result<VllmServer, RemoteError> {
        let mut client = self.client();
        let server = self.0.call(client.get_server_info(vllm::GetServerInfoRequest {})).await?;
        let number = |number: i32| if number > 0 { number.to_string() } else { String::new() };
        let all = [
            ("server_type", self.0.peer.words(&server.server_type)),
            ("kv_connector", self.0.peer.words(&server.kv_connector)),
            ("kv_role", self.0.peer.words(&server.kv_role)),
            ("data_parallel_size", number(server.data_parallel_size)),
            ("kv_cache_dtype", self.0.peer.words(&server.kv_cache_dtype)),
            ("block_size", number(server.block_size)),
            ("attention_backend", self.0.peer.words(&server.attention_backend)),
            ("model_dtype", self.0.peer.words(&server.model_dtype)),
            ("max_num_seqs", number(server.max_num_seqs)),
        ];
        let arguments = all.into_iter().filter(|(_, said)| !said.is_empty()).collect();
        let ranks = u32::try_from(server.data_parallel_size).ok().filter(|ranks| *ranks > 0);
        Ok(VllmServer { ranks, arguments })
    }

    /// The version of vLLM; empty where it does not tell.
    ///
    /// # Errors
    /// When the call fails, as that of an older server does.
    pub async fn version(&self) -> Result<String, RemoteError> {
        let mut client = self.client();
        let loads = self.0.call(client.get_loads(vllm::GetLoadsRequest {})).await?;
        Ok(self.0.peer.words(&loads.version))
    }

    /// Asks for a streamed, greedy answer of exactly the length wanted; `sent` is called when its connection takes the request.
    /// Returns when the server has begun to answer, which many do with the first token: how long that may take is for the caller
    /// to say.
    ///
    /// # Errors
    /// When the server refuses it, or the call fails.
    pub async fn generate(
        &self,
        request: &VllmRequest,
        sent: impl FnOnce() + Send + Unpin + 'static,
    ) -> Result<VllmAnswer, RemoteError> {
        let carrier = Telling::new(self.0.next(), sent);
        let mut client = VllmEngineClient::with_interceptor(carrier, self.0.presented());
        let mut call = Request::new(wire(request));
        if let Some(trace) = request.traceparent.as_ref().and_then(|trace| trace.parse::<MetadataValue<Ascii>>().ok()) {
            call.metadata_mut().insert("traceparent", trace);
        }
        let answer = client.generate(call).await.map_err(|status| self.0.peer.status(&status))?;
        Ok(VllmAnswer::new(Arc::clone(&self.0.peer), answer.into_inner()))
    }

    fn client(&self) -> VllmEngineClient<Carrier> {
        VllmEngineClient::with_interceptor(self.0.next(), self.0.presented())
    }
}

/// With `ignore_eos` nothing ends an answer but its length, so that `min_tokens` would only cost the engine a mask over the logits
/// of every step.
fn wire(request: &VllmRequest) -> vllm::GenerateRequest {
    let VllmRequest { id, prompt, output_tokens, traceparent: _ } = request;
    vllm::GenerateRequest {
        request_id: id.clone(),
        input: Some(Input::Tokenized(vllm::TokenizedInput { input_ids: prompt.to_vec() })),
        sampling_params: Some(vllm::SamplingParams {
            temperature: Some(0.0),
            max_tokens: Some(*output_tokens),
            ignore_eos: true,
        }),
        stream: true,
    }
}
