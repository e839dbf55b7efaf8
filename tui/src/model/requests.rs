//! The list of slow requests, and which of them is open.
//!
//! It holds still while it is open: what the run does meanwhile does not move the line that one looks at. Where the lines
//! come from, a live history or a recording, is nothing to it.

use std::sync::Arc;

use loadgen::request::{Order, RequestLine, sort};
use loadgen::time::Micros;

use super::Model;
use crate::chart::column;

/// Most lines that the list shows.
const LONGEST: usize = 100;

/// The list's own state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// All that are known, in the order of the list.
    all: Vec<Arc<RequestLine>>,
    /// What the list is ordered by.
    pub order: Order,
    /// The place of the selected line.
    pub selected: usize,
    /// Whether the selected one is open.
    pub opened: bool,
    /// The stretch of time that they ended in.
    pub window: (Micros, Micros),
}

impl Requests {
    /// A list of requests that ended in `window`, the slowest first.
    pub fn new(all: Vec<Arc<RequestLine>>, window: (Micros, Micros)) -> Self {
        let mut requests = Self { all, order: Order::default(), selected: 0, opened: false, window };
        sort(&mut requests.all, requests.order);
        requests
    }

    /// Those that the history keeps for what the charts show, or, where a cursor is set, for the figures at it.
    pub fn kept(model: &Model) -> Self {
        let (history, here) = (&model.shown().history, model.here());
        let mut axis = model.axis();
        if model.timeline.cursor().is_some() {
            (axis.from, axis.to) = (here.now.since(here.recent.window), here.now);
        }
        let slots = column::visible(history, axis);
        let all = slots.iter().flat_map(|slot| slot.slowest.lines()).cloned().collect();
        Self::new(all, (axis.from, axis.to))
    }

    /// The lines of the list.
    pub fn lines(&self) -> &[Arc<RequestLine>] {
        let placed = self.all.partition_point(|line| line.key(self.order).is_some());
        self.all.get(..placed.min(LONGEST)).unwrap_or(&[])
    }

    /// The selected line.
    pub fn chosen(&self) -> Option<&RequestLine> {
        self.lines().get(self.selected).map(Arc::as_ref)
    }

    /// Orders the list by the next latency, from its start.
    pub fn reorder(&mut self) {
        let at = Order::ALL.iter().position(|order| *order == self.order).unwrap_or(0);
        self.order = Order::ALL.get((at + 1) % Order::ALL.len()).copied().unwrap_or_default();
        sort(&mut self.all, self.order);
        self.selected = 0;
    }
}
