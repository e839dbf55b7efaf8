//! Time around a cluster: wall time with real executors, virtual time with fixed step costs.

pub mod virtual_time;
pub mod wall;
