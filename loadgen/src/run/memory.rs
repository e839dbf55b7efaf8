//! Resident memory of the process.

/// Resident memory of the process in bytes; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }
    #[cfg(not(target_os = "linux"))]
    {
        0
    }
}
