//! Time around a cluster: wall time with real executors, virtual time with what a model says.

pub mod simulated;
pub mod virtual_time;
pub mod wall;
