//! Byte loops for the architectures that have no string instruction.
//!
//! The accesses are volatile for one reason: without it the compiler recognises each loop as the very function that it
//! implements and replaces the body by a call to itself. Words are moved where both sides are aligned alike.

const WORD: usize = size_of::<usize>();

fn aligned(a: *const u8, b: *const u8) -> bool {
    (a.addr() | b.addr()).is_multiple_of(WORD)
}

/// Copies `n` bytes forwards, one after the other.
///
/// # Safety
/// As for `core::ptr::copy`; where the regions overlap, `destination` must lie below `source`.
pub unsafe fn copy_forward(destination: *mut u8, source: *const u8, n: usize) {
    let mut i = 0;
    if aligned(destination, source) {
        while i + WORD <= n {
            // SAFETY: i + WORD <= n keeps both words inside the caller's regions, and both are aligned.
            unsafe {
                destination
                    .add(i)
                    .cast::<usize>()
                    .write_volatile(source.add(i).cast::<usize>().read_volatile())
            };
            i += WORD;
        }
    }
    while i < n {
        // SAFETY: i < n.
        unsafe { destination.add(i).write_volatile(source.add(i).read_volatile()) };
        i += 1;
    }
}

/// Copies `n` bytes backwards, the last one first.
///
/// # Safety
/// As for `core::ptr::copy`; where the regions overlap, `destination` must lie above `source`.
pub unsafe fn copy_backward(destination: *mut u8, source: *const u8, n: usize) {
    let mut i = n;
    while i > 0 {
        i -= 1;
        // SAFETY: i < n.
        unsafe { destination.add(i).write_volatile(source.add(i).read_volatile()) };
    }
}

/// Fills `n` bytes with `byte`.
///
/// # Safety
/// `destination` must be valid for writing `n` bytes.
pub unsafe fn fill(destination: *mut u8, byte: u8, n: usize) {
    let mut i = 0;
    if destination.addr().is_multiple_of(WORD) {
        let word = usize::from_ne_bytes([byte; WORD]);
        while i + WORD <= n {
            // SAFETY: i + WORD <= n keeps the word inside the caller's region, and it is aligned.
            unsafe { destination.add(i).cast::<usize>().write_volatile(word) };
            i += WORD;
        }
    }
    while i < n {
        // SAFETY: i < n.
        unsafe { destination.add(i).write_volatile(byte) };
        i += 1;
    }
}
