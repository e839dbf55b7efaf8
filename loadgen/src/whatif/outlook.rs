//! What a screen shows of predictions.

use std::sync::Arc;

use super::{Score, WhatIf};

/// The newest prediction, or why there is none, and how good predictions have been.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outlook {
    /// The newest prediction.
    pub prediction: Option<Arc<WhatIf>>,
    /// Why there is none, or why it is not renewed; one line.
    pub missing: Option<String>,
    /// How good predictions have been.
    pub score: Score,
}
