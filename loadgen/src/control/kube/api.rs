//! Calls to the API server, of bounded size and time. Whom to ask, and as whom, is the kubeconfig's.

use std::error::Error;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use ::kube::client::Body;
use ::kube::config::{KubeConfigOptions, Kubeconfig};
use ::kube::{Client, Config};
use engine::remote::one_line;
use http_body::Body as _;
use hyper::{Method, Request, Response, Uri};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::failure::Failure;
use super::place::Place;
use crate::http::{HttpOptions, TlsFailure, misread};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(15);
/// The longest answer that is read: a thousand pods with everything about them take some ten megabytes.
const LONGEST: usize = 32 << 20;
/// Who changes things, as `managedFields` will say.
pub(super) const MANAGER: &str = "pdtune";

/// How a patch is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patch {
    /// The fields that change (RFC 7386).
    Merge,
    /// A list of operations (RFC 6902).
    Json,
}

impl Patch {
    fn content_type(self) -> &'static str {
        match self {
            Self::Merge => "application/merge-patch+json",
            Self::Json => "application/json-patch+json",
        }
    }
}

/// A cluster's API.
pub(super) struct Api {
    client: Client,
    namespace: String,
}

impl Api {
    /// Reads the kubeconfig; nothing is asked yet. Needs a runtime, to which it is bound.
    ///
    /// # Errors
    /// One line: what is wrong with the kubeconfig.
    pub(super) async fn connect(
        file: Option<&PathBuf>,
        context: Option<&String>,
        namespace: &str,
        http: &HttpOptions,
    ) -> Result<Self, String> {
        let options = KubeConfigOptions { context: context.cloned(), ..KubeConfigOptions::default() };
        let config = match (file, context) {
            (Some(file), _) => match Kubeconfig::read_from(file) {
                Ok(read) => Config::from_custom_kubeconfig(read, &options).await.map_err(|error| chain(&error)),
                Err(error) => Err(chain(&error)),
            },
            (None, Some(_)) => Config::from_kubeconfig(&options).await.map_err(|error| chain(&error)),
            // Inside of a cluster, the service account's.
            (None, None) => Config::infer().await.map_err(|error| chain(&error)),
        };
        let mut config = config.map_err(|why| format!("there is no usable kubeconfig: {why}"))?;
        add(http, &mut config)?;
        // Each call has its own bound, and is not made twice unasked.
        config.default_retry = false;
        let client =
            Client::try_from(config).map_err(|error| format!("the kubeconfig cannot be used: {}", chain(&error)))?;
        Ok(Self { client, namespace: namespace.to_owned() })
    }

    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Reads an object, or a list.
    pub(super) async fn get<T: DeserializeOwned>(&self, place: &Place) -> Result<T, Failure> {
        let verb = if place.is_list() { "list" } else { "get" };
        let body = self.send(Method::GET, verb, place, &place.path(&self.namespace), None).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::Odd(format!("{place} is not as expected: {}", misread(&error))))
    }

    /// Reads what the cluster says of a group of its API.
    pub(super) async fn group<T: DeserializeOwned>(&self, group: &str) -> Result<T, Failure> {
        let place = Place::list(group, "", "");
        let body = self.send(Method::GET, "get", &place, &format!("/apis/{group}"), None).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Failure::Odd(format!("{group} is not as expected: {}", misread(&error))))
    }

    /// Reads a text that a pod serves.
    pub(super) async fn text(&self, place: &Place) -> Result<String, Failure> {
        let body = self.send(Method::GET, "get", place, &place.path(&self.namespace), None).await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// Changes an object; of a rehearsal, the cluster says whether it would, and keeps nothing.
    pub(super) async fn patch(&self, place: &Place, how: Patch, body: &Value, rehearsed: bool) -> Result<(), Failure> {
        let rehearsal = if rehearsed { "&dryRun=All" } else { "" };
        let path = format!("{}?fieldManager={MANAGER}{rehearsal}", place.path(&self.namespace));
        self.send(Method::PATCH, "patch", place, &path, Some((how, body))).await.map(|_| ())
    }

    async fn send(
        &self,
        method: Method,
        verb: &'static str,
        place: &Place,
        path: &str,
        body: Option<(Patch, &Value)>,
    ) -> Result<Vec<u8>, Failure> {
        let mut request = Request::builder().method(method).uri(path).header("accept", "application/json");
        if let Some((how, _)) = body {
            request = request.header("content-type", how.content_type());
        }
        let body = body.map(|(_, body)| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(Body::from(body)).map_err(|error| Failure::Unsent(error.to_string()))?;
        let exchange = async {
            let response = self.client.send(request).await.map_err(|error| unsent(&error))?;
            let status = response.status().as_u16();
            let said = read(response).await?;
            if (200..300).contains(&status) {
                return Ok(said);
            }
            Err(Failure::of_status(status, &said, verb, place, &self.namespace))
        };
        let late = || Err(Failure::Unclear(format!("no answer within {} s", CALL.as_secs())));
        tokio::time::timeout(CALL, exchange).await.unwrap_or_else(|_| late())
    }
}

/// Adds what the user has said of the way to servers to what the kubeconfig says.
fn add(http: &HttpOptions, config: &mut Config) -> Result<(), String> {
    config.connect_timeout = Some(http.connect_timeout);
    if !http.trust.is_empty() {
        config.root_cert = Some(http.trust.beside(config.root_cert.take()));
        // Read again every minute, it would go before them.
        config.root_cert_file = None;
    }
    if let Some(proxy) = &http.proxy {
        config.proxy_url = Some(proxy.to_string().parse::<Uri>().map_err(|error| format!("--proxy {proxy}: {error}"))?);
    }
    Ok(())
}

/// Why a request has no answer.
fn unsent(error: &::kube::Error) -> Failure {
    match TlsFailure::find(error) {
        Some(tls) => Failure::Tls(format!("cannot reach the cluster: {}{}", tls.why(), tls.hint())),
        None => Failure::Unclear(chain(error)),
    }
}

/// An answer's body, if it is not too long.
async fn read(response: Response<Body>) -> Result<Vec<u8>, Failure> {
    let mut body = response.into_body();
    let mut said = Vec::new();
    while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| Failure::Unclear(one_line(&error.to_string())))?;
        said.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if said.len() > LONGEST {
            return Err(Failure::Unclear(format!("an answer of more than {} MB", LONGEST >> 20)));
        }
    }
    Ok(said)
}

/// An error with the reasons behind it, in one line; a reason that the one before it has told is left out.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(reason) = next {
        let said = reason.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = reason.source();
    }
    one_line(&text)
}
