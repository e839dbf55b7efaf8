//! What threads ask of the operating system: a core of their own, to go behind or before the others, and how much processor
//! time they have used. Cores and classes exist on Linux only; elsewhere asking does nothing, and nothing depends on it.

use crate::KernelError;

/// The logical processors to pin to: one of each physical core that this process may use, fewer when a container's quota
/// allows less. At least one.
pub fn usable_cores() -> Vec<usize> {
    let limit = std::thread::available_parallelism().map_or(1, usize::from);
    let mut cores = system::cores();
    if cores.is_empty() {
        cores.extend(0..limit);
    }
    cores.truncate(limit);
    cores
}

/// Pins the calling thread to a logical processor. Does nothing where the system has no such call.
///
/// # Errors
/// When the processor does not exist or the process may not use it.
pub fn pin_to_core(core: usize) -> Result<(), KernelError> {
    system::pin(core)
}

/// Lets the calling thread run only where no ordinary thread wants to: one that wakes takes its processor at once.
/// For threads that compute without pause beside threads that keep time. Does nothing where the system has no such class.
///
/// # Errors
/// When the system refuses; the thread then runs as before.
pub fn run_in_background() -> Result<(), KernelError> {
    system::run_in_background()
}

/// Lets the calling thread wake when it asked to and run at once, before every ordinary thread: for a thread that keeps
/// time and computes next to nothing. Linux otherwise adds up to 50 µs to a wait, to save power (prctl(2),
/// `PR_SET_TIMERSLACK`), and a thread that has had its share may wait for the next tick, 4 ms, even behind one of
/// [`run_in_background`]. Does nothing elsewhere.
///
/// # Errors
/// When the system refuses one of them. Every user may have the first; the second, the real-time class, is for root and
/// those allowed `CAP_SYS_NICE`.
pub fn keep_time() -> Result<(), KernelError> {
    system::keep_time()
}

/// Nanoseconds of processor time that the calling thread has used; `None` where the system does not tell.
pub fn cpu_time_ns() -> Option<u64> {
    system::cpu_time_ns()
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::BTreeSet;
    use std::num::NonZeroU64;

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity, set_current_timer_slack};
    use rustix::time::{ClockId, clock_gettime};

    use crate::KernelError;

    fn failed(doing: &'static str) -> impl FnOnce(rustix::io::Errno) -> KernelError {
        move |errno| KernelError::Thread { doing, source: errno.into() }
    }

    pub(super) fn cores() -> Vec<usize> {
        let Ok(allowed) = sched_getaffinity(None) else { return Vec::new() };
        let mut seen = BTreeSet::new();
        let mut cores = Vec::new();
        for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)) {
            let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
            // Without the file every logical processor counts as a core.
            let siblings = std::fs::read_to_string(path).unwrap_or_else(|_| cpu.to_string());
            if seen.insert(siblings) {
                cores.push(cpu);
            }
        }
        cores
    }

    pub(super) fn pin(core: usize) -> Result<(), KernelError> {
        let mut set = CpuSet::new();
        if core < CpuSet::MAX_CPU {
            set.set(core);
        }
        // A processor beyond the set leaves it empty, which the kernel refuses.
        sched_setaffinity(None, &set).map_err(failed("pin the thread to a core"))
    }

    /// The idle class and not a nice value: since Linux 6.6 a thread of the normal class, however nice, finishes its slice
    /// of a few milliseconds before a waking one gets in (`RUN_TO_PARITY` in kernel/sched/features.h).
    pub(super) fn run_in_background() -> Result<(), KernelError> {
        schedule("run the thread in the background", libc::SCHED_IDLE, 0)
    }

    pub(super) fn keep_time() -> Result<(), KernelError> {
        set_current_timer_slack(NonZeroU64::new(1)).map_err(failed("set the thread's timer slack"))?;
        schedule("run the thread in the real-time class", libc::SCHED_FIFO, 1)
    }

    #[expect(unsafe_code, reason = "no safe crate wraps the call")]
    fn schedule(doing: &'static str, class: i32, sched_priority: i32) -> Result<(), KernelError> {
        let parameters = libc::sched_param { sched_priority };
        // SAFETY: 0 is the calling thread, and the call only reads the parameters, which live until it returns.
        let refused = unsafe { libc::sched_setscheduler(0, class, &raw const parameters) } != 0;
        if refused {
            return Err(KernelError::Thread { doing, source: std::io::Error::last_os_error() });
        }
        Ok(())
    }

    pub(super) fn cpu_time_ns() -> Option<u64> {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).ok()?;
        seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec).ok()?)
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use crate::KernelError;

    pub(super) fn cores() -> Vec<usize> {
        Vec::new()
    }

    #[expect(clippy::unnecessary_wraps, reason = "the same signature as where it can fail")]
    pub(super) fn pin(_core: usize) -> Result<(), KernelError> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the same signature as where it can fail")]
    pub(super) fn run_in_background() -> Result<(), KernelError> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "the same signature as where it can fail")]
    pub(super) fn keep_time() -> Result<(), KernelError> {
        Ok(())
    }

    #[cfg(target_os = "macos")]
    pub(super) fn cpu_time_ns() -> Option<u64> {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).ok()?;
        seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec).ok()?)
    }

    #[cfg(not(target_os = "macos"))]
    pub(super) fn cpu_time_ns() -> Option<u64> {
        None
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Runs `f` on a thread of its own: what is done to it ends with it.
    fn aside<T: Send>(f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| match scope.spawn(f).join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    }

    #[test]
    fn a_pinned_thread_runs_on_its_core_alone() {
        for core in usable_cores() {
            aside(|| {
                pin_to_core(core).expect("a usable core");
                assert_eq!(rustix::thread::sched_getcpu(), core);
                assert_eq!(usable_cores(), [core]);
            });
        }
    }

    #[test]
    fn a_core_that_does_not_exist_is_refused() {
        assert!(aside(|| pin_to_core(1_000_000)).is_err());
        assert!(aside(|| pin_to_core(1_023)).is_err());
    }

    /// The policy, the 39th field after the name in parentheses (proc(5), `/proc/pid/stat`).
    fn policy() -> Option<i32> {
        let stat = std::fs::read_to_string("/proc/thread-self/stat").ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(38)?.parse().ok()
    }

    #[test]
    fn running_in_the_background_touches_one_thread() {
        let before = policy();
        let lowered = aside(|| {
            run_in_background().expect("always allowed");
            policy()
        });
        assert_eq!(lowered, Some(libc::SCHED_IDLE));
        assert_eq!(policy(), before);
    }

    #[test]
    fn keeping_time_touches_one_thread() {
        let slack = || rustix::thread::current_timer_slack().expect("linux tells");
        let before = (slack(), policy());
        let (within, kept) = aside(|| {
            let kept = keep_time();
            ((slack(), policy()), kept)
        });
        // The real-time class has no slack, and not everybody may have it.
        match kept {
            Ok(()) => assert_eq!(within.1, Some(libc::SCHED_FIFO)),
            Err(_) => assert_eq!(within, (1, before.1)),
        }
        assert_eq!((slack(), policy()), before);
    }

    #[test]
    fn processor_time_grows_with_work() {
        let before = cpu_time_ns().expect("linux tells");
        let mut x = 1_u64;
        while cpu_time_ns().expect("linux tells") == before {
            x = std::hint::black_box(x.wrapping_mul(3));
        }
        assert!(cpu_time_ns().expect("linux tells") > before);
    }
}
