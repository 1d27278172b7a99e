//! Byte loops for the architectures that have no string instruction.
//!
//! The accesses are volatile for one reason: without it the compiler recognises each loop as the very function that it
//! implements and replaces the body by a call to itself. Words are moved where both sides are aligned to them.
//!
//! What is copied may be a pointer, or the gap between two members of a structure, in which nothing has been written: so it
//! is moved as `MaybeUninit`, which keeps either as it is.

use core::mem::MaybeUninit;

const WORD: usize = size_of::<usize>();

fn aligned(a: *const u8, b: *const u8) -> bool {
    (a.addr() | b.addr()).is_multiple_of(WORD)
}

/// Copies `n` bytes forwards, one after the other.
///
/// # Safety
/// As for `core::ptr::copy`; where the regions overlap, `destination` must not lie above `source`.
pub unsafe fn copy_forward(destination: *mut u8, source: *const u8, n: usize) {
    let (to, from) = (destination.cast::<MaybeUninit<u8>>(), source.cast::<MaybeUninit<u8>>());
    let mut i = 0;
    if aligned(destination, source) {
        while i + WORD <= n {
            // SAFETY: i + WORD <= n keeps both words inside the caller's regions, and both are aligned. Where the regions
            // overlap, they are the same or a word apart at least, so what is written has been read.
            unsafe {
                let word = from.add(i).cast::<MaybeUninit<usize>>().read_volatile();
                to.add(i).cast::<MaybeUninit<usize>>().write_volatile(word);
            }
            i += WORD;
        }
    }
    while i < n {
        // SAFETY: i < n, so both bytes are inside the caller's regions.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
        i += 1;
    }
}

/// Copies `n` bytes backwards, the last one first.
///
/// # Safety
/// As for `core::ptr::copy`; where the regions overlap, `destination` must not lie below `source`.
pub unsafe fn copy_backward(destination: *mut u8, source: *const u8, n: usize) {
    let (to, from) = (destination.cast::<MaybeUninit<u8>>(), source.cast::<MaybeUninit<u8>>());
    let mut i = n;
    while i > 0 {
        i -= 1;
        // SAFETY: i < n, so both bytes are inside the caller's regions.
        unsafe { to.add(i).write_volatile(from.add(i).read_volatile()) };
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
        // SAFETY: i < n, so the byte is inside the caller's region.
        unsafe { destination.add(i).write_volatile(byte) };
        i += 1;
    }
}

#[cfg(test)]
mod tests {
    type Copying = unsafe fn(*mut u8, *const u8, usize);
    type Fill = unsafe fn(*mut u8, u8, usize);
    const BYTES: usize = 64;

    fn numbered() -> [u8; BYTES] {
        core::array::from_fn(|index| index as u8)
    }

    /// All ways in which two regions of up to four words lie to each other, and to the borders of words.
    fn copies_like(copy: Copying, allows: fn(usize, usize, usize) -> bool) {
        for from in 0..24 {
            for to in 0..24 {
                for n in (0..33).filter(|n| allows(from, to, *n)) {
                    let (mut found, mut expected) = (numbered(), numbered());
                    expected.copy_within(from..from + n, to);
                    let start = found.as_mut_ptr();
                    // SAFETY: 24 + 33 is less than BYTES, both pointers come from the one to the whole array, and what the
                    // function asks for of regions that overlap is what `allows` has looked at.
                    unsafe { copy(start.add(to), start.add(from), n) };
                    assert_eq!(found, expected, "{n} bytes from {from} to {to}");
                }
            }
        }
    }

    fn fills(fill: Fill) {
        for at in 0..24 {
            for n in 0..33 {
                let (mut found, mut expected) = (numbered(), numbered());
                expected[at..at + n].fill(0xa5);
                // SAFETY: 24 + 33 is less than BYTES.
                unsafe { fill(found.as_mut_ptr().add(at), 0xa5, n) };
                assert_eq!(found, expected, "{n} bytes at {at}");
            }
        }
    }

    #[test]
    fn memory_is_copied_and_filled_as_everywhere() {
        let is_forward = |from, to, n| to <= from || from + n <= to;
        let is_backward = |from, to, n| to >= from || to + n <= from;
        for (forward, backward, fill) in [
            (
                super::copy_forward as Copying,
                super::copy_backward as Copying,
                super::fill as Fill,
            ),
            (crate::arch::copy_forward, crate::arch::copy_backward, crate::arch::fill),
        ] {
            copies_like(forward, is_forward);
            copies_like(backward, is_backward);
            fills(fill);
        }
    }
}
