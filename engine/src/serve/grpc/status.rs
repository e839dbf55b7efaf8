//! Refusals in gRPC's words.

use tonic::Status;

use crate::drive::wall::ShiftError;
use crate::serve::hub::Refusal;
use crate::wire::Malformed;

/// Most characters of a name that is sent back.
const LONGEST_NAME: usize = 100;

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

pub(super) fn not_shifted(error: &ShiftError) -> Status {
    let message = error.to_string();
    match error {
        ShiftError::Refused(_) => Status::invalid_argument(message),
        ShiftError::QueueFull => Status::resource_exhausted(message),
        ShiftError::Moved { .. } => Status::failed_precondition(message),
        ShiftError::Closed => Status::unavailable(message),
    }
}

pub(super) fn stopping() -> Status {
    Status::unavailable("the server is stopping")
}

pub(super) fn no_model(asked: &str, served: &str) -> Status {
    let asked: String = asked.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
    Status::not_found(format!("the model `{asked}` does not exist, `{served}` is served"))
}
