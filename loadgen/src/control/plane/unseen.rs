//! Why a look has shown nothing, and whether another one may show more.

/// Why nothing was seen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unseen {
    /// It may be seen a little later: nobody is there yet, or what is looked for is not.
    #[error("{0}")]
    NotYet(String),
    /// However often it is looked, it is not seen as things are: a certificate that is not trusted, a key that is missing or not
    /// good for this, or somebody who speaks something else.
    #[error("{0}")]
    Never(String),
}

impl Unseen {
    /// Whether another look may show it.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NotYet(_))
    }

    /// The same, with something behind it, such as a hint on a line of its own.
    #[must_use]
    pub(crate) fn and(self, more: &str) -> Self {
        match self {
            Self::NotYet(why) => Self::NotYet(why + more),
            Self::Never(why) => Self::Never(why + more),
        }
    }
}

/// What is only said may pass.
impl From<String> for Unseen {
    fn from(why: String) -> Self {
        Self::NotYet(why)
    }
}
