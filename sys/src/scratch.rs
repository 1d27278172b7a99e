//! C strings that are put together at run time, in fixed memory that is not the stack.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Bytes for all strings that exist at one time. Real ones are short; a handful of the longest paths fit as well.
const SCRATCH_BYTES: usize = 64 * 1024;
/// `PATH_MAX` without the NUL.
const LONGEST: usize = 4095;
/// Bytes of the name that no kernel takes.
const TOO_LONG: usize = LONGEST + 1;

struct Scratch {
    used: AtomicUsize,
    /// Whether the name that no kernel takes stands behind the strings.
    has_too_long: AtomicBool,
    bytes: UnsafeCell<[u8; SCRATCH_BYTES + TOO_LONG + 1]>,
}

// SAFETY: every byte range belongs to one `ScratchString`, which got it from an atomic addition; the bytes behind them are
// written once, before the first string that shows them exists.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch {
    used: AtomicUsize::new(0),
    has_too_long: AtomicBool::new(false),
    bytes: UnsafeCell::new([0; SCRATCH_BYTES + TOO_LONG + 1]),
};

/// A path, or another word for the kernel, with a NUL behind it. It is a few words long, so it is cheap to return, unlike an
/// array of `PATH_MAX` bytes, each of which would also make the stack touch a page.
///
/// One that would be longer than a path can be, or for which there is no memory, is a name that every kernel refuses with
/// `ENAMETOOLONG`, whole or as a component. So who makes a path has no error to look at: the system call has.
///
/// The memory is given back when the string that was made last is dropped first, which is what happens in a program of
/// nested calls; what is dropped out of order stays used.
pub struct ScratchString {
    /// Counted from 1, so that an optional string is no larger.
    start: NonZeroU32,
    /// Without the NUL.
    len: u32,
}

impl ScratchString {
    /// Joins `parts`.
    #[inline(never)]
    pub fn join(parts: &[&[u8]]) -> Self {
        let mut len = 0;
        for part in parts {
            len += part.len();
        }
        let Some(mut string) = Self::reserve(len) else {
            return Self::too_long();
        };
        let mut rest = string.bytes_mut();
        for part in parts {
            let Some((place, after)) = rest.split_at_mut_checked(part.len()) else {
                break;
            };
            place.copy_from_slice(part);
            rest = after;
        }
        string
    }

    fn reserve(len: usize) -> Option<Self> {
        let start = SCRATCH.used.load(Ordering::Relaxed);
        let end = start + len + 1;
        if len > LONGEST || end > SCRATCH_BYTES {
            return None;
        }
        // There is one thread, so nobody came between.
        if SCRATCH
            .used
            .compare_exchange(start, end, Ordering::Relaxed, Ordering::Relaxed)
            .is_err()
        {
            return None;
        }
        let mut string = Self::new(start, len);
        if let Some(nul) = string.whole_mut().last_mut() {
            *nul = 0;
        }
        Some(string)
    }

    /// Both lie inside the memory.
    fn new(start: usize, len: usize) -> Self {
        Self {
            start: NonZeroU32::MIN.saturating_add(start as u32),
            len: len as u32,
        }
    }

    /// The name that no kernel takes. All of them are the same bytes.
    #[cold]
    #[inline(never)]
    fn too_long() -> Self {
        let string = Self::new(SCRATCH_BYTES, TOO_LONG);
        if !SCRATCH.has_too_long.swap(true, Ordering::Relaxed) {
            // SAFETY: the bytes behind SCRATCH_BYTES belong to no other string, this branch is taken once, and no string that
            // shows them exists yet. The NUL at their end stays.
            unsafe {
                SCRATCH
                    .bytes
                    .get()
                    .cast::<u8>()
                    .add(SCRATCH_BYTES)
                    .write_bytes(b'x', TOO_LONG)
            };
        }
        string
    }

    fn is_too_long(&self) -> bool {
        self.at() == SCRATCH_BYTES
    }

    fn at(&self) -> usize {
        self.start.get() as usize - 1
    }

    /// Behind the NUL.
    fn end(&self) -> usize {
        self.at() + self.len as usize + 1
    }

    /// The string and its NUL; nothing for the name that is shared.
    fn whole_mut(&mut self) -> &mut [u8] {
        if self.is_too_long() {
            return &mut [];
        }
        // SAFETY: start..start + len + 1 lies inside the array (`reserve` looked) and belongs to this value alone until it is
        // dropped; `&mut self` lets one reference exist at a time.
        unsafe {
            core::slice::from_raw_parts_mut(SCRATCH.bytes.get().cast::<u8>().add(self.at()), self.len as usize + 1)
        }
    }

    fn whole(&self) -> &[u8] {
        // SAFETY: as for `whole_mut`, with `&self`; nobody writes the bytes that are shared any more.
        unsafe { core::slice::from_raw_parts(SCRATCH.bytes.get().cast::<u8>().add(self.at()), self.len as usize + 1) }
    }

    /// The bytes without the NUL, to change single ones.
    #[inline(never)]
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        match self.whole_mut() {
            [bytes @ .., _nul] => bytes,
            [] => &mut [],
        }
    }

    /// For the kernel. A NUL inside ends the string there.
    #[inline(never)]
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(self.whole()).unwrap_or_default()
    }

    /// The string for the rest of the program, whose memory is not given back.
    pub fn leak(self) -> &'static CStr {
        let string = core::mem::ManuallyDrop::new(self);
        // SAFETY: as for `whole`; and since this value is never dropped, nobody else is ever given the range.
        let bytes = unsafe {
            core::slice::from_raw_parts(
                SCRATCH.bytes.get().cast::<u8>().add(string.at()),
                string.len as usize + 1,
            )
        };
        CStr::from_bytes_until_nul(bytes).unwrap_or_default()
    }

    /// For people.
    #[inline(never)]
    pub fn as_str(&self) -> &str {
        if self.is_too_long() {
            return "(a path that is too long)";
        }
        self.as_c_str().to_str().unwrap_or("?")
    }
}

impl Drop for ScratchString {
    #[inline(never)]
    fn drop(&mut self) {
        let _ = SCRATCH
            .used
            .compare_exchange(self.end(), self.at(), Ordering::Relaxed, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_joined() {
        assert_eq!(ScratchString::join(&[b"/a", b"/", b"b"]).as_c_str(), c"/a/b");
    }

    #[test]
    fn what_is_too_long_is_a_name_that_no_kernel_takes() {
        let longest = [b'a'; LONGEST];
        assert_eq!(ScratchString::join(&[&longest]).as_c_str().to_bytes(), longest);
        let mut joined = ScratchString::join(&[&longest, b"b"]);
        assert_eq!(joined.as_c_str().to_bytes(), [b'x'; TOO_LONG]);
        assert!(joined.bytes_mut().is_empty());
    }

    #[test]
    fn strings_do_not_overlap() {
        let a = ScratchString::join(&[b"first"]);
        let b = ScratchString::join(&[b"sec", b"ond"]);
        let c = ScratchString::join(&[b"third"]);
        drop(b);
        let d = ScratchString::join(&[b"fourth"]);
        assert_eq!((a.as_str(), c.as_str(), d.as_str()), ("first", "third", "fourth"));
    }
}
