//! The arena's memory and the lock word of each block. All aliasing rules of the arena are kept here.

use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::MmapMut;

use super::KvLayout;
use crate::KernelError;

/// The lock word of a block that is being written. Any smaller value counts the copies that read it.
const WRITING: u32 = u32::MAX;

/// Zeroed pages, touched only when used, and one lock word a block.
#[derive(Debug)]
pub(super) struct Memory {
    layout: KvLayout,
    block_bytes: usize,
    base: NonNull<u8>,
    locks: Box<[AtomicU32]>,
    /// Owns the pages that `base` points to; never touched otherwise.
    _pages: MmapMut,
}

// SAFETY: the pages are plain memory owned by the value; nothing about them belongs to a thread.
unsafe impl Send for Memory {}
// SAFETY: through a shared reference bytes are reached only by `Reading` and `Writing`, which the lock words keep apart,
// and by `OwnerView`, whose maker promises that nobody can hold a `Writing` while it lives.
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) fn new(layout: KvLayout) -> Result<Arc<Self>, KernelError> {
        let bytes = layout.check()?;
        let mut pages = MmapMut::map_anon(bytes).map_err(|source| KernelError::Reserve { bytes, source })?;
        // Large pages spare address translations where blocks lie far apart; without them it only runs slower.
        #[cfg(target_os = "linux")]
        let _ = pages.advise(memmap2::Advice::HugePage);
        let base = NonNull::from(&mut pages[..]).cast();
        let locks = (0..layout.blocks).map(|_| AtomicU32::new(0)).collect();
        Ok(Arc::new(Self { layout, block_bytes: layout.block_bytes(), base, locks, _pages: pages }))
    }

    pub(super) fn layout(&self) -> &KvLayout {
        &self.layout
    }

    fn lock(&self, block: u32) -> Result<&AtomicU32, KernelError> {
        let blocks = self.layout.blocks;
        self.locks.get(block as usize).ok_or(KernelError::NoSuchBlock { block: u64::from(block), blocks })
    }

    /// The first byte of a block that `lock` has found to exist.
    fn block(&self, block: u32) -> NonNull<u8> {
        debug_assert!((block as usize) < self.layout.blocks);
        // SAFETY: the block exists, and `check` has shown that all blocks lie within the pages.
        unsafe { self.base.add(block as usize * self.block_bytes) }
    }

    /// Keeps writers away from `block` for as long as the guard lives.
    pub(super) fn read(&self, block: u32) -> Result<Reading<'_>, KernelError> {
        let lock = self.lock(block)?;
        // One below `WRITING` the count is full: a writer's word must never be reached by counting.
        lock.fetch_update(Ordering::Acquire, Ordering::Relaxed, |readers| (readers < WRITING - 1).then(|| readers + 1))
            .map_err(|_| KernelError::Busy { block })?;
        Ok(Reading { lock, bytes: self.block(block), len: self.block_bytes })
    }

    /// Keeps everyone else away from `block` for as long as the guard lives.
    pub(super) fn write(&self, block: u32) -> Result<Writing<'_>, KernelError> {
        let lock = self.lock(block)?;
        lock.compare_exchange(0, WRITING, Ordering::Acquire, Ordering::Relaxed)
            .map_err(|_| KernelError::Busy { block })?;
        Ok(Writing { lock, bytes: self.block(block), len: self.block_bytes })
    }

    /// Reads without locks.
    ///
    /// # Safety
    /// While the view lives nobody calls `write` on this memory.
    pub(super) unsafe fn owner_view(&self) -> OwnerView<'_> {
        OwnerView { base: self.base, _memory: PhantomData }
    }
}

/// A block that nobody writes.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    lock: &'a AtomicU32,
    bytes: NonNull<u8>,
    len: usize,
}

impl Reading<'_> {
    pub(super) fn bytes(&self) -> &[u8] {
        // SAFETY: the block lies within the pages, and the lock word keeps writers out while the guard lives.
        unsafe { std::slice::from_raw_parts(self.bytes.as_ptr(), self.len) }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.lock.fetch_sub(1, Ordering::Release);
    }
}

/// A block that nobody else reads or writes.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    lock: &'a AtomicU32,
    bytes: NonNull<u8>,
    len: usize,
}

impl Writing<'_> {
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the block lies within the pages, and the lock word keeps everyone else out while the guard lives.
        unsafe { std::slice::from_raw_parts_mut(self.bytes.as_ptr(), self.len) }
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.lock.store(0, Ordering::Release);
    }
}

/// The whole arena as its owner reads it between writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnerView<'a> {
    base: NonNull<u8>,
    _memory: PhantomData<&'a Memory>,
}

impl OwnerView<'_> {
    /// The first byte of the arena; readable to its end while the view lives.
    pub(crate) fn as_ptr(self) -> *const u8 {
        self.base.as_ptr()
    }
}
