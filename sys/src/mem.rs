//! The memory functions that the compiler emits calls to. A libc would bring them; `program!` defines them.

/// Defines `memcpy`, `memmove`, `memset`, `memcmp`, `bcmp` and `strlen` in the crate that makes the executable.
///
/// They are defined there and not in this library, so that a test that links this library keeps its libc's.
#[doc(hidden)]
#[macro_export]
macro_rules! memory_functions {
    () => {
        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn memcpy(destination: *mut u8, source: *const u8, n: usize) -> *mut u8 {
            // SAFETY: the caller keeps memcpy's contract; the regions do not overlap.
            unsafe { $crate::arch::copy_forward(destination, source, n) };
            destination
        }

        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn memmove(destination: *mut u8, source: *const u8, n: usize) -> *mut u8 {
            // The distance wraps, so one comparison tells whether a forward copy would overwrite what is still to be read.
            if destination.addr().wrapping_sub(source.addr()) >= n {
                // SAFETY: the caller keeps memmove's contract; destination lies below source or behind its end.
                unsafe { $crate::arch::copy_forward(destination, source, n) };
            } else {
                // SAFETY: the caller keeps memmove's contract; destination is source, or lies above it.
                unsafe { $crate::arch::copy_backward(destination, source, n) };
            }
            destination
        }

        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn memset(destination: *mut u8, byte: i32, n: usize) -> *mut u8 {
            // SAFETY: the caller keeps memset's contract. C converts the int to unsigned char.
            unsafe { $crate::arch::fill(destination, byte as u8, n) };
            destination
        }

        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
            // SAFETY: the caller keeps memcmp's contract.
            unsafe { $crate::mem::compare(a, b, n) }
        }

        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
            // SAFETY: the caller keeps bcmp's contract.
            unsafe { $crate::mem::compare(a, b, n) }
        }

        /// # Safety
        /// As in C.
        #[unsafe(no_mangle)]
        unsafe extern "C" fn strlen(text: *const u8) -> usize {
            let mut n = 0;
            // SAFETY: the caller promises a NUL; nothing past it is read. The read is volatile so that the loop is not
            // turned into a call to strlen.
            while unsafe { text.add(n).read_volatile() } != 0 {
                n += 1;
            }
            n
        }

        /// Asked by constructors in aarch64's compiler library, which nobody here runs, for what the processor can do; without
        /// an answer the instructions are used that every processor has.
        #[cfg(target_arch = "aarch64")]
        #[unsafe(no_mangle)]
        extern "C" fn getauxval(_kind: u64) -> u64 {
            0
        }

        /// Named by the unwind tables of the precompiled `core`; never called, since every panic aborts.
        #[unsafe(no_mangle)]
        extern "C" fn rust_eh_personality() {}
    };
}

/// `memcmp`: the difference of the first bytes that differ, or 0.
///
/// # Safety
/// Both pointers must be valid for reading `n` bytes.
pub unsafe fn compare(a: *const u8, b: *const u8, n: usize) -> i32 {
    let mut i = 0;
    while i < n {
        // SAFETY: i < n, and the caller has n bytes at both. As in C, they are not to be uninitialised. Volatile, so that the
        // loop is not turned into a call to memcmp.
        let (x, y) = unsafe { (a.add(i).read_volatile(), b.add(i).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
        i += 1;
    }
    0
}
