//! What a unit's thread asks of the operating system: a core of its own, a lower priority than the pacing thread, and how
//! much processor time it has used. Pinning exists on Linux only; elsewhere it does nothing, and nothing depends on it.

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

/// Lets the calling thread yield to the others of this process, where the system has priorities for threads.
///
/// # Errors
/// When the system refuses; the thread then runs as before.
pub fn lower_priority() -> Result<(), KernelError> {
    system::lower_priority()
}

/// Nanoseconds of processor time that the calling thread has used; `None` where the system does not tell.
pub fn cpu_time_ns() -> Option<u64> {
    system::cpu_time_ns()
}

#[cfg(target_os = "linux")]
mod system {
    use std::collections::BTreeSet;

    use rustix::process::setpriority_process;
    use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};
    use rustix::time::{ClockId, clock_gettime};

    use crate::KernelError;

    /// Far enough below the default for the scheduler to let waking threads in at once.
    const NICE: i32 = 10;

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

    pub(super) fn lower_priority() -> Result<(), KernelError> {
        // On Linux the nice value belongs to the thread, whatever the name of the call says.
        setpriority_process(Some(gettid()), NICE).map_err(failed("lower the thread's priority"))
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
    pub(super) fn lower_priority() -> Result<(), KernelError> {
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

    #[test]
    fn lowering_the_priority_touches_one_thread() {
        let nice = || rustix::process::getpriority_process(Some(rustix::thread::gettid())).expect("own priority");
        let before = nice();
        let lowered = aside(|| {
            lower_priority().expect("lowering is always allowed");
            nice()
        });
        assert!(lowered >= 10, "{lowered}");
        assert_eq!(nice(), before);
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
