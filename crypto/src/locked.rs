//! Memory for keys: locked against swap, left out of core dumps, wiped on release.
//!
//! The one module of this crate with `unsafe`. Two slabs of fixed slots, 32 bytes for keys and
//! 1 KiB for expanded cipher keys, grow by small anonymous mappings and never shrink. Each
//! mapping gets `mlock`, `MADV_DONTDUMP` and `MADV_WIPEONFORK`. When `mlock` is refused
//! (`RLIMIT_MEMLOCK`), the mapping serves all the same and [`locked_memory`] reports it: refusing
//! service would not protect the keys better than encrypted or absent swap does.
#![expect(unsafe_code, reason = "mmap, mlock and placing values in mapped memory have no safe form")]

use std::alloc::{Layout, handle_alloc_error};
use std::mem::{MaybeUninit, align_of, size_of};
use std::ops::{Deref, DerefMut};
use std::ptr::{self, NonNull};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};
use zeroize::Zeroize;

/// How the key memory of this process stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockedMemory {
    /// Bytes mapped and locked.
    pub locked_bytes: usize,
    /// Bytes mapped that the kernel refused to lock: raise `RLIMIT_MEMLOCK`.
    pub unlocked_bytes: usize,
    /// Bytes mapped that the kernel refused to leave out of core dumps.
    pub dumpable_bytes: usize,
    /// Slots in use now.
    pub slots_used: usize,
}

/// How the key memory of this process stands now.
pub fn locked_memory() -> LockedMemory {
    let mut sum = LockedMemory::default();
    for slab in [&KEYS, &CIPHERS] {
        let status = slab.lock().status;
        sum.locked_bytes += status.locked_bytes;
        sum.unlocked_bytes += status.unlocked_bytes;
        sum.dumpable_bytes += status.dumpable_bytes;
        sum.slots_used += status.slots_used;
    }
    sum
}

/// A value alone in one slot of locked memory.
///
/// Moving the box does not move the value, so no copies of it stay behind. On drop every byte of
/// the value, padding included, is overwritten.
pub(crate) struct LockedBox<T> {
    slot: NonNull<T>,
}

impl<T> LockedBox<T> {
    const FITS: () = assert!(align_of::<T>() <= SLOT_ALIGN && size_of::<T>() <= CIPHER_SLOT_LEN);

    fn slab() -> &'static Slab {
        if size_of::<T>() <= KEY_SLOT_LEN { &KEYS } else { &CIPHERS }
    }

    /// Moves `value` into a slot. The bytes it is moved from are the caller's to wipe.
    pub(crate) fn new(value: T) -> Self {
        let () = Self::FITS;
        let slot = Self::slab().take().cast::<T>();
        // SAFETY: the slot is mapped read-write, at least as large and aligned as T (checked
        // above at compile time), and belongs to this box alone until it is given back.
        unsafe { slot.as_ptr().write(value) };
        Self { slot }
    }
}

impl<T> Deref for LockedBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the slot holds a valid T from `new` to `drop`, and only this box points to it.
        unsafe { self.slot.as_ref() }
    }
}

impl<T> DerefMut for LockedBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`, and `&mut self` excludes other borrows.
        unsafe { self.slot.as_mut() }
    }
}

impl<T> Drop for LockedBox<T> {
    fn drop(&mut self) {
        // SAFETY: the value is valid and never used again.
        unsafe { ptr::drop_in_place(self.slot.as_ptr()) };
        let bytes = self.slot.cast::<MaybeUninit<u8>>();
        // SAFETY: the slot is mapped for at least `size_of::<T>()` bytes, no value lives in it
        // any more, and `MaybeUninit` accepts padding.
        let bytes = unsafe { std::slice::from_raw_parts_mut(bytes.as_ptr(), size_of::<T>()) };
        bytes.zeroize();
        Self::slab().give_back(self.slot.cast());
    }
}

// SAFETY: the box owns its value as `Box<T>` does.
unsafe impl<T: Send> Send for LockedBox<T> {}
// SAFETY: as for `Box<T>`: a shared box gives only shared access to the value.
unsafe impl<T: Sync> Sync for LockedBox<T> {}

struct Slab {
    slot_len: usize,
    mapping_len: usize,
    state: Mutex<SlabState>,
}

struct SlabState {
    free: Vec<FreeSlot>,
    slots: usize,
    status: LockedMemory,
}

struct FreeSlot(NonNull<u8>);

// SAFETY: a free slot is plain mapped memory that nobody points to; mappings are never removed.
unsafe impl Send for FreeSlot {}

impl Slab {
    const fn new(slot_len: usize, mapping_len: usize) -> Self {
        assert!(slot_len.is_multiple_of(SLOT_ALIGN) && mapping_len.is_multiple_of(slot_len));
        let status = LockedMemory { locked_bytes: 0, unlocked_bytes: 0, dumpable_bytes: 0, slots_used: 0 };
        Self { slot_len, mapping_len, state: Mutex::new(SlabState { free: Vec::new(), slots: 0, status }) }
    }

    fn lock(&self) -> MutexGuard<'_, SlabState> {
        // No code under the lock leaves the state half-changed when it panics.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> NonNull<u8> {
        let mut state = self.lock();
        if state.free.is_empty() {
            self.grow(&mut state);
        }
        let slot = state.free.pop().expect("a mapping has at least one slot");
        state.status.slots_used += 1;
        slot.0
    }

    fn give_back(&self, slot: NonNull<u8>) {
        let mut state = self.lock();
        state.status.slots_used -= 1;
        state.free.push(FreeSlot(slot));
    }

    fn grow(&self, state: &mut SlabState) {
        let len = self.mapping_len;
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new private anonymous mapping at an address that the kernel chooses.
        let mapped = unsafe { mmap_anonymous(ptr::null_mut(), len, flags, MapFlags::PRIVATE) };
        let Some(base) = mapped.ok().and_then(NonNull::new) else {
            // Out of address space or memory: what the allocator would say too.
            let layout = Layout::from_size_align(len, SLOT_ALIGN);
            handle_alloc_error(layout.expect("constant length and alignment"));
        };
        // SAFETY: the range is the mapping made above.
        match unsafe { mlock(base.as_ptr(), len) } {
            Ok(()) => state.status.locked_bytes += len,
            Err(_) => state.status.unlocked_bytes += len,
        }
        // SAFETY: the range is the mapping made above; the advice leaves its contents alone.
        if unsafe { madvise(base.as_ptr(), len, Advice::LinuxDontDump) }.is_err() {
            state.status.dumpable_bytes += len;
        }
        // A child process has no use for keys; kernels before 4.14 refuse, and that is harmless.
        // SAFETY: as above; the advice only changes what a forked child sees.
        let _ = unsafe { madvise(base.as_ptr(), len, Advice::LinuxWipeOnFork) };

        let slots = len / self.slot_len;
        state.slots += slots;
        // Room for every slot, so that giving one back never allocates.
        let room = state.slots - state.free.len();
        state.free.reserve_exact(room);
        for index in 0..slots {
            // SAFETY: `index * slot_len` is inside the mapping.
            let slot = unsafe { base.cast::<u8>().add(index * self.slot_len) };
            state.free.push(FreeSlot(slot));
        }
    }
}

const SLOT_ALIGN: usize = 32;
const KEY_SLOT_LEN: usize = 32;
const CIPHER_SLOT_LEN: usize = 1024;

/// Raw 32-byte keys: 512 in a mapping.
static KEYS: Slab = Slab::new(KEY_SLOT_LEN, 16 * 1024);

/// Expanded cipher keys: 32 in a mapping.
static CIPHERS: Slab = Slab::new(CIPHER_SLOT_LEN, 32 * 1024);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_distinct_and_wiped() {
        let boxes: Vec<_> = (1..=2000u32).map(|i| LockedBox::new([i; 8])).collect();
        for (i, slot) in boxes.iter().enumerate() {
            assert_eq!(**slot, [i as u32 + 1; 8]);
        }
        let first = boxes[0].slot;
        assert!(locked_memory().slots_used >= 2000);
        drop(boxes);
        // SAFETY: mappings are never removed, and slots hold plain bytes; another test may have
        // taken this slot since, which the loop tolerates by looking for our pattern only.
        let left = unsafe { first.as_ptr().read_volatile() };
        assert_ne!(left, [1; 8]);
    }

    #[test]
    fn large_values_have_their_own_slab() {
        let large = LockedBox::new([9u8; 1000]);
        assert!(large.iter().all(|&byte| byte == 9));
        let status = locked_memory();
        assert!(status.locked_bytes + status.unlocked_bytes >= 32 * 1024);
        assert_eq!(status.dumpable_bytes, 0);
    }
}
