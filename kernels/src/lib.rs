//! What computes: paged attention, matrix products and row-wise operations on the CPU, the KV arena they read, and the
//! few system calls that need care.
//!
//! Three promises run through the crate:
//! - **A row never notices its neighbours.** Every product, norm and attention row is reduced in an order that depends on
//!   the row alone, so its bits are the same however work is batched, chunked or tiled. That is what makes a
//!   disaggregated run comparable, bit for bit, with an aggregated one.
//! - **Every instruction set gives the same bits.** A kernel is written once over `Simd`'s sixteen lanes, with fused
//!   multiply-adds spelt out, and compiled for AVX-512, AVX2 and plain Rust; the processor decides at run time.
//! - **Nothing here starts a thread.** A kernel runs on the thread that calls it: one unit, one thread.

#[expect(unsafe_code, reason = "blocks are shared between threads under lock words of their own")]
pub mod arena;
#[expect(unsafe_code, reason = "register tiles read keys and values through pointers checked once a call")]
pub mod attention;
mod error;
pub mod files;
#[expect(unsafe_code, reason = "mapping a file cannot be checked by the compiler")]
pub mod map_file;
#[expect(unsafe_code, reason = "register tiles read rows and panels through pointers checked once a call")]
pub mod matmul;
#[expect(unsafe_code, reason = "vector loads and stores go through pointers")]
pub mod ops;
pub mod signals;
#[expect(unsafe_code, reason = "instructions that only some processors have")]
mod simd;
pub mod thread;

pub use error::KernelError;
