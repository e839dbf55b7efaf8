//! Refusals in gRPC's words.

use tonic::Status;

use crate::drive::wall::ShiftError;
use crate::serve::choice::Failure;
use crate::serve::hub::Refusal;
use crate::serve::shortened;
use crate::wire::Malformed;

impl From<Malformed> for Status {
    fn from(Malformed(why): Malformed) -> Self {
        Self::invalid_argument(why)
    }
}

pub(super) fn refused(refusal: &Refusal) -> Status {
    let message = match refusal {
        Refusal::Empty { .. } | Refusal::UnknownToken { .. } => format!("`prompt`: {refusal}"),
        Refusal::TooLong { .. } | Refusal::TooMany { .. } | Refusal::Full { .. } | Refusal::Closed => {
            refusal.to_string()
        }
    };
    match refusal {
        Refusal::Empty { .. } | Refusal::UnknownToken { .. } | Refusal::TooLong { .. } | Refusal::TooMany { .. } => {
            Status::invalid_argument(message)
        }
        Refusal::Full { .. } => Status::resource_exhausted(message),
        Refusal::Closed => Status::unavailable(message),
    }
}

pub(super) fn failed(failure: &Failure) -> Status {
    let message = failure.to_string();
    match failure {
        Failure::Overrun => Status::aborted(message),
        // The hub has checked all that is the client's: what the engine refuses all the same, it cannot serve now.
        Failure::Refused(_) | Failure::Lost => Status::unavailable(message),
    }
}

pub(super) fn not_shifted(error: &ShiftError) -> Status {
    let message = error.to_string();
    match error {
        ShiftError::Refused(_) | ShiftError::NoProcess => Status::invalid_argument(message),
        ShiftError::QueueFull => Status::resource_exhausted(message),
        ShiftError::Moved { .. } => Status::failed_precondition(message),
        ShiftError::Closed => Status::unavailable(message),
    }
}

pub(super) fn stopping() -> Status {
    Status::unavailable("the server is stopping")
}

pub(super) fn no_model(asked: &str, served: &str) -> Status {
    let asked = shortened(asked);
    Status::not_found(format!("the model `{asked}` does not exist, `{served}` is served"))
}
