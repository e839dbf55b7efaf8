//! What a server has done.

use super::v1;
use crate::remote::{Load, Rates};
use crate::units::Nanos;

pub(crate) fn load(load: &Load) -> v1::Load {
    v1::Load {
        now_ns: load.at.0,
        in_flight: load.in_flight,
        waiting: load.waiting,
        in_flight_limit: load.in_flight_limit,
        admitted: load.admitted,
        stopped: load.stopped,
        full_length: load.full_length,
        abandoned: load.abandoned,
        overrun: load.overrun,
        failed: load.failed,
        turned_away: load.turned_away,
        input_tokens: load.input_tokens,
        output_tokens: load.output_tokens,
        preemptions: load.preemptions,
        shifts_started: load.shifts_started,
        shifts_converged: load.shifts_converged,
        shifts_failed: load.shifts_failed,
        units_lost: load.units_lost,
        rates: load.rates.map(|rates| v1::Rates {
            over_ns: rates.over.0,
            admitted_per_second: rates.admitted,
            ended_per_second: rates.ended,
            input_tokens_per_second: rates.input_tokens,
            output_tokens_per_second: rates.output_tokens,
        }),
    }
}

pub(crate) fn read_load(load: &v1::Load) -> Load {
    // What is no number is worth nothing.
    let rate = |rate: f64| if rate.is_finite() { rate.max(0.0) } else { 0.0 };
    Load {
        at: Nanos(load.now_ns),
        in_flight: load.in_flight,
        waiting: load.waiting,
        in_flight_limit: load.in_flight_limit,
        admitted: load.admitted,
        stopped: load.stopped,
        full_length: load.full_length,
        abandoned: load.abandoned,
        overrun: load.overrun,
        failed: load.failed,
        turned_away: load.turned_away,
        input_tokens: load.input_tokens,
        output_tokens: load.output_tokens,
        preemptions: load.preemptions,
        shifts_started: load.shifts_started,
        shifts_converged: load.shifts_converged,
        shifts_failed: load.shifts_failed,
        units_lost: load.units_lost,
        rates: load.rates.map(|rates| Rates {
            over: Nanos(rates.over_ns),
            admitted: rate(rates.admitted_per_second),
            ended: rate(rates.ended_per_second),
            input_tokens: rate(rates.input_tokens_per_second),
            output_tokens: rate(rates.output_tokens_per_second),
        }),
    }
}
