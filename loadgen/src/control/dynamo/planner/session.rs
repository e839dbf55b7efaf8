//! Calls to etcd, of bounded size and time, as whom we are. Where it has users, it gives one a token for the password, and forgets
//! it after some minutes or with any change of that user's.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::login::EtcdLogin;
use crate::control::plane::{CallError, Unseen};
use crate::control::rest::{Failed, Rest, wants_key};
use crate::http::{self, ApiKey, HttpAddress, HttpOptions, misread};

/// How long a call may take.
const CALL: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const LONGEST: usize = 16 << 20;
/// How long a connection is kept.
const IDLE: Duration = Duration::from_secs(4);
/// Where a token is given.
const AUTHENTICATE: &str = "/v3/auth/authenticate";
/// What etcd says (3.4 to 3.6) of a call with a token that is no more, with none, and with one of before users were changed.
const STALE: [&str; 3] = ["invalid auth token", "user name is empty", "revision of auth store is old"];

#[derive(Debug)]
pub(super) struct Session {
    rest: Rest,
    address: HttpAddress,
    /// Who we are, where that was said.
    login: Option<EtcdLogin>,
    standing: Standing,
}

/// What etcd knows of us.
#[derive(Debug)]
enum Standing {
    /// Nothing yet, or not any more.
    Unknown,
    /// It asks nobody who they are.
    Open,
    /// Who we are, by this token.
    Given(ApiKey),
}

/// What went wrong, and where that was asked.
struct Failure {
    path: &'static str,
    failed: Failed,
}

impl Session {
    /// # Errors
    /// One line: why there is no HTTP client.
    pub(super) fn new(address: &HttpAddress, login: Option<EtcdLogin>, http: &HttpOptions) -> Result<Self, String> {
        let client = http::client(IDLE, &http.of_controls())?;
        Ok(Self {
            rest: Rest::new(client, None, LONGEST),
            address: address.clone(),
            login,
            standing: Standing::Unknown,
        })
    }

    /// Asks something that changes nothing.
    pub(super) async fn ask<T: DeserializeOwned>(&mut self, path: &'static str, body: &Value) -> Result<T, Unseen> {
        let answer = self.send(path, body).await.map_err(|failed| self.unseen(failed))?;
        self.read(path, &answer).map_err(Unseen::Never)
    }

    /// Asks for a change.
    pub(super) async fn order<T: DeserializeOwned>(
        &mut self,
        path: &'static str,
        body: &Value,
    ) -> Result<T, CallError> {
        let answer = self.send(path, body).await.map_err(|failed| self.call_error(failed))?;
        self.read(path, &answer).map_err(CallError::Unclear)
    }

    fn read<T: DeserializeOwned>(&self, path: &str, answer: &[u8]) -> Result<T, String> {
        let address = &self.address;
        serde_json::from_slice(answer)
            .map_err(|error| format!("{address}{path}: not as etcd answers: {}", misread(&error)))
    }

    /// Sends a call, as whom we are to be. A token that etcd does not know any more, or not yet, has kept the call from being made:
    /// it is made again, once, with another one.
    async fn send(&mut self, path: &'static str, body: &Value) -> Result<Vec<u8>, Failure> {
        if matches!(self.standing, Standing::Unknown) {
            self.authenticate().await?;
        }
        match self.post(path, body).await {
            Err(Failed::Status(_, said)) if self.login.is_some() && has(&said, &STALE) => {
                self.authenticate().await?;
                self.post(path, body).await
            }
            answer => answer,
        }
        .map_err(|failed| Failure { path, failed })
    }

    /// Has etcd give a token, where we are somebody.
    async fn authenticate(&mut self) -> Result<(), Failure> {
        #[derive(Deserialize)]
        struct Given {
            token: String,
        }
        self.standing = Standing::Unknown;
        let Some(login) = &self.login else {
            self.standing = Standing::Open;
            return Ok(());
        };
        let body = login.body();
        let of = |failed| Failure { path: AUTHENTICATE, failed };
        match self.post(AUTHENTICATE, &body).await {
            Ok(said) => {
                let given = serde_json::from_slice(&said).ok().and_then(|Given { token }| ApiKey::new(token));
                let token = given.ok_or_else(|| of(Failed::Unsendable("it has given no token".to_owned())))?;
                self.standing = Standing::Given(token);
                Ok(())
            }
            Err(Failed::Status(_, said)) if has(&said, &["authentication is not enabled"]) => {
                self.standing = Standing::Open;
                Ok(())
            }
            // What we were about has not been sent, whatever became of this.
            Err(Failed::Unclear(why)) => Err(of(Failed::Unsent(why))),
            Err(failed) => match self.hidden(failed) {
                Failed::Status(status, said) if status.is_server_error() => {
                    Err(of(Failed::Unsent(self.rest.said(status, &said))))
                }
                failed => Err(of(failed)),
            },
        }
    }

    fn token(&self) -> Option<&ApiKey> {
        match &self.standing {
            Standing::Given(token) => Some(token),
            Standing::Unknown | Standing::Open => None,
        }
    }

    async fn post(&self, path: &str, body: &Value) -> Result<Vec<u8>, Failed> {
        let request = self.rest.client().post(self.address.at(path)).header("content-type", "application/json");
        let request = match self.token().and_then(|token| HeaderValue::from_str(token.reveal()).ok()) {
            Some(mut value) => {
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            None => request,
        };
        self.rest.send(request.body(body.to_string()), CALL).await
    }

    /// Without what nobody shall see, should it be repeated.
    fn hidden(&self, failed: Failed) -> Failed {
        let Failed::Status(status, said) = failed else { return failed };
        let mut text = String::from_utf8_lossy(&said).into_owned();
        if let Some(login) = &self.login {
            text = login.hide_in(&text);
        }
        if let Some(token) = self.token() {
            text = token.hide_in(&text);
        }
        Failed::Status(status, text.into_bytes())
    }

    fn unseen(&self, Failure { path, failed }: Failure) -> Unseen {
        let hint = self.hint(&failed);
        self.rest.unanswered(&format!("{}{path}", self.address), self.hidden(failed)).and(hint)
    }

    fn call_error(&self, Failure { path, failed }: Failure) -> CallError {
        self.rest.call_error(&format!("{}{path}", self.address), self.hidden(failed))
    }

    /// What may help, on a line of its own, or nothing.
    fn hint(&self, failed: &Failed) -> &'static str {
        match failed {
            Failed::Status(status, said) if self.login.is_none() && (wants_key(*status) || has(said, &STALE)) => {
                "\nhint: put USER:PASSWORD into a variable and name that with --control-key-env, or of `pdtune shift` with --api-key-env"
            }
            Failed::Status(status, _) if *status == StatusCode::FORBIDDEN => {
                "\nhint: the user has to read v1/instances/NAMESPACE/ and to read and write v1/NAMESPACE/planner/, and all keys below"
            }
            // An etcd that speaks TLS alone hangs up without a word.
            Failed::Unclear(why) if !self.address.is_secret() && why.contains("connection closed") => {
                "\nhint: where etcd speaks TLS, write dynamo+etcds://HOST:PORT/NAMESPACE"
            }
            _ => "",
        }
    }
}

/// Whether one of `words` was said.
fn has(said: &[u8], words: &[&str]) -> bool {
    let said = String::from_utf8_lossy(said);
    words.iter().any(|words| said.contains(words))
}
