//! A chart as data: axes, series reduced to columns, bounds and marks. Pure; `widget::plot` paints it.

pub mod axis;
pub mod column;
pub mod heat;
pub mod stack;

use loadgen::time::Micros;

pub use axis::{TimeAxis, Unit, ValueAxis};
pub use column::Column;
pub use heat::HeatSpec;

use crate::theme::Paint;

/// A line of a chart. A column without a value is a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// What it means.
    pub paint: Paint,
    /// Its columns, from left to right.
    pub columns: Vec<Option<Column>>,
}

/// A vertical mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Micros,
    /// A few words for the reserved row.
    pub label: String,
}

/// Everything a chart shows.
#[derive(Clone, Debug, PartialEq)]
pub struct ChartSpec {
    /// The horizontal axis.
    pub time: TimeAxis,
    /// The vertical axis, from zero.
    pub value: ValueAxis,
    /// A bound of the SLO.
    pub bound: Option<f64>,
    /// What it was before: each value with the instant until which it held, in order.
    pub bounds_before: Vec<(Micros, Option<f64>)>,
    /// What the series stand beside, drawn dashed under them: the offered rate, or a latency as servers have it.
    pub offered: Option<Vec<Option<Column>>>,
    /// Lines, the last on top.
    pub series: Vec<Series>,
    /// Marks, oldest first.
    pub marks: Vec<Mark>,
    /// The cursor, with what its label says.
    pub cursor: Option<Mark>,
}
