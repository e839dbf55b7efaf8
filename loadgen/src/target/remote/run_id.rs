//! What requests are called.

/// Tells the requests of this run from all others, in the logs and traces of servers.
#[derive(Clone, Copy, Debug)]
pub(in crate::target) struct RunId(pub(in crate::target) u64);

impl RunId {
    /// The id of a request.
    pub(in crate::target) fn request(self, index: &str) -> String {
        format!("pdtune-{:x}-{index}", self.0)
    }

    /// The trace that a request begins, as the W3C's Trace Context has it: the run and the number of the request, so that it can
    /// be told from a recording.
    pub(in crate::target) fn trace(self, index: u64) -> String {
        format!("00-{:016x}{index:016x}-{:016x}-01", self.0, index.wrapping_add(1).max(1))
    }

    /// How they are made, for whoever looks for one.
    pub(in crate::target) fn traces(self) -> String {
        format!("{:016x}, and INDEX as 16 hexadecimal digits", self.0)
    }
}
