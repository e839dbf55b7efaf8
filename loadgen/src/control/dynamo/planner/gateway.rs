//! etcd by its HTTP gateway (`/v3/…`, as in 3.4 and later): numbers are texts, keys and values are base64.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::base64::{decode, encode};
use crate::control::plane::CallError;
use crate::http::{self, HttpAddress, HttpOptions, message, misread, read_to, root};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LONGEST: usize = 16 << 20;
/// How long a connection is kept.
const IDLE: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Etcd {
    client: Client,
    address: HttpAddress,
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) key: String,
    pub(super) value: String,
    /// When it was last written, in etcd's own count.
    pub(super) revision: i64,
    /// The lease with which it will go; 0 without one.
    pub(super) lease: i64,
}

#[derive(Deserialize)]
struct Range {
    #[serde(default)]
    kvs: Vec<Kv>,
}

#[derive(Deserialize)]
struct Kv {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    mod_revision: String,
    #[serde(default)]
    lease: String,
}

#[derive(Deserialize)]
struct Granted {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
struct Kept {
    result: Life,
}

#[derive(Deserialize)]
struct Life {
    /// Absent of a lease that is no more.
    #[serde(rename = "TTL", default)]
    ttl: Option<String>,
}

#[derive(Deserialize)]
struct Done {
    #[serde(default)]
    succeeded: bool,
}

impl Etcd {
    /// # Errors
    /// One line: why there is no HTTP client.
    pub(super) fn new(address: &HttpAddress, http: &HttpOptions) -> Result<Self, String> {
        Ok(Self { client: http::client(IDLE, &http.of_controls())?, address: address.clone() })
    }

    /// All keys that begin with `prefix`.
    ///
    /// # Errors
    /// One line: why there is no answer.
    pub(super) async fn below(&self, prefix: &str) -> Result<Vec<Pair>, String> {
        let mut end = prefix.as_bytes().to_vec();
        // The first key behind all of them; a prefix here is text, whose last byte can be followed.
        if let Some(last) = end.last_mut() {
            *last = last.saturating_add(1);
        }
        let body = json!({ "key": encode(prefix.as_bytes()), "range_end": encode(&end) });
        let Range { kvs } = self.call("/v3/kv/range", &body).await.map_err(|error| error.to_string())?;
        kvs.into_iter().map(Kv::pair).collect()
    }

    /// A new lease of `seconds`.
    pub(super) async fn grant(&self, seconds: u32) -> Result<i64, CallError> {
        let Granted { id } = self.call("/v3/lease/grant", &json!({ "TTL": seconds })).await?;
        id.parse().map_err(|_| CallError::Refused(format!("{} has granted a lease without a number", self.address)))
    }

    /// Whether a lease was there to be renewed.
    ///
    /// # Errors
    /// One line: why there is no answer.
    pub(super) async fn keep(&self, lease: i64) -> Result<bool, String> {
        let kept: Result<Kept, _> = self.call("/v3/lease/keepalive", &json!({ "ID": lease.to_string() })).await;
        kept.map(|kept| kept.result.ttl.is_some()).map_err(|error| error.to_string())
    }

    /// Ends a lease, with all keys that hang on it.
    pub(super) async fn revoke(&self, lease: i64) -> Result<(), CallError> {
        self.call::<Value>("/v3/lease/revoke", &json!({ "ID": lease.to_string() })).await.map(|_| ())
    }

    /// Writes all of `pairs` under `lease` if `key` was last written at `revision`; `false` if it was not, and nothing was written.
    pub(super) async fn put_if(
        &self,
        (key, revision): (&str, i64),
        pairs: &[(String, String)],
        lease: i64,
    ) -> Result<bool, CallError> {
        let put = |(key, value): &(String, String)| {
            let (key, value) = (encode(key.as_bytes()), encode(value.as_bytes()));
            json!({ "request_put": { "key": key, "value": value, "lease": lease.to_string() } })
        };
        let unchanged = json!({
            "key": encode(key.as_bytes()), "target": "MOD", "result": "EQUAL", "mod_revision": revision.to_string(),
        });
        let body = json!({ "compare": [unchanged], "success": pairs.iter().map(put).collect::<Vec<_>>() });
        let Done { succeeded } = self.call("/v3/kv/txn", &body).await?;
        Ok(succeeded)
    }

    async fn call<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, CallError> {
        let address = &self.address;
        let unclear = |why: String| CallError::Unclear(format!("{address}{path}: {why}"));
        let exchange = async {
            let request = self.client.post(address.at(path)).header("content-type", "application/json");
            let response = request.body(body.to_string()).send().await.map_err(|error| {
                let why = format!("cannot reach {address}: {}", root(&error));
                // What was not sent can be sent again.
                if error.is_connect() { CallError::NotYet(why) } else { CallError::Unclear(why) }
            })?;
            let status = response.status();
            let body = read_to(response, LONGEST).await.map_err(|error| unclear(root(&error)))?;
            if !status.is_success() {
                let said = message(&body, None);
                let why = format!("{address}{path} answered {}: {said}", status.as_u16());
                return Err(match status.as_u16() {
                    // Too late, too early, too many: nothing was done, and may be in a while.
                    408 | 425 | 429 => CallError::NotYet(why),
                    _ if status.is_client_error() => CallError::Refused(why),
                    _ => CallError::Unclear(why),
                });
            }
            serde_json::from_slice(&body).map_err(|error| unclear(format!("not as etcd answers: {}", misread(&error))))
        };
        let late = || Err(unclear(format!("no answer within {} s", CALL.as_secs())));
        tokio::time::timeout(CALL, exchange).await.unwrap_or_else(|_| late())
    }
}

impl Kv {
    fn pair(self) -> Result<Pair, String> {
        let text = |encoded: &str| String::from_utf8(decode(encoded)?).ok();
        // What is no text is no value that is known here.
        let (key, value) = (text(&self.key).ok_or("a key that is no text")?, text(&self.value).unwrap_or_default());
        let number = |text: &str| text.parse().unwrap_or(0);
        Ok(Pair { key, value, revision: number(&self.mod_revision), lease: number(&self.lease) })
    }
}
