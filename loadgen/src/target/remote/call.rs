//! What a call over gRPC that went wrong is for a load test.

use engine::remote::{RemoteError, StatusCode};

use super::failed;
use crate::sample::{FailureKind, Outcome};

/// What `error` is; what a server means by a status is its own.
pub(in crate::target) fn of_call(error: &RemoteError, of_status: impl Fn(StatusCode) -> FailureKind) -> Outcome {
    let kind = match error {
        RemoteError::Connect { .. } => FailureKind::Connect,
        RemoteError::Timeout { .. } => FailureKind::Timeout,
        RemoteError::Malformed { .. } => FailureKind::Malformed,
        RemoteError::Broken { .. } => return Outcome::Cut,
        RemoteError::Status { code, .. } => of_status(*code),
    };
    failed(kind, error.to_string())
}
