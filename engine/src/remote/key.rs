//! The key that a guarded server wants.

use std::fmt;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

const PREFIX: &str = "Bearer ";

/// A secret that goes with every call as `authorization: Bearer KEY`. It is never printed.
#[derive(Clone)]
pub struct RemoteKey(MetadataValue<Ascii>);

impl RemoteKey {
    /// A key; `None` for an empty text, and for one that no header can carry.
    pub fn new(key: &str) -> Option<Self> {
        let carried = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
        let mut value: MetadataValue<Ascii> = format!("{PREFIX}{key}").parse().ok().filter(|_| carried)?;
        value.set_sensitive(true);
        Some(Self(value))
    }

    /// Takes the key out of a text of the server's, which may repeat it.
    pub(super) fn hide_in(&self, text: &str) -> String {
        let key = self.0.to_str().ok().and_then(|value| value.strip_prefix(PREFIX));
        key.map_or_else(|| text.to_owned(), |key| text.replace(key, "…"))
    }
}

impl fmt::Debug for RemoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RemoteKey(…)")
    }
}

/// Puts the key, if there is one, on every call.
#[derive(Clone, Debug)]
pub(super) struct Present(pub(super) Option<RemoteKey>);

impl Interceptor for Present {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(RemoteKey(value)) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}
