//! The executor that computes nothing: a step takes what a model of its time says.
//!
//! [`Timing`] answers how long things take; [`Costs`] answers with constants, [`Affine`] with what was seen of real units, [`Tabulated`]
//! with the tables of a performance model. Whoever asks counts in [`Ticks`], parts of a nanosecond, and in integers alone, so that a result is the same on
//! every machine and the same whether steps are taken one by one or all at once.

mod affine;
mod costs;
mod deployed;
mod table;
mod tick;
mod transfer;

use std::fmt::Debug;

pub use affine::{Affine, AffineSeconds};
pub use costs::Costs;
pub use table::{StepModel, Tabulated, TabulatedLimits, Unusable};
pub(crate) use tick::Lengths;
pub use tick::{Moment, StepLine, Ticks};
pub use transfer::{HandOff, TransferShape, TransferWork};

use crate::cluster::StepShape;
use crate::units::{Nanos, Role};

/// What every step of an aggregated unit takes besides, in a cluster with many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// How many aggregated units are many.
    pub from: u16,
    /// What a step takes besides.
    pub overhead: Ticks,
}

/// How long things take on units that are not there.
pub trait Timing: Debug {
    /// What a step of this shape takes on a unit that serves `role`, as a line over the sum of the contexts that its decoding
    /// sequences attend to: the shape's `context` is left to the caller.
    fn step(&self, role: Role, shape: &StepShape) -> StepLine;

    /// What steps of aggregated units take besides where there are many such units; nothing unless a model says so.
    fn replicas(&self) -> Option<Replicas> {
        None
    }

    /// What has to be done to carry out a transfer.
    fn transfer(&self, transfer: &TransferShape) -> TransferWork;

    /// Bytes a second that a unit can send, and at the same time receive.
    fn link_bytes_per_second(&self) -> u64;

    /// How long a unit that holds nothing any more takes to change its role.
    fn switch(&self, from: Role, to: Role) -> Nanos;

    /// How long it takes from the end of a unit's process until another one, which serves `to`, has loaded the weights.
    fn restart(&self, to: Role) -> Nanos;

    /// How long a unit takes to warm up in its new role.
    fn warm(&self, to: Role) -> Nanos;
}

/// Tables that several simulations read.
impl<T: Timing + ?Sized> Timing for std::sync::Arc<T> {
    fn step(&self, role: Role, shape: &StepShape) -> StepLine {
        T::step(self, role, shape)
    }

    fn replicas(&self) -> Option<Replicas> {
        T::replicas(self)
    }

    fn transfer(&self, transfer: &TransferShape) -> TransferWork {
        T::transfer(self, transfer)
    }

    fn link_bytes_per_second(&self) -> u64 {
        T::link_bytes_per_second(self)
    }

    fn switch(&self, from: Role, to: Role) -> Nanos {
        T::switch(self, from, to)
    }

    fn restart(&self, to: Role) -> Nanos {
        T::restart(self, to)
    }

    fn warm(&self, role: Role) -> Nanos {
        T::warm(self, role)
    }
}
