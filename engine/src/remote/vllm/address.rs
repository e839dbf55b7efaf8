//! Where an engine of vLLM's is.

use std::fmt;
use std::str::FromStr;

use crate::remote::{RemoteAddress, RemoteAddressError};

/// `vllm+grpc://HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VllmAddress(pub(super) RemoteAddress);

impl VllmAddress {
    /// What it begins with.
    pub const SCHEME: &str = "vllm+grpc://";
}

impl fmt::Display for VllmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VllmAddress {
    type Err = RemoteAddressError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        RemoteAddress::read(Self::SCHEME, text).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_what_it_prints_and_refuses_that_of_another_service() {
        let text = "vllm+grpc://gpu-7:50051";
        assert_eq!(text.parse::<VllmAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        assert!("vllm+grpc://gpu-7:50051".parse::<RemoteAddress>().is_err());
        for text in ["grpc://gpu-7:50051", "vllm+grpc://gpu-7", "vllm+http://gpu-7:1"] {
            let error = text.parse::<VllmAddress>().expect_err(text).to_string();
            assert!(error.ends_with("write vllm+grpc://HOST:PORT, such as vllm+grpc://127.0.0.1:50051"), "{error}");
        }
    }
}
