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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_comes_back_as_itself() {
        // Another value for each, so that two that were mixed up would show.
        let told = Load {
            at: Nanos(1),
            in_flight: 2,
            waiting: 3,
            in_flight_limit: 4,
            admitted: 5,
            stopped: 6,
            full_length: 7,
            abandoned: 8,
            overrun: 9,
            failed: 10,
            turned_away: 11,
            input_tokens: 12,
            output_tokens: 13,
            preemptions: 14,
            shifts_started: 15,
            shifts_converged: 16,
            shifts_failed: 17,
            units_lost: 18,
            rates: Some(Rates {
                over: Nanos(19),
                admitted: 20.5,
                ended: 21.5,
                input_tokens: 22.5,
                output_tokens: 23.5,
            }),
        };
        assert_eq!(read_load(&load(&told)), told);
        let mut wrong = load(&told);
        wrong.rates.as_mut().expect("rates").ended_per_second = f64::NAN;
        assert_eq!(read_load(&wrong).rates.map(|rates| rates.ended), Some(0.0));
    }
}
