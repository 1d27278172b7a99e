//! C strings that are put together at run time, in fixed memory that is not the stack.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::num::NonZeroU32;
use core::sync::atomic::{AtomicUsize, Ordering};

/// Bytes for all strings that exist at one time. Real ones are short; a handful of the longest paths fit as well.
const SCRATCH_BYTES: usize = 64 * 1024;

struct Scratch {
    used: AtomicUsize,
    bytes: UnsafeCell<[u8; SCRATCH_BYTES]>,
}

// SAFETY: every byte range belongs to one `ScratchString`, which got it from an atomic addition.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch {
    used: AtomicUsize::new(0),
    bytes: UnsafeCell::new([0; SCRATCH_BYTES]),
};

/// A string with a NUL behind it. It is a few words long, so it is cheap to return, unlike an array of `PATH_MAX` bytes, each
/// of which would also make the stack touch a page.
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
    /// Joins `parts`; `None` where that is longer than `longest` bytes, or where the memory is full.
    pub fn join(parts: &[&[u8]], longest: usize) -> Option<Self> {
        let mut len = 0;
        for part in parts {
            len += part.len();
        }
        if len > longest {
            return None;
        }
        let mut string = Self::reserve(len)?;
        let mut at = 0;
        for part in parts {
            string.bytes_mut()[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        Some(string)
    }

    /// Formats; `None` where that is longer than `longest` bytes, or where the memory is full.
    pub fn format(text: core::fmt::Arguments<'_>, longest: usize) -> Option<Self> {
        let mut string = Self::reserve(longest)?;
        let mut writer = Whole {
            bytes: string.bytes_mut(),
            len: 0,
        };
        core::fmt::write(&mut writer, text).ok()?;
        let len = writer.len;
        string.bytes_mut()[len..].fill(0);
        // The surplus behind the text is given back, unless the formatting took more.
        let end = string.end();
        let shorter = string.at() + len + 1;
        let _ = SCRATCH
            .used
            .compare_exchange(end, shorter, Ordering::Relaxed, Ordering::Relaxed);
        string.len = len as u32;
        Some(string)
    }

    fn reserve(len: usize) -> Option<Self> {
        let start = SCRATCH.used.fetch_add(len + 1, Ordering::Relaxed);
        if start + len + 1 > SCRATCH_BYTES {
            SCRATCH.used.fetch_sub(len + 1, Ordering::Relaxed);
            return None;
        }
        // Both are below SCRATCH_BYTES.
        let mut string = Self {
            start: NonZeroU32::MIN.saturating_add(start as u32),
            len: len as u32,
        };
        string.whole_mut()[len] = 0;
        Some(string)
    }

    fn at(&self) -> usize {
        self.start.get() as usize - 1
    }

    /// Behind the NUL.
    fn end(&self) -> usize {
        self.at() + self.len as usize + 1
    }

    /// The string and its NUL.
    fn whole_mut(&mut self) -> &mut [u8] {
        // SAFETY: start..start + len + 1 lies inside the array (`reserve` looked) and belongs to this value alone until it is
        // dropped; `&mut self` lets one reference exist at a time.
        unsafe {
            core::slice::from_raw_parts_mut(SCRATCH.bytes.get().cast::<u8>().add(self.at()), self.len as usize + 1)
        }
    }

    fn whole(&self) -> &[u8] {
        // SAFETY: as for `whole_mut`, with `&self`.
        unsafe { core::slice::from_raw_parts(SCRATCH.bytes.get().cast::<u8>().add(self.at()), self.len as usize + 1) }
    }

    /// The bytes without the NUL.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        let len = self.len as usize;
        &mut self.whole_mut()[..len]
    }

    /// For the kernel. A NUL inside ends the string there.
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
    pub fn as_str(&self) -> &str {
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

/// Writes everything or fails.
struct Whole<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl core::fmt::Write for Whole<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        self.bytes
            .get_mut(self.len..end)
            .ok_or(core::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_joined_formatted_and_bounded() {
        assert_eq!(
            ScratchString::join(&[b"/a", b"/", b"b"], 4).unwrap().as_c_str(),
            c"/a/b"
        );
        assert!(ScratchString::join(&[b"/a", b"/", b"b"], 3).is_none());
        assert_eq!(
            ScratchString::format(format_args!("self/fd/{}", 7), 9)
                .unwrap()
                .as_str(),
            "self/fd/7"
        );
        assert!(ScratchString::format(format_args!("self/fd/{}", 77), 9).is_none());
    }

    #[test]
    fn strings_do_not_overlap() {
        let a = ScratchString::join(&[b"first"], 100).unwrap();
        let b = ScratchString::format(format_args!("{}", "second"), 100).unwrap();
        let c = ScratchString::join(&[b"third"], 100).unwrap();
        drop(b);
        let d = ScratchString::join(&[b"fourth"], 100).unwrap();
        assert_eq!((a.as_str(), c.as_str(), d.as_str()), ("first", "third", "fourth"));
    }
}
