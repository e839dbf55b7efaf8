//! One latency in a summary.

use serde::Serialize;

use crate::measure::Distribution;
use crate::time::Micros;

/// Statistics of one latency in milliseconds; all `None` when `n` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Statistics {
    /// The mean.
    pub mean: Option<f64>,
    /// The median.
    pub p50: Option<f64>,
    /// 90th percentile.
    pub p90: Option<f64>,
    /// 95th percentile.
    pub p95: Option<f64>,
    /// 99th percentile.
    pub p99: Option<f64>,
    /// The maximum.
    pub max: Option<f64>,
    /// How many values there are.
    pub n: u64,
}

impl From<&Distribution> for Statistics {
    fn from(distribution: &Distribution) -> Self {
        let quantile = |q| distribution.quantile(q).map(Micros::as_millis_f64);
        Self {
            // To the microsecond, like everything it is made of.
            mean: distribution.mean().map(|mean| mean.round() / 1e3),
            p50: quantile(0.50),
            p90: quantile(0.90),
            p95: quantile(0.95),
            p99: quantile(0.99),
            max: distribution.max().map(Micros::as_millis_f64),
            n: distribution.count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_of_nothing_are_null() {
        let json = serde_json::to_string(&Statistics::from(&Distribution::default())).expect("JSON");
        assert_eq!(json, r#"{"mean":null,"p50":null,"p90":null,"p95":null,"p99":null,"max":null,"n":0}"#);
    }

    #[test]
    fn statistics_are_in_milliseconds() {
        let mut distribution = Distribution::default();
        for value in 1..=100 {
            distribution.record(Micros(value * 10));
        }
        let statistics = Statistics::from(&distribution);
        assert_eq!((statistics.mean, statistics.max, statistics.n), (Some(0.505), Some(1.0), 100));
        assert_eq!((statistics.p50, statistics.p90), (Some(0.5), Some(0.9)));
        assert_eq!((statistics.p95, statistics.p99), (Some(0.95), Some(0.99)));
    }
}
