//! Why a call did not work out.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use tonic::{Code, ConnectError, Status};

use super::RemoteAddress;
use super::peer::Service;

/// How the client's own messages begin where it could not read what came, whatever status it puts on them.
const UNREAD: [&str; 7] = [
    "grpc-status header missing",
    "protocol error: received",
    "failed to decode Protobuf message",
    "Error decompressing",
    "Error, decoded message length too large",
    "Unexpected EOF decoding stream",
    "Missing response message",
];
/// And where the call ended without a word: what stands in between may have cut it.
const NO_STATUS: &str = "protocol error: missing grpc-status trailer";

/// What the server said, in gRPC's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StatusCode {
    /// The request could never be served.
    InvalidArgument,
    /// The key is missing or wrong.
    Unauthenticated,
    /// No such model here.
    NotFound,
    /// No room now; later there may be.
    ResourceExhausted,
    /// The topology has changed.
    FailedPrecondition,
    /// The client was too slow; it may begin anew.
    Aborted,
    /// The server is stopping, or its engine has stopped.
    Unavailable,
    /// The server does not know this call.
    Unimplemented,
    /// The server ended the call of its own accord.
    Cancelled,
    /// The server's own time for the call is over.
    DeadlineExceeded,
    /// The key does not let us do this.
    PermissionDenied,
    /// The server could not do it, and says so.
    Internal,
    /// Any other, by its number.
    Other(i32),
}

impl fmt::Display for StatusCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidArgument => f.write_str("INVALID_ARGUMENT"),
            Self::Unauthenticated => f.write_str("UNAUTHENTICATED"),
            Self::NotFound => f.write_str("NOT_FOUND"),
            Self::ResourceExhausted => f.write_str("RESOURCE_EXHAUSTED"),
            Self::FailedPrecondition => f.write_str("FAILED_PRECONDITION"),
            Self::Aborted => f.write_str("ABORTED"),
            Self::Unavailable => f.write_str("UNAVAILABLE"),
            Self::Unimplemented => f.write_str("UNIMPLEMENTED"),
            Self::Cancelled => f.write_str("CANCELLED"),
            Self::DeadlineExceeded => f.write_str("DEADLINE_EXCEEDED"),
            Self::PermissionDenied => f.write_str("PERMISSION_DENIED"),
            Self::Internal => f.write_str("INTERNAL"),
            Self::Other(code) => write!(f, "gRPC status {code}"),
        }
    }
}

impl From<Code> for StatusCode {
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument,
            Code::Unauthenticated => Self::Unauthenticated,
            Code::NotFound => Self::NotFound,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::FailedPrecondition => Self::FailedPrecondition,
            Code::Aborted => Self::Aborted,
            Code::Unavailable => Self::Unavailable,
            Code::Unimplemented => Self::Unimplemented,
            Code::Cancelled => Self::Cancelled,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::PermissionDenied => Self::PermissionDenied,
            Code::Internal => Self::Internal,
            other => Self::Other(other as i32),
        }
    }
}

/// Why a call to a remote engine failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// There is no connection, and none could be made.
    #[error("cannot connect to {address}: {why}")]
    Connect {
        /// Where.
        address: RemoteAddress,
        /// Why.
        why: String,
    },
    /// The server refused.
    #[error("{message} ({code})")]
    Status {
        /// In gRPC's names.
        code: StatusCode,
        /// In the server's words, in one short line without the key.
        message: String,
    },
    /// No answer in time.
    #[error("no answer from {address} within {after:?}")]
    Timeout {
        /// Where.
        address: RemoteAddress,
        /// How long it was waited for.
        after: Duration,
    },
    /// The connection broke, or the stream ended before its end.
    #[error("the connection to {address} broke: {why}")]
    Broken {
        /// Where.
        address: RemoteAddress,
        /// How.
        why: String,
    },
    /// What came makes no sense.
    #[error("what {address} sent makes no sense: {why}")]
    Malformed {
        /// Where.
        address: RemoteAddress,
        /// What is wrong with it.
        why: String,
    },
}

impl RemoteError {
    /// What the server said, if it is the server that refused.
    pub fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Status { code, .. } => Some(*code),
            Self::Connect { .. } | Self::Timeout { .. } | Self::Broken { .. } | Self::Malformed { .. } => None,
        }
    }

    /// A status may be the server's word or the transport's way to say that it has failed. `words` makes its texts fit to be
    /// shown.
    pub(super) fn of_status(
        address: &RemoteAddress,
        service: Service,
        status: &Status,
        words: impl Fn(&str) -> String,
    ) -> Self {
        let address = address.clone();
        if causes(status).any(<dyn Error + 'static>::is::<ConnectError>) {
            return Self::Connect { address, why: words(&innermost(status)) };
        }
        if status.source().is_some() {
            return Self::Broken { address, why: words(&innermost(status)) };
        }
        let message = status.message();
        if message.starts_with(NO_STATUS) {
            return Self::Broken { address, why: "the call ended without a status".to_owned() };
        }
        let unread = match service {
            // It has no internal errors of its own.
            Service::Ours => status.code() == Code::Internal,
            Service::Vllm => false,
        };
        if unread || UNREAD.iter().any(|begin| message.starts_with(begin)) {
            return Self::Malformed { address, why: words(message) };
        }
        Self::Status { code: status.code().into(), message: words(message) }
    }
}

/// The cause at the root, where the system's own words are.
pub(super) fn innermost(error: &(dyn Error + 'static)) -> String {
    causes(error).last().map(ToString::to_string).unwrap_or_default()
}

/// An error and what it comes from.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let error = next?;
        next = error.source();
        Some(error)
    })
}
