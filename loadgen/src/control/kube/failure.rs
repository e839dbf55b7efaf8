//! Why a call has no good answer, in words that say what to do about it.

use engine::remote::one_line;
use serde::Deserialize;

use super::place::Place;
use crate::control::plane::{CallError, Unseen};

/// Why a call has no good answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// It could not be sent.
    #[error("{0}")]
    Unsent(String),
    /// The same, since TLS was not agreed, or its certificate is not trusted.
    #[error("{0}")]
    Tls(String),
    /// Nothing is there: a resource that the cluster does not have, or an object.
    #[error("{0}")]
    Absent(String),
    /// It is not allowed.
    #[error("{0}")]
    Forbidden(String),
    /// Somebody else changed it in between.
    #[error("{0}")]
    Conflict(String),
    /// The cluster has too much to do.
    #[error("{0}")]
    Busy(String),
    /// It was refused otherwise: nothing has changed.
    #[error("{0}")]
    Refused(String),
    /// It was answered by something that is no such object.
    #[error("{0}")]
    Odd(String),
    /// Nobody knows what came of it.
    #[error("{0}")]
    Unclear(String),
}

/// What the API answers instead of an object.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    message: String,
    reason: String,
}

impl Failure {
    /// By the status of an answer to `verb` on `place`.
    pub(super) fn of_status(status: u16, body: &[u8], verb: &str, place: &Place, namespace: &str) -> Self {
        let read: Status = serde_json::from_slice(body).unwrap_or_default();
        let said = if read.message.is_empty() { String::from_utf8_lossy(body).into_owned() } else { read.message };
        let said = one_line(&said);
        let colon = if said.is_empty() { String::new() } else { format!(": {said}") };
        match status {
            401 => Self::Forbidden(format!(
                "the cluster does not know who asks (401{colon}): the credentials of the kubeconfig are missing or no longer good"
            )),
            403 => Self::Forbidden(format!(
                "the cluster does not allow it: a role with the verb {verb} on {} in namespace {namespace} is lacking{colon}",
                place.resource()
            )),
            404 => Self::Absent(format!("the cluster has no {place} in namespace {namespace}{colon}")),
            405 => Self::Absent(format!("the cluster cannot {verb} {place}{colon}")),
            409 => Self::Conflict(format!("{place} was changed by somebody else at the same moment{colon}")),
            422 => Self::Refused(format!("the cluster finds the change of {place} invalid{colon}")),
            429 => Self::Busy(format!("the cluster has too much to do just now (429{colon})")),
            400..500 => {
                Self::Refused(format!("the cluster refused to {verb} {place} ({status} {}{colon})", read.reason))
            }
            _ => Self::Unclear(format!("the cluster answered {status} to {verb} {place}{colon}")),
        }
    }

    /// As the failure of a call that changes something.
    pub(super) fn into_call_error(self) -> CallError {
        match self {
            Self::Unclear(why) => CallError::Unclear(why),
            Self::Conflict(why) | Self::Busy(why) | Self::Tls(why) => CallError::NotYet(why),
            other => CallError::Refused(other.to_string()),
        }
    }

    /// As the failure of a look before such a call: nothing was sent yet, so what may pass is waited for.
    pub(super) fn before_call(self) -> CallError {
        match self {
            Self::Unsent(why) | Self::Tls(why) | Self::Conflict(why) | Self::Busy(why) | Self::Unclear(why) => {
                CallError::NotYet(why)
            }
            Self::Absent(why) | Self::Forbidden(why) | Self::Refused(why) | Self::Odd(why) => CallError::Refused(why),
        }
    }
}

/// Objects may be made a little later, and a cluster come up; who may not look, or is not understood, will not see them then either.
impl From<Failure> for Unseen {
    fn from(failure: Failure) -> Self {
        let why = failure.to_string();
        match failure {
            Failure::Tls(_) | Failure::Forbidden(_) | Failure::Refused(_) | Failure::Odd(_) => Self::Never(why),
            Failure::Unsent(_) | Failure::Absent(_) | Failure::Conflict(_) | Failure::Busy(_) | Failure::Unclear(_) => {
                Self::NotYet(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::Kind;
    use super::*;

    #[test]
    fn a_refusal_says_which_verb_on_which_resource_is_lacking() {
        let scale = Place::of_kind(Kind::Deployment, "v1", "d").scale();
        let body = br#"{"kind":"Status","status":"Failure","message":"deployments.apps \"d\" is forbidden: User \"ci\" cannot patch resource \"deployments/scale\" in API group \"apps\" in the namespace \"llm\"","reason":"Forbidden","code":403}"#;
        let failure = Failure::of_status(403, body, "patch", &scale, "llm");
        assert_eq!(
            failure.to_string(),
            "the cluster does not allow it: a role with the verb patch on deployments/scale of apps in namespace llm is lacking: deployments.apps \"d\" is forbidden: User \"ci\" cannot patch resource \"deployments/scale\" in API group \"apps\" in the namespace \"llm\""
        );
        let absent = Failure::of_status(404, b"404 page not found\n", "get", &scale, "llm");
        assert_eq!(
            absent,
            Failure::Absent("the cluster has no deployments/d/scale in namespace llm: 404 page not found".to_owned())
        );
        let of = |status| Failure::of_status(status, b"", "patch", &scale, "llm").into_call_error();
        assert!(matches!(of(500), CallError::Unclear(_)) && matches!(of(422), CallError::Refused(_)));
        assert!(matches!(of(429), CallError::NotYet(_)) && matches!(of(409), CallError::NotYet(_)));
        let before = |status| Failure::of_status(status, b"", "get", &scale, "llm").before_call();
        assert!(matches!(before(503), CallError::NotYet(_)) && matches!(before(429), CallError::NotYet(_)));
        assert!(matches!(before(403), CallError::Refused(_)) && matches!(before(404), CallError::Refused(_)));
        let unseen = |status| Unseen::from(Failure::of_status(status, b"", "get", &scale, "llm"));
        assert_eq!([401, 403, 422].map(|status| unseen(status).may_pass()), [false; 3]);
        assert_eq!([404, 429, 503].map(|status| unseen(status).may_pass()), [true; 3]);
    }
}
