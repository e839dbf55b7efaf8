//! The adapter against a cluster in this process, which answers as the API does and has controllers that make pods.
//!
//! No cluster of its own kind was at hand: the shapes are those of the published types of each project.

mod answer;
mod cluster;
mod failing;
mod groups;
mod kinds;
mod labels;
mod patch;
mod reach;
mod rivalry;
mod world;
