//! When the client, and not the server, was the limit.

use crate::time::Micros;

/// Lag, at its 99th percentile, above which a client is too slow for its own schedule.
pub const LAG_LIMIT: Micros = Micros(5_000);

/// Share of all cores above which the client competes with whatever else runs on its machine.
const CPU_LIMIT: f64 = 0.8;

/// What is known about the client's own condition.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Client {
    /// 99th percentile of sent − due; `None` when nothing was sent.
    pub lag_p99: Option<Micros>,
    /// Samples dropped because a queue was full.
    pub dropped: u64,
    /// CPU time of the client's own threads.
    pub cpu: Micros,
    /// The time in which it was used.
    pub elapsed: Micros,
    /// Cores of the machine, 0 when unknown.
    pub cores: u32,
    /// How often reading from a remote target had to wait for the client's own queue.
    pub held_up: u64,
    /// Requests for which the client's machine had no file or port left.
    pub unsent: u64,
}

impl Client {
    /// Why the client and not the server limits the figures; `None` while all is well.
    pub fn verdict(&self) -> Option<String> {
        if self.dropped > 0 {
            let samples = if self.dropped == 1 { "sample was" } else { "samples were" };
            return Some(format!(
                "the client could not keep up: {} {samples} dropped, live figures are too low",
                self.dropped
            ));
        }
        if self.unsent > 0 {
            let requests = if self.unsent == 1 { "1 request" } else { &format!("{} requests", self.unsent) };
            return Some(format!(
                "the client had no file or port left for {requests}: they failed, and the target never saw them"
            ));
        }
        if self.held_up > 0 {
            let times = if self.held_up == 1 { "once".to_owned() } else { format!("{} times", self.held_up) };
            return Some(format!(
                "the client read late: its own queue was full {times}, part of the latencies is its own"
            ));
        }
        if let Some(lag) = self.lag_p99.filter(|lag| *lag > LAG_LIMIT) {
            return Some(format!(
                "the client sent late: lag p99 {:.1} ms is above {:.0} ms, part of TTFT is its own",
                lag.as_millis_f64(),
                LAG_LIMIT.as_millis_f64()
            ));
        }
        let used = self.cpu.as_secs_f64() / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
        let available = f64::from(self.cores);
        (available > 0.0 && used > CPU_LIMIT * available).then(|| {
            format!(
                "the client was short of CPU: it used {used:.1} of {} cores, more than {:.0} %",
                self.cores,
                CPU_LIMIT * 100.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Client = Client {
        lag_p99: Some(LAG_LIMIT),
        dropped: 0,
        cpu: Micros(8_000_000),
        elapsed: Micros(10_000_000),
        cores: 1,
        held_up: 0,
        unsent: 0,
    };

    #[test]
    fn a_client_at_its_limits_is_well() {
        assert_eq!(WELL.verdict(), None);
        assert_eq!(Client::default().verdict(), None);
    }

    #[test]
    fn each_limit_has_its_own_reason() {
        let reason = |client: Client| client.verdict().unwrap_or_default();
        assert!(reason(Client { lag_p99: Some(Micros(5_100)), ..WELL }).contains("lag p99 5.1 ms is above 5 ms"));
        assert!(reason(Client { dropped: 1, ..WELL }).contains("1 sample was dropped"));
        assert!(reason(Client { dropped: 7, ..WELL }).contains("7 samples were dropped"));
        assert!(reason(Client { unsent: 2, ..WELL }).contains("no file or port left for 2 requests"));
        assert!(reason(Client { held_up: 3, ..WELL }).contains("its own queue was full 3 times"));
        assert!(reason(Client { cpu: Micros(9_000_000), ..WELL }).contains("0.9 of 1 cores"));
    }

    #[test]
    fn cpu_is_not_judged_on_a_machine_of_unknown_size() {
        assert_eq!(Client { cpu: Micros(90_000_000), cores: 0, ..WELL }.verdict(), None);
    }
}
