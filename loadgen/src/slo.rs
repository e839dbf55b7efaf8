//! Service-level objectives: what makes a request good.

use std::fmt;
use std::str::FromStr;

use crate::text::{DurationText, Malformed, parse_duration, serde_as_text};
use crate::time::Micros;

/// Bounds that a request must meet to be good. At least one is set.
///
/// As text: `ttft=400ms,tpot=25ms,itl.p99=60ms,itl.mean=30ms,e2e=10s`, in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slo {
    /// Bound on TTFT, from due.
    pub ttft: Option<Micros>,
    /// Bound on TPOT. A one-token answer has no TPOT and meets it.
    pub tpot: Option<Micros>,
    /// Bound on the request's p99 ITL.
    pub itl_p99: Option<Micros>,
    /// Bound on the request's mean ITL.
    pub itl_mean: Option<Micros>,
    /// Bound on E2E, from due.
    pub e2e: Option<Micros>,
}

const NAMES: &str = "ttft, tpot, itl.p99, itl.mean, e2e";

impl Slo {
    fn bound_mut(&mut self, name: &str) -> Option<&mut Option<Micros>> {
        Some(match name {
            "ttft" => &mut self.ttft,
            "tpot" => &mut self.tpot,
            "itl.p99" => &mut self.itl_p99,
            "itl.mean" => &mut self.itl_mean,
            "e2e" => &mut self.e2e,
            _ => return None,
        })
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = [
            ("ttft", self.ttft),
            ("tpot", self.tpot),
            ("itl.p99", self.itl_p99),
            ("itl.mean", self.itl_mean),
            ("e2e", self.e2e),
        ];
        let mut comma = "";
        for (name, bound) in bounds {
            if let Some(bound) = bound {
                write!(f, "{comma}{name}={}", DurationText(bound))?;
                comma = ",";
            }
        }
        Ok(())
    }
}

impl FromStr for Slo {
    type Err = Malformed;

    fn from_str(text: &str) -> Result<Self, Malformed> {
        let mut slo = Self::default();
        for part in text.split(',') {
            let part = part.trim();
            let malformed = |allowed: String| Malformed::new("a bound of an SLO", part, allowed);
            let (name, bound) = part
                .split_once('=')
                .ok_or_else(|| malformed(format!("write NAME=DURATION with a name of {NAMES}, such as ttft=400ms")))?;
            let slot = slo.bound_mut(name).ok_or_else(|| malformed(format!("names are {NAMES}")))?;
            if slot.is_some() {
                return Err(malformed(format!("{name} is bounded twice")));
            }
            let bound = parse_duration(bound)?;
            if bound == Micros::ZERO {
                return Err(malformed("a bound is above zero".to_owned()));
            }
            *slot = Some(bound);
        }
        Ok(slo)
    }
}

serde_as_text!(Slo);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_slo_is_read_in_any_order_and_printed_in_one() {
        let slo: Slo = "e2e=10s, itl.p99=60ms,ttft=400ms,tpot=25ms,itl.mean=30ms".parse().expect("an SLO");
        assert_eq!(slo.to_string(), "ttft=400ms,tpot=25ms,itl.p99=60ms,itl.mean=30ms,e2e=10s");
        assert_eq!(serde_json::to_string(&slo).expect("text"), format!("\"{slo}\""));
        assert_eq!(serde_json::from_str::<Slo>(&format!("\"{slo}\"")).expect("an SLO"), slo);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, why) in [
            ("", "write NAME=DURATION"),
            ("ttft", "write NAME=DURATION"),
            ("itl=5ms", "names are ttft, tpot, itl.p99, itl.mean, e2e"),
            ("ttft=1s,ttft=2s", "bounded twice"),
            ("ttft=0s", "above zero"),
            ("ttft=400", "`400` is not a duration"),
            ("ttft=1s,", "write NAME=DURATION"),
        ] {
            let error = text.parse::<Slo>().expect_err(text).to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn an_slo_reads_back_what_it_prints(bounds in prop::array::uniform5(prop::option::of(1..10_000_000_000_u64))) {
            prop_assume!(bounds.iter().any(Option::is_some));
            let [ttft, tpot, itl_p99, itl_mean, e2e] = bounds.map(|b| b.map(Micros));
            let slo = Slo { ttft, tpot, itl_p99, itl_mean, e2e };
            prop_assert_eq!(slo.to_string().parse(), Ok(slo));
        }
    }
}
