//! Large values that exist once.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A static value that is handed out once, as `&'static mut`. It is how roci has big buffers without a heap: they lie in
/// `.bss`, cost nothing in the file, and only the pages that are touched become memory.
pub struct TakeOnce<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reachable only through `take`, and the swap lets exactly one caller through.
unsafe impl<T: Send> Sync for TakeOnce<T> {}

impl<T> TakeOnce<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self {
            taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, for the rest of the program.
    ///
    /// # Panics
    /// When it was taken before, which is a bug in the program and not in its input.
    // Giving out one mutable reference of a shared place is what the flag is for.
    #[allow(clippy::mut_from_ref)]
    pub fn take(&'static self) -> &'static mut T {
        take_flag(&self.taken);
        // SAFETY: the flag was false until now and never becomes false again, so this is the only reference ever made.
        unsafe { &mut *self.value.get() }
    }
}

/// Sets the flag, which nobody may have done before.
#[inline(never)]
fn take_flag(taken: &AtomicBool) {
    assert!(!taken.swap(true, Ordering::Relaxed), "a static buffer was taken twice");
}

/// Small values that live as long as the program, a fixed number of them.
pub struct Shelf<T, const N: usize> {
    used: core::sync::atomic::AtomicUsize,
    places: UnsafeCell<[core::mem::MaybeUninit<T>; N]>,
}

// SAFETY: a place is written once, by the one `put` that was given its number, and is read only by who has the number.
unsafe impl<T: Send + Sync, const N: usize> Sync for Shelf<T, N> {}

impl<T, const N: usize> Shelf<T, N> {
    /// An empty shelf.
    pub const fn new() -> Self {
        Self {
            used: core::sync::atomic::AtomicUsize::new(0),
            places: UnsafeCell::new([const { core::mem::MaybeUninit::uninit() }; N]),
        }
    }

    /// Keeps `value` and returns its number. Where the shelf is full the value is lost, and the number is nobody's.
    pub fn put(&'static self, value: T) -> core::num::NonZeroU32 {
        let place = self.used.fetch_add(1, Ordering::Relaxed);
        if place < N {
            // SAFETY: fetch_add gave this number to this call alone, and it lies inside the array.
            unsafe { (*self.places.get().cast::<core::mem::MaybeUninit<T>>().add(place)).write(value) };
        }
        core::num::NonZeroU32::MIN.saturating_add(place.min(N) as u32)
    }

    /// The value with `number`.
    pub fn get(&'static self, number: core::num::NonZeroU32) -> Option<&'static T> {
        let place = number.get() as usize - 1;
        if place >= N.min(self.used.load(Ordering::Relaxed)) {
            return None;
        }
        // SAFETY: numbers below `used` were written by `put` before it returned them, in this program's one thread, and are
        // never written again.
        Some(unsafe { (*self.places.get().cast::<core::mem::MaybeUninit<T>>().add(place)).assume_init_ref() })
    }
}

impl<T, const N: usize> Default for Shelf<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Text that lives as long as the program: a fixed buffer that is filled from the front and never emptied. What does not
/// fit is cut and marked with "…".
pub struct Notes<const N: usize> {
    used: core::sync::atomic::AtomicUsize,
    bytes: UnsafeCell<[u8; N]>,
}

// SAFETY: a byte below `used` is never written again, and bytes above it are written only by the one `keep` that holds the
// range, see there.
unsafe impl<const N: usize> Sync for Notes<N> {}

impl<const N: usize> Notes<N> {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self {
            used: core::sync::atomic::AtomicUsize::new(0),
            bytes: UnsafeCell::new([0; N]),
        }
    }

    /// Formats `text` into the buffer.
    pub fn keep(&'static self, text: core::fmt::Arguments<'_>) -> &'static str {
        // The whole rest is claimed while formatting, so that a nested call sees a full buffer and not the same bytes.
        let start = self.used.swap(N, Ordering::Relaxed);
        // SAFETY: the swap gave start..N to this call alone: every other call sees N until the store below, and all text
        // given out before lies below `start`.
        let rest = unsafe { core::slice::from_raw_parts_mut(self.bytes.get().cast::<u8>().add(start), N - start) };
        let mut writer = Truncating::new(rest);
        let _ = core::fmt::write(&mut writer, text);
        let kept = writer.finish();
        self.used.store(start + kept.len(), Ordering::Relaxed);
        kept
    }
}

impl<const N: usize> Default for Notes<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A writer into fixed memory that never fails: what does not fit is cut and marked with "…".
pub struct Truncating<'a> {
    bytes: &'a mut [u8],
    len: usize,
    cut: bool,
}

const MARK: &str = "…";

impl<'a> Truncating<'a> {
    /// Writes into `bytes`.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self {
            bytes,
            len: 0,
            cut: false,
        }
    }

    /// The text so far.
    pub fn finish(self) -> &'a str {
        let Self { bytes, mut len, cut } = self;
        if cut {
            len = len.min(bytes.len().saturating_sub(MARK.len()));
            // Step back to the start of a character.
            while bytes.get(len).is_some_and(|byte| byte & 0xc0 == 0x80) && len > 0 {
                len -= 1;
            }
            if let Some(place) = bytes.get_mut(len..len + MARK.len()) {
                place.copy_from_slice(MARK.as_bytes());
                len += MARK.len();
            }
        }
        // Only whole `&str`s were copied, and a cut steps back to a character's start, so this is never the default.
        core::str::from_utf8(bytes.get(..len).unwrap_or_default()).unwrap_or_default()
    }
}

impl core::fmt::Write for Truncating<'_> {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            match self.bytes.get_mut(self.len) {
                Some(place) => {
                    *place = byte;
                    self.len += 1;
                }
                None => self.cut = true,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::fmt::Write;

    #[test]
    fn a_long_text_is_cut_at_a_character_and_marked() {
        let mut memory = [0; 8];
        let mut writer = Truncating::new(&mut memory);
        let _ = writer.write_str("abcdäöü");
        assert_eq!(writer.finish(), "abcd…");
    }

    #[test]
    fn a_text_that_fits_exactly_is_whole() {
        let mut memory = [0; 4];
        let mut writer = Truncating::new(&mut memory);
        let _ = writer.write_str("abcd");
        assert_eq!(writer.finish(), "abcd");
    }

    #[test]
    fn notes_follow_each_other_until_the_buffer_is_full() {
        static NOTES: Notes<8> = Notes::new();
        assert_eq!(NOTES.keep(format_args!("ab")), "ab");
        assert_eq!(NOTES.keep(format_args!("{}", 123456)), "123456");
        assert_eq!(NOTES.keep(format_args!("x")), "");
    }

    #[test]
    #[should_panic(expected = "taken twice")]
    fn a_value_is_handed_out_once() {
        static VALUE: TakeOnce<u8> = TakeOnce::new(0);
        let _ = VALUE.take();
        let _ = VALUE.take();
    }
}
