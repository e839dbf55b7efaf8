//! Pieces that the views are put together from. Each paints into a buffer and none can leave its area.

pub mod bar;
pub mod clip;
pub mod fit;
pub mod panel;
pub mod plot;
pub mod popup;
pub mod stages;
pub mod target;
pub mod wrap;
