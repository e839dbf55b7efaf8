//! What a server says of itself at `/v1/models`.

use std::time::Duration;

use engine::remote::one_line;
use engine::units::Split;
use reqwest::Client;
use reqwest::header::LOCATION;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::OpenError;
use super::failure::{is_garbage, is_http2, without_query};
use super::secrets::Secrets;
use crate::http::{HttpAddress, TlsFailure, misread, read_to, root};

/// How long a model may take to appear once its workers are there, and between two looks for it.
const APPEARS: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(200);
/// The longest answer that is read.
const LONGEST: usize = 4 << 20;
/// Ray Serve LLM's word for the context, within the `metadata` of a model.
const RAYS_CONTEXT: &str = "max_request_context_length";
/// What may help where nobody answers in HTTP, or not in HTTP/2.
const TLS_HINT: &str = "\nhint: a server with TLS is https://HOST:PORT";
const HTTP1_HINT: &str = "\nhint: a server that does not speak HTTP/2 is asked without --http2";
/// Models that a message names.
const NAMED: usize = 8;

/// The model that requests will be for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) name: String,
    pub(super) context_tokens: Option<u32>,
    pub(super) vocabulary: Option<u32>,
    pub(super) split: Option<Split>,
    /// Whether it is served by the frontend of NVIDIA Dynamo.
    pub(super) is_dynamo: bool,
}

impl Served {
    /// What both serve, of one name.
    pub(super) fn beside(self, other: &Self) -> Self {
        let least = |one: Option<u32>, other: Option<u32>| one.into_iter().chain(other).min();
        Self {
            context_tokens: least(self.context_tokens, other.context_tokens),
            vocabulary: least(self.vocabulary, other.vocabulary),
            split: None,
            ..self
        }
    }
}

#[derive(Deserialize)]
struct List {
    data: Vec<Model>,
}

#[derive(Deserialize)]
struct Model {
    id: String,
    /// vLLM's and SGLang's word for the context.
    #[serde(default)]
    max_model_len: Option<u32>,
    #[serde(default)]
    owned_by: Option<String>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    pdtune: Option<Own>,
}

impl Model {
    fn context_tokens(&self) -> Option<u32> {
        let tokens = || u32::try_from(self.metadata.get(RAYS_CONTEXT)?.as_u64()?).ok();
        self.max_model_len.or_else(tokens).filter(|most| *most > 1)
    }
}
/// Who owns the models of Dynamo's frontend, by its own word (1.6.1).
const DYNAMO: &str = "nvidia";

/// What our own server adds.
#[derive(Deserialize)]
struct Own {
    #[serde(default)]
    vocabulary: Option<u32>,
    #[serde(default)]
    split: Option<String>,
}

/// Asks for the models, which may take so long, and picks `wanted`, or the only one there is.
pub(super) async fn ask(
    client: &Client,
    address: &HttpAddress,
    secrets: &Secrets,
    wanted: Option<&str>,
    within: Duration,
) -> Result<Served, OpenError> {
    let unreachable = |why| OpenError::Unreachable { address: address.clone(), why };
    let request = client.get(address.at("/v1/models")).headers(secrets.headers());
    let answered = timeout(within, async {
        let response = request.send().await?;
        let status = response.status();
        let location = response.headers().get(LOCATION).and_then(|to| to.to_str().ok().map(str::to_owned));
        Ok::<_, reqwest::Error>((status, location, read_to(response, LONGEST).await?))
    });
    let (status, location, body) = answered
        .await
        .map_err(|_| unreachable(format!("no answer within {within:?}")))?
        .map_err(|error| unanswered(address, &error))?;
    if !status.is_success() {
        let mut message = secrets.message(&body);
        if !message.is_empty() {
            message.insert_str(0, ": ");
        }
        if let Some(location) = location.filter(|_| status.is_redirection()) {
            message.insert_str(0, &format!(", redirected to {}", secrets.line(without_query(&location))));
        }
        return Err(OpenError::Status { address: address.clone(), status: status.as_u16(), message });
    }
    if body.len() > LONGEST {
        let why = format!("its list of models is longer than {} MiB", LONGEST >> 20);
        return Err(OpenError::Malformed { address: address.clone(), why });
    }
    let list: List = serde_json::from_slice(&body).map_err(|error| {
        let why = secrets.hide(&misread(&error));
        OpenError::Malformed { address: address.clone(), why }
    })?;
    pick(list.data, address, wanted)
}

/// Why there is no answer at all.
fn unanswered(address: &HttpAddress, error: &reqwest::Error) -> OpenError {
    let (address, why) = (address.clone(), root(error));
    if let Some(tls) = TlsFailure::find(error) {
        return OpenError::Tls { address, why: tls.why(), hint: tls.hint() };
    }
    let hint = if address.is_secret() { "" } else { TLS_HINT };
    match () {
        () if error.is_connect() => OpenError::Unreachable { address, why },
        () if is_http2(error) => OpenError::OtherProtocol { address, why, hint: HTTP1_HINT },
        () if is_garbage(error) => OpenError::OtherProtocol { address, why, hint },
        () => OpenError::HangsUp { address, why, hint },
    }
}

/// The model, or nothing where there is none yet.
pub(super) fn absent(answer: Result<Served, OpenError>) -> Result<Option<Served>, OpenError> {
    match answer {
        Ok(served) => Ok(Some(served)),
        Err(OpenError::NoModel { .. } | OpenError::NoSuchModel { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Asks until there is a model, whose workers have just come up: a frontend takes a moment to see them.
pub(super) async fn patiently<F: Future<Output = Result<Served, OpenError>>>(
    ask: impl Fn() -> F,
) -> Result<Served, OpenError> {
    let appears = async {
        loop {
            if let Some(served) = absent(ask().await)? {
                return Ok(served);
            }
            sleep(AGAIN).await;
        }
    };
    match timeout(APPEARS, appears).await {
        Ok(served) => served,
        Err(_) => ask().await,
    }
}

fn pick(models: Vec<Model>, address: &HttpAddress, wanted: Option<&str>) -> Result<Served, OpenError> {
    let address = address.clone();
    let served = names(&models);
    let count = models.len();
    let chosen = match wanted {
        Some(wanted) => models.into_iter().find(|model| model.id == wanted),
        None if count > 1 => return Err(OpenError::SeveralModels { address, served }),
        None => models.into_iter().next(),
    };
    match (chosen, wanted) {
        (Some(model), _) => {
            let context_tokens = model.context_tokens();
            let Model { id, owned_by, pdtune, .. } = model;
            let split = pdtune.as_ref().and_then(|own| own.split.as_ref()?.parse().ok());
            let vocabulary = pdtune.and_then(|own| own.vocabulary).filter(|vocabulary| *vocabulary > 0);
            let is_dynamo = owned_by.as_deref() == Some(DYNAMO);
            Ok(Served { name: id, context_tokens, vocabulary, split, is_dynamo })
        }
        (None, Some(asked)) if count > 0 => Err(OpenError::NoSuchModel { address, asked: asked.to_owned(), served }),
        (None, _) => Err(OpenError::NoModel { address }),
    }
}

fn names(models: &[Model]) -> String {
    let mut names: Vec<_> = models.iter().take(NAMED).map(|model| one_line(&model.id)).collect();
    if models.len() > NAMED {
        names.push(format!("{} more", models.len() - NAMED));
    }
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(list: &str, wanted: Option<&str>) -> Result<Served, String> {
        let list: List = serde_json::from_str(list).expect("a list");
        let address = "http://host:1".parse().expect("an address");
        pick(list.data, &address, wanted).map_err(|error| error.to_string())
    }

    #[test]
    fn the_only_model_is_taken_with_what_it_tells() {
        let served = |vocabulary, split: Option<&str>| Served {
            name: "m".to_owned(),
            context_tokens: Some(4096),
            vocabulary,
            split: split.map(|split| split.parse().expect("a split")),
            is_dynamo: false,
        };
        let own = r#"{"data": [{"id": "m", "max_model_len": 4096, "pdtune": {"vocabulary": 300, "split": "2P2D"}}]}"#;
        assert_eq!(picked(own, None), Ok(served(Some(300), Some("2P2D"))));
        let theirs = r#"{"object": "list", "data": [{"id": "m", "max_model_len": 4096, "permission": []}]}"#;
        assert_eq!(picked(theirs, Some("m")), Ok(served(None, None)));
        let rays = r#"{"data": [{"id": "m", "metadata": {"model_id": "m", "max_request_context_length": 4096}}]}"#;
        assert_eq!(picked(rays, None), Ok(served(None, None)));
        let strange = r#"{"data": [{"id": "m", "max_model_len": 4096, "metadata": ["of", "another"]}]}"#;
        assert_eq!(picked(strange, None), Ok(served(None, None)));
    }

    #[test]
    fn the_frontend_of_dynamo_is_known_by_its_owner() {
        let list = r#"{"object": "list", "data": [{"id": "tiny", "object": "model", "created": 1795975134,
            "owned_by": "nvidia", "context_window": 0}]}"#;
        let served = picked(list, None).expect("a model");
        assert!(served.is_dynamo && served.context_tokens.is_none(), "{served:?}");
        assert!(!picked(r#"{"data": [{"id": "m", "owned_by": "vllm"}]}"#, None).expect("a model").is_dynamo);
    }

    #[test]
    fn of_several_models_one_has_to_be_named() {
        let list = r#"{"data": [{"id": "a"}, {"id": "b"}]}"#;
        assert_eq!(picked(list, Some("b")).map(|served| served.name), Ok("b".to_owned()));
        let error = picked(list, None).expect_err("which?");
        assert!(error.contains("serves several models: a, b\nhint: "), "{error}");
        let error = picked(list, Some("c")).expect_err("none of them");
        assert!(error.contains("does not serve c, but a, b\nhint: "), "{error}");
        let error = picked(r#"{"data": []}"#, None).expect_err("none");
        assert!(error.contains("it lists no model"), "{error}");
        let address: HttpAddress = "http://host:1".parse().expect("an address");
        assert!(pick(Vec::new(), &address, Some("m")).is_err_and(|error| error.may_pass()), "it may come");
        let many: Vec<_> = (0..30).map(|i| format!(r#"{{"id": "m{i}"}}"#)).collect();
        let error = picked(&format!(r#"{{"data": [{}]}}"#, many.join(",")), None).expect_err("which?");
        assert!(error.contains("m7, 22 more"), "{error}");
    }
}
