//! Calls to the dashboard, of bounded size and time.

use std::fmt::Write;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::control::plane::CallError;
use crate::http::{self, ApiKey, HttpAddress, HttpOptions, message, read_to, root, unreachable, with_key};

/// How long a call may take. The dashboard has been seen to take 2.5 s for a PUT.
const CALL: Duration = Duration::from_secs(15);
/// The longest answer that is read: a cluster of a thousand replicas tells about a megabyte.
const LONGEST: usize = 32 << 20;
/// How long a connection is kept.
const IDLE: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    address: HttpAddress,
    key: Option<ApiKey>,
}

/// An answer that may be JSON.
#[derive(Debug)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    /// # Errors
    /// One line: what is not as expected.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.0).map_err(|error| {
            format!("the dashboard did not answer as Ray Serve's does: {error}\nhint: is it the port of the dashboard, 8265 by default?")
        })
    }
}

/// Why there is no good answer.
enum Failed {
    /// The request was not sent.
    Unsent(String),
    /// It was answered with a status of its own.
    Status(StatusCode, String),
    /// Nobody knows.
    Unclear(String),
}

impl Api {
    pub(super) fn new(address: &HttpAddress, key: Option<ApiKey>, http: &HttpOptions) -> Result<Self, String> {
        Ok(Self { client: http::client(IDLE, &http.of_controls())?, address: address.clone(), key })
    }

    /// Everything about Ray Serve.
    ///
    /// # Errors
    /// One line: why there is no answer.
    pub(super) async fn instance(&self) -> Result<Answer, String> {
        let address = self.address.at("/api/serve/applications/");
        let answer = self.send(self.client.get(&address)).await;
        answer.map(Answer).map_err(|failed| match failed {
            Failed::Unsent(why) => format!("cannot reach {}: {why}", self.address),
            Failed::Unclear(why) => format!("{} did not answer: {why}", self.address),
            Failed::Status(status, said) => {
                format!(
                    "{address} answered {}{said}\nhint: is it the port of Ray's dashboard, 8265 by default?",
                    status.as_u16()
                )
            }
        })
    }

    /// States everything that shall be.
    pub(super) async fn put(&self, desired: &Value) -> Result<(), CallError> {
        self.order(self.client.put(self.address.at("/api/serve/applications/")), desired).await
    }

    /// Wants `target` replicas of a deployment.
    pub(super) async fn scale(&self, application: &str, deployment: &str, target: u32) -> Result<(), CallError> {
        let path = format!("/api/v1/applications/{}/deployments/{}/scale", escaped(application), escaped(deployment));
        self.order(self.client.post(self.address.at(&path)), &json!({ "target_num_replicas": target })).await
    }

    async fn order(&self, request: RequestBuilder, body: &Value) -> Result<(), CallError> {
        let text = body.to_string();
        let sent = self.send(request.header("content-type", "application/json").body(text)).await;
        sent.map(|_| ()).map_err(|failed| match failed {
            Failed::Unsent(why) => CallError::Refused(format!("cannot reach {}: {why}", self.address)),
            Failed::Status(status, said) if status.is_client_error() => {
                CallError::Refused(format!("Ray refused it with {}{said}", status.as_u16()))
            }
            Failed::Status(status, said) => CallError::Unclear(format!("Ray answered {}{said}", status.as_u16())),
            Failed::Unclear(why) => CallError::Unclear(why),
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, Failed> {
        let key = self.key.as_ref();
        let exchange = async {
            let response = with_key(request, key).send().await.map_err(|error| {
                if error.is_connect() { Failed::Unsent(unreachable(&error)) } else { Failed::Unclear(root(&error)) }
            })?;
            let status = response.status();
            let body = read_to(response, LONGEST).await.map_err(|error| Failed::Unclear(root(&error)))?;
            if body.len() > LONGEST {
                return Err(Failed::Unclear(format!("an answer of more than {} MB", LONGEST >> 20)));
            }
            if status.is_success() {
                return Ok(body);
            }
            let said = message(&body, key);
            Err(Failed::Status(status, if said.is_empty() { said } else { format!(": {said}") }))
        };
        let late = || Failed::Unclear(format!("no answer within {} s", CALL.as_secs()));
        tokio::time::timeout(CALL, exchange).await.unwrap_or_else(|_| Err(late()))
    }
}

/// A name as a segment of a path; the colon of a deployment's name may stand there.
fn escaped(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => text.push(byte as char),
            other => {
                // Writing to a string cannot fail.
                let _ = write!(text, "%{other:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_leave_its_segment() {
        assert_eq!(escaped("Prefill:tiny"), "Prefill:tiny");
        assert_eq!(escaped("../a b?c/ü"), "..%2Fa%20b%3Fc%2F%C3%BC");
    }
}
