//! Drivers: they own time and bring cluster and executors together.

pub mod virtual_time;
