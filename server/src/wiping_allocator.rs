//! jemalloc that wipes what it frees, up to 256 KiB.
//!
//! The text of an SSE-C key passes through buffers that are not ours: hyper's read buffer and TLS
//! records. They are freed without being wiped, and a dump of the process could show them long
//! after. Wiping at the free closes that for every library at once. Larger blocks are stripe
//! buffers and the like, which hold ciphertext or bulk plaintext and no headers; they are not wiped.
//!
//! Freed pages go back to the system within half a second, not ten: buffers that are used again and again have
//! pools of their own, so what is freed is seldom wanted soon.
//!
//! This is the only module of the server with unsafe code: an allocator cannot be written without.
#![allow(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]

use std::alloc::{GlobalAlloc, Layout};

use tikv_jemallocator::Jemalloc;

/// Blocks up to this many bytes are wiped. A connection's read buffer holds at most `limits.head_bytes`,
/// and may be allocated at twice that.
const WIPED_LEN_BYTES_MAX: usize = 256 << 10;

/// jemalloc reads this symbol at its start. `MALLOC_CONF` in the environment overrides it.
// SAFETY: the name is jemalloc's own, and it expects just this: a thin pointer to a string that ends with 0.
#[unsafe(export_name = "malloc_conf")]
static JEMALLOC_CONF: &[u8; 59] = b"background_thread:true,dirty_decay_ms:500,muzzy_decay_ms:0\0";

/// See the module.
pub(crate) struct WipingAllocator;

/// Overwrites a block with zeros in a way that the compiler cannot leave out.
///
/// # Safety
/// `block` must be valid for writes of `len` bytes.
unsafe fn wipe(block: *mut u8, len: usize) {
    // SAFETY: the caller promises validity for writes of `len` bytes.
    unsafe { block.write_bytes(0, len) };
    // The block now escapes to code that the compiler cannot see, so the zeros must be there.
    // SAFETY: an empty assembly template reads and writes nothing.
    unsafe { std::arch::asm!("/* {0} */", in(reg) block, options(nostack, preserves_flags)) };
}

// SAFETY: every call goes to jemalloc with the arguments it was made with; wiping writes only to a
// block that the caller owns and gives up in the same call.
unsafe impl GlobalAlloc for WipingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps GlobalAlloc's contract, which is jemalloc's.
        unsafe { Jemalloc.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { Jemalloc.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if layout.size() <= WIPED_LEN_BYTES_MAX {
            // SAFETY: `block` was allocated with `layout` and is the caller's until this call ends.
            unsafe { wipe(block, layout.size()) };
        }
        // SAFETY: as above.
        unsafe { Jemalloc.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if layout.size() > WIPED_LEN_BYTES_MAX {
            // SAFETY: the caller keeps GlobalAlloc's contract, which is jemalloc's.
            return unsafe { Jemalloc.realloc(block, layout, new_size) };
        }
        // jemalloc may move the bytes and leave the old ones behind, so moving is done here.
        // SAFETY: `new_size` is not 0 and does not overflow when rounded up to the alignment, by
        // the contract of `realloc`.
        let new_layout = unsafe { Layout::from_size_align_unchecked(new_size, layout.align()) };
        // SAFETY: as above.
        let new_block = unsafe { Jemalloc.alloc(new_layout) };
        if !new_block.is_null() {
            // SAFETY: both blocks are live, distinct and at least the smaller size long.
            unsafe { new_block.copy_from_nonoverlapping(block, layout.size().min(new_size)) };
            // SAFETY: the old block is the caller's, who gives it up by a successful `realloc`.
            unsafe { self.dealloc(block, layout) };
        }
        new_block
    }
}
