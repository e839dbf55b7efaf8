//! Times a routine by the processor time of its thread, which neighbours on a busy machine disturb less than the clock on
//! the wall. Everything measured here runs on one thread.

use std::hint::black_box;
use std::time::Duration;

use criterion::Bencher;
use kernels::thread::cpu_time_ns;

/// As `Bencher::iter`, in processor time.
pub(crate) fn iter<T>(bencher: &mut Bencher<'_>, mut routine: impl FnMut() -> T) {
    bencher.iter_custom(|iterations| {
        let start = cpu_time_ns().unwrap_or(0);
        for _ in 0..iterations {
            black_box(routine());
        }
        Duration::from_nanos(cpu_time_ns().unwrap_or(0).saturating_sub(start))
    });
}
