//! Transfers that share links: processor sharing, max-min fair.
//!
//! Every unit sends through one link and receives through another, all equally fast. Of the links that are most in demand each
//! transfer gets an equal share, and what it leaves elsewhere is for the others. Rates change when a transfer joins or leaves,
//! and only then. All in integers: a byte is 2^20 parcels, a rate is parcels a nanosecond, rounded down.

use crate::cluster::TransferId;
use crate::units::{Nanos, UnitId};

/// Parcels of a byte.
const PARCELS: u64 = 1 << 20;

/// A transfer with bytes left.
#[derive(Clone, Copy, Debug)]
struct Flow {
    id: TransferId,
    from: UnitId,
    to: UnitId,
    left: u64,
    /// Parcels a nanosecond.
    rate: u64,
}

/// A link while shares are dealt out.
#[derive(Clone, Copy, Debug, Default)]
struct Demand {
    /// Transfers that have no share yet.
    flows: u64,
    /// Parcels a nanosecond that are not given away yet.
    left: u64,
}

/// Transfers under way.
#[derive(Clone, Debug)]
pub struct Links {
    /// Parcels a nanosecond of each link.
    capacity: u64,
    flows: Vec<Flow>,
    /// Up to when `left` of all flows is right.
    now: Nanos,
    next: Option<(Nanos, TransferId)>,
    delivered: u128,
    /// Sending links of all units, then receiving ones.
    demands: Vec<Demand>,
    open: Vec<usize>,
}

impl Links {
    /// Links of `units` units, each of which sends and receives so many bytes a second.
    pub fn new(units: u16, bytes_per_second: u64) -> Self {
        let capacity = u128::from(bytes_per_second) * u128::from(PARCELS) / 1_000_000_000;
        Self {
            capacity: u64::try_from(capacity).unwrap_or(u64::MAX).clamp(1, 1 << 48),
            flows: Vec::new(),
            now: Nanos::ZERO,
            next: None,
            delivered: 0,
            demands: vec![Demand::default(); 2 * usize::from(units)],
            open: Vec::new(),
        }
    }

    /// A transfer of `bytes`, at least one, joins.
    pub fn join(&mut self, now: Nanos, id: TransferId, (from, to): (UnitId, UnitId), bytes: u64) {
        self.pass(now);
        let left = bytes.max(1).saturating_mul(PARCELS);
        self.flows.push(Flow { id, from, to, left, rate: 0 });
        self.share();
    }

    /// A transfer leaves, whether it was through or not.
    pub fn leave(&mut self, now: Nanos, id: TransferId) {
        self.pass(now);
        self.flows.retain(|flow| flow.id != id);
        self.share();
    }

    /// Which transfer is through next, and when, unless one joins or leaves before.
    pub fn next(&self) -> Option<(Nanos, TransferId)> {
        self.next
    }

    /// Whether a transfer has joined and not left.
    pub fn contains(&self, id: TransferId) -> bool {
        self.flows.iter().any(|flow| flow.id == id)
    }

    /// How many share the links.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether nobody does.
    pub fn is_empty(&self) -> bool {
        self.flows.is_empty()
    }

    /// Bytes that have gone through, as of the last time anybody joined or left.
    pub fn delivered(&self) -> u64 {
        (self.delivered / u128::from(PARCELS)) as u64
    }

    /// Bytes that are left, as of the same time.
    pub fn left(&self) -> u64 {
        (self.flows.iter().map(|flow| u128::from(flow.left)).sum::<u128>().div_ceil(u128::from(PARCELS))) as u64
    }

    fn pass(&mut self, now: Nanos) {
        let passed = now.since(self.now).0;
        self.now = self.now.max(now);
        for flow in &mut self.flows {
            let gone = flow.rate.saturating_mul(passed).min(flow.left);
            flow.left -= gone;
            self.delivered += u128::from(gone);
        }
    }

    /// Deals out shares: the link with the least for each of its transfers first.
    fn share(&mut self) {
        // Whoever is alone has its links to itself.
        if let [flow] = self.flows.as_mut_slice() {
            flow.rate = self.capacity;
            self.next = Some((self.now + Nanos(flow.left.div_ceil(flow.rate)), flow.id));
            return;
        }
        let receiving = self.demands.len() / 2;
        self.open.clear();
        for flow in &mut self.flows {
            flow.rate = 0;
            for link in [flow.from.index(), receiving + flow.to.index()] {
                let Some(demand) = self.demands.get_mut(link) else { continue };
                if demand.flows == 0 {
                    *demand = Demand { flows: 0, left: self.capacity };
                    self.open.push(link);
                }
                demand.flows += 1;
            }
        }
        loop {
            let demands = &self.demands;
            self.open.retain(|&link| demands[link].flows > 0);
            let fair = |link: &usize| (demands[*link].left / demands[*link].flows, *link);
            let Some((share, tightest)) = self.open.iter().map(fair).min() else { break };
            for flow in self.flows.iter_mut().filter(|flow| flow.rate == 0) {
                let links = [flow.from.index(), receiving + flow.to.index()];
                if !links.contains(&tightest) {
                    continue;
                }
                flow.rate = share.max(1);
                for link in links {
                    let demand = &mut self.demands[link];
                    demand.flows -= 1;
                    demand.left = demand.left.saturating_sub(share);
                }
            }
        }
        let end = |flow: &Flow| (self.now + Nanos(flow.left.div_ceil(flow.rate.max(1))), flow.id);
        self.next = self.flows.iter().map(end).min();
    }
}

#[cfg(test)]
#[path = "links_tests.rs"]
mod tests;
