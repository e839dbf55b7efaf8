//! Calls to the dashboard, of bounded size and time.

use std::fmt::Write;
use std::time::Duration;

use reqwest::RequestBuilder;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::words::words;
use crate::control::plane::{CallError, Unseen};
use crate::control::rest::{Failed, KEY_HINT, Rest, wants_key};
use crate::http::{self, ApiKey, HttpAddress, HttpOptions, misread};

/// How long a call may take. The dashboard has been seen to take 2.5 s for a PUT.
const CALL: Duration = Duration::from_secs(15);
/// The longest answer that is read: a cluster of a thousand replicas tells about a megabyte.
const LONGEST: usize = 32 << 20;
/// How long a connection is kept.
const IDLE: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Api {
    rest: Rest,
    address: HttpAddress,
}

/// An answer that may be JSON.
#[derive(Debug)]
pub(super) struct Answer(Vec<u8>);

impl Answer {
    /// # Errors
    /// One line: what is not as expected.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_slice(&self.0).map_err(|error| {
            let why = misread(&error);
            format!("the dashboard did not answer as Ray Serve's does: {why}\nhint: is it the port of the dashboard, 8265 by default?")
        })
    }
}

impl Api {
    pub(super) fn new(address: &HttpAddress, key: Option<ApiKey>, http: &HttpOptions) -> Result<Self, String> {
        let client = http::client(IDLE, &http.of_controls())?;
        Ok(Self { rest: Rest::new(client, key, LONGEST), address: address.clone() })
    }

    /// Everything about Ray Serve.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(super) async fn instance(&self) -> Result<Answer, Unseen> {
        let address = self.address.at("/api/serve/applications/");
        let answer = self.rest.send(self.rest.client().get(&address), CALL).await;
        answer.map(Answer).map_err(|failed| match failed {
            Failed::Status(status, _) => {
                let elsewhere = "\nhint: is it the port of Ray's dashboard, 8265 by default?";
                let hint = if wants_key(status) { KEY_HINT } else { elsewhere };
                self.rest.unanswered(&address, failed).and(hint)
            }
            failed => self.rest.unanswered(&self.address.to_string(), failed),
        })
    }

    /// States everything that shall be.
    pub(super) async fn put(&self, desired: &Value) -> Result<(), CallError> {
        self.order(self.rest.client().put(self.address.at("/api/serve/applications/")), desired).await
    }

    /// Wants `target` replicas of a deployment.
    pub(super) async fn scale(&self, application: &str, deployment: &str, target: u32) -> Result<(), CallError> {
        let path = format!("/api/v1/applications/{}/deployments/{}/scale", escaped(application), escaped(deployment));
        self.order(self.rest.client().post(self.address.at(&path)), &json!({ "target_num_replicas": target })).await
    }

    async fn order(&self, request: RequestBuilder, body: &Value) -> Result<(), CallError> {
        let text = body.to_string();
        let request = request.header("content-type", "application/json").body(text);
        match self.rest.send(request, CALL).await {
            Ok(_) => Ok(()),
            Err(failed) => Err(self.rest.call_error(&format!("Ray at {}", self.address), in_words(failed))),
        }
    }
}

/// What an answer that is no good says, in Ray's words.
fn in_words(failed: Failed) -> Failed {
    match failed {
        Failed::Status(status, body) => Failed::Status(status, words(&String::from_utf8_lossy(&body)).into_bytes()),
        failed => failed,
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
