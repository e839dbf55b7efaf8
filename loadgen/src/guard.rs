//! When a run ends for the sake of whoever else uses its target: `--abort-on "errors>5%,ttft.p99>10s"`.
//!
//! Each rule looks at the requests of its window, and one that is broken is enough. What was said last is kept: nothing more is
//! sent, what is in flight is waited for, and the recording's end says why.

mod text;
mod tripwire;

pub use tripwire::{Tripped, Tripwire};

use crate::time::Micros;

/// The window of a rule that names none.
pub const WINDOW: Micros = Micros(10_000_000);
/// The label of the note that says that a rule has ended the load: what a screen and a recording know it by.
pub(crate) const LABEL: &str = "abort-on";
/// A share or a percentile is of so many requests at least, however far back they reach.
pub const FEWEST: u64 = 20;
/// The longest window of a rule.
const LONGEST: Micros = Micros(3_600_000_000);

/// What ends a run before its time. As text: rules with commas between them; without any, nothing does.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AbortOn(Vec<Rule>);

impl AbortOn {
    /// Whether there is no rule.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One rule. As text: `errors>5%`, `cut>0`, `ttft.p99>10s`, and `errors>20@30s` for those of the last 30 s.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// What must not become too much, and how much that is.
    pub bound: Bound,
    /// How far back it looks.
    pub window: Micros,
}

/// What must not be exceeded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// So many requests that went wrong in some way.
    Number(Wrong, u64),
    /// Such a share of them, in percent.
    Percent(Wrong, f64),
    /// A percentile of a latency.
    Latency(Latency, Rank, Micros),
}

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It failed or was cut. What the server shed has failed, too: whoever guards by errors alone is guarded against that.
    Errors,
    /// It was cut.
    Cut,
    /// It was not sent, because a stated limit was reached, or the server took no more for now.
    Shed,
}

/// A latency that is known while a request goes on, or when it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// Known to be too long as soon as it is, whether a token comes or not.
    Ttft,
    /// Known at the end.
    Tpot,
    /// Known to be too long as soon as it is.
    E2e,
}

/// A percentile, 1 to 99 or so, by nearest rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank(u8);

impl Rank {
    /// Whether the percentile of `all` values lies above a bound that `above` of them exceed.
    fn is_above(self, above: u64, all: u64) -> bool {
        above > all - (all * u64::from(self.0)).div_ceil(100)
    }
}
