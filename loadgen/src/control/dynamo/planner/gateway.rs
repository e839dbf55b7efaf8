//! etcd by its HTTP gateway (`/v3/…`, as in 3.4 and later): numbers are texts, keys and values are base64.

use serde::Deserialize;
use serde_json::{Value, json};

use super::base64::{decode, encode};
use super::login::EtcdLogin;
use super::session::Session;
use crate::control::plane::{CallError, Unseen};
use crate::http::{HttpAddress, HttpOptions};

#[derive(Debug)]
pub(super) struct Etcd {
    session: Session,
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
    pub(super) fn new(address: &HttpAddress, login: Option<EtcdLogin>, http: &HttpOptions) -> Result<Self, String> {
        Ok(Self { session: Session::new(address, login, http)? })
    }

    /// All keys that begin with `prefix`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn below(&mut self, prefix: &str) -> Result<Vec<Pair>, Unseen> {
        let mut end = prefix.as_bytes().to_vec();
        // The first key behind all of them; a prefix here is text, whose last byte can be followed.
        if let Some(last) = end.last_mut() {
            *last = last.saturating_add(1);
        }
        let body = json!({ "key": encode(prefix.as_bytes()), "range_end": encode(&end) });
        let Range { kvs } = self.session.ask("/v3/kv/range", &body).await?;
        Ok(kvs.into_iter().map(Kv::pair).collect::<Result<_, String>>()?)
    }

    /// A new lease of `seconds`.
    pub(super) async fn grant(&mut self, seconds: u32) -> Result<i64, CallError> {
        let Granted { id } = self.session.order("/v3/lease/grant", &json!({ "TTL": seconds })).await?;
        id.parse().map_err(|_| CallError::Refused("etcd has granted a lease without a number".to_owned()))
    }

    /// Whether a lease was there to be renewed.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn keep(&mut self, lease: i64) -> Result<bool, Unseen> {
        let Kept { result } = self.session.ask("/v3/lease/keepalive", &json!({ "ID": lease.to_string() })).await?;
        Ok(result.ttl.is_some())
    }

    /// Ends a lease, with all keys that hang on it.
    pub(super) async fn revoke(&mut self, lease: i64) -> Result<(), CallError> {
        self.session.order::<Value>("/v3/lease/revoke", &json!({ "ID": lease.to_string() })).await.map(|_| ())
    }

    /// Writes all of `pairs` under `lease` if `key` was last written at `revision`; `false` if it was not, and nothing was written.
    pub(super) async fn put_if(
        &mut self,
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
        let Done { succeeded } = self.session.order("/v3/kv/txn", &body).await?;
        Ok(succeeded)
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
