//! What whoever started the process wants of signals.

/// Whether the process was started to outlive its terminal, as `nohup` does: then it is not to be ended by its hang-up.
pub fn ignores_hang_up() -> bool {
    system::ignores_hang_up()
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "no safe crate asks what is done about a signal without changing it")]
mod system {
    pub(super) fn ignores_hang_up() -> bool {
        let mut now = std::mem::MaybeUninit::<libc::sigaction>::uninit();
        // SAFETY: without a new action the call only writes the present one to `now`, which is valid for that.
        let told = unsafe { libc::sigaction(libc::SIGHUP, std::ptr::null(), now.as_mut_ptr()) };
        // SAFETY: a call that succeeded has written all of it.
        told == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
mod system {
    pub(super) fn ignores_hang_up() -> bool {
        false
    }
}
