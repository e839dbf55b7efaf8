//! The cluster in virtual time: scenarios with exact outcomes, and what holds for any traffic.
#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot be set up has failed")]

#[path = "scenarios/closed_forms.rs"]
mod closed_forms;
#[path = "scenarios/properties.rs"]
mod properties;
#[path = "../src/drive/virtual_time/random.rs"]
mod random;
#[path = "scenarios/requests.rs"]
mod requests;
#[path = "scenarios/restarts.rs"]
mod restarts;
#[path = "scenarios/shifts.rs"]
mod shifts;
#[path = "scenarios/turmoil.rs"]
mod turmoil;
#[path = "scenarios/world.rs"]
mod world;
