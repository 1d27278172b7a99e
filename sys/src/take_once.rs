//! Large values that exist once.

use core::cell::UnsafeCell;
use core::fmt::Write;
use core::mem::MaybeUninit;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::copy;

/// A static value that is handed out once, as `&'static mut`. It is how roci has big buffers without a heap: they lie in
/// `.bss`, cost nothing in the file, and only the pages that are touched become memory.
pub struct TakeOnce<T> {
    taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reachable only through `take`, and the swap lets exactly one caller through, whichever thread it is in:
// the value goes to it, as `T: Send` allows. It was there before any thread, so there is nothing to wait for.
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

/// A small value that the whole program shares and may change: what a process is about to do when it fails, for example.
pub struct Register<T: Copy>(UnsafeCell<T>);

// SAFETY: every program here has one thread (and of the unit tests there is one at a time, as .cargo/config.toml asks), a signal
// is taken by asking for it, and `get` and `set` copy the value without calling anything: no access can come in the middle of
// another. The one handler there is, `signal::end_at_bugs`, comes for a bug, which no access here has, and nothing goes on
// after it.
unsafe impl<T: Copy> Sync for Register<T> {}

impl<T: Copy> Register<T> {
    /// Holds `value` at first.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// A copy of the value.
    pub fn get(&self) -> T {
        // SAFETY: no reference to the inside is ever given out, so nothing can be changing it now (see `Sync`), and it has been a
        // value from the start.
        unsafe { *self.0.get() }
    }

    /// Another value.
    pub fn set(&self, value: T) {
        // SAFETY: as in `get`: nothing can be reading it now. A `Copy` value has no drop that could look at the old one.
        unsafe { *self.0.get() = value }
    }
}

/// A value that is made when it is first asked for, and then lives as long as the program.
pub struct Once<T> {
    made: Register<bool>,
    value: UnsafeCell<MaybeUninit<T>>,
}

// SAFETY: as for `Register`: there is one thread. That a value is not replaced while somebody has it is seen to in
// `get_or_make`.
unsafe impl<T> Sync for Once<T> {}

impl<T> Once<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self {
            made: Register::new(false),
            value: UnsafeCell::new(MaybeUninit::zeroed()),
        }
    }

    /// The value, made by `make` the first time.
    pub fn get_or_make(&'static self, make: impl FnOnce() -> T) -> &'static T {
        if !self.made.get() {
            let value = make();
            assert!(!self.made.get(), "a value was asked for while it was made");
            // SAFETY: nobody has a reference to the value, which was not there until now: `made` says so again after `make`,
            // which might have come here itself.
            unsafe { (*self.value.get()).write(value) };
            self.made.set(true);
        }
        // SAFETY: it was written before `made` was set, and never is again: `made` stays.
        unsafe { (*self.value.get()).assume_init_ref() }
    }
}

impl<T> Default for Once<T> {
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

    /// The text that `write` puts into the buffer.
    pub fn keep(&'static self, write: impl FnOnce(&mut Truncating<'static>)) -> &'static str {
        // The whole rest is claimed while writing, so that a nested call sees a full buffer and not the same bytes.
        let start = self.used.swap(N, Ordering::Relaxed);
        // SAFETY: the swap gave start..N to this call alone: every other call sees N until the store below, and all text
        // given out before lies below `start`. The bytes are inside the array, since `start` is at most N, and are initialised.
        let rest = unsafe { core::slice::from_raw_parts_mut(self.bytes.get().cast::<u8>().add(start), N - start) };
        let mut writer = Truncating::new(rest);
        write(&mut writer);
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

    fn push(&mut self, byte: u8) {
        match self.bytes.get_mut(self.len) {
            Some(place) => {
                *place = byte;
                self.len += 1;
            }
            None => self.cut = true,
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
            if let Some(place) = bytes.get_mut(len..) {
                copy(place, MARK.as_bytes());
                len = bytes.len().min(len + MARK.len());
            }
        }
        // Only whole `&str`s were copied, and a cut steps back to a character's start, so this is never the default.
        core::str::from_utf8(bytes.get(..len).unwrap_or_default()).unwrap_or_default()
    }
}

impl Write for Truncating<'_> {
    #[inline(never)]
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        for byte in text.bytes() {
            self.push(byte);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let keep = |word: &str| {
            NOTES.keep(|text| {
                let _ = text.write_str(word);
            })
        };
        assert_eq!((keep("ab"), keep("123456"), keep("x")), ("ab", "123456", ""));
    }

    #[test]
    #[should_panic(expected = "taken twice")]
    fn a_value_is_handed_out_once() {
        static VALUE: TakeOnce<u8> = TakeOnce::new(0);
        let _ = VALUE.take();
        let _ = VALUE.take();
    }
}
