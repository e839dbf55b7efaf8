//! The live screen: what it shows (snapshots of text and of roles), what keys do, and that no size breaks it.

#[cfg(test)]
#[path = "screen/clicks.rs"]
mod clicks;
#[cfg(test)]
#[path = "screen/fixture.rs"]
mod fixture;
#[cfg(test)]
#[path = "screen/keys.rs"]
mod keys;
#[cfg(test)]
#[path = "screen/looking.rs"]
mod looking;
#[cfg(test)]
#[path = "screen/properties.rs"]
mod properties;
#[cfg(test)]
#[path = "screen/requests.rs"]
mod requests;
#[cfg(test)]
#[path = "screen/shots.rs"]
mod shots;
#[cfg(test)]
#[path = "screen/viewing.rs"]
mod viewing;
