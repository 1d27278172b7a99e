//! C strings that are put together at run time, in fixed memory that is not the stack.

use core::cell::UnsafeCell;
use core::ffi::CStr;
use core::ptr::NonNull;

use crate::Register;

/// Bytes for all strings that a program makes and does not free: more than the largest configuration asks for. Memory that
/// nobody has written costs nothing.
const SCRATCH_BYTES: usize = 2 * 1024 * 1024;
/// `PATH_MAX` without the NUL.
const LONGEST: usize = 4095;
/// Bytes of the name that no kernel takes.
const TOO_LONG: usize = LONGEST + 1;
/// Bytes before each string, which hold its length without the NUL behind it.
const HEADER: usize = size_of::<u16>();

/// The strings, one behind the other, and behind all of them the name that no kernel takes.
struct Scratch(UnsafeCell<[u8; SCRATCH_BYTES + HEADER + TOO_LONG + 1]>);

// SAFETY: as for `Register`, there is one thread, and a `ScratchString` is not Send, so no other one can come to it. A range of
// bytes is written before there is a `ScratchString` that shows it, and then only through that one, until it is freed.
unsafe impl Sync for Scratch {}

static SCRATCH: Scratch = Scratch(UnsafeCell::new([0; SCRATCH_BYTES + HEADER + TOO_LONG + 1]));
/// How much of the memory strings have.
static USED: Register<usize> = Register::new(0);
static HAS_TOO_LONG: Register<bool> = Register::new(false);

/// A path, or another word for the kernel, with a NUL behind it. It is one pointer, so it is cheap to have and to return,
/// unlike an array of `PATH_MAX` bytes, each of which would also make the stack touch a page.
///
/// One that would be longer than a path can be, or for which there is no memory, is a name that every kernel refuses with
/// `ENAMETOOLONG`, whole or as a component. So who makes a path has no error to look at: the system call has. A NUL inside
/// ends the string there, which is what the kernel would see.
///
/// The memory is kept until the program ends, unless the string is freed. Whoever makes one for each of many things frees it,
/// the one that was made last first; there are few of them, and dropping each string wherever a name goes out of scope costs
/// the executable kilobytes.
pub struct ScratchString(NonNull<u8>);

impl ScratchString {
    /// Joins `parts`.
    #[inline(never)]
    pub fn join(parts: &[&[u8]]) -> Self {
        let start = USED.get();
        // SAFETY: `start` is at most SCRATCH_BYTES, since only what has fit is counted, so the range is inside the memory, all of
        // which is initialised. The strings that exist lie before it, as do the parts that are among them: `free` takes back
        // none but the last. The name that is too long lies behind it. So nobody else has a reference to any of these bytes,
        // and this one is used no more once the new string exists.
        let rest = unsafe { core::slice::from_raw_parts_mut(Self::at(start).as_ptr(), SCRATCH_BYTES - start) };
        let Some((header, rest)) = rest.split_first_chunk_mut::<HEADER>() else {
            return Self::too_long();
        };
        let bytes = parts.iter().copied().flatten();
        let mut len = 0;
        for byte in bytes.take_while(|byte| **byte != 0).chain(&[0]) {
            match rest.get_mut(len) {
                Some(place) if len <= LONGEST => *place = *byte,
                _ => return Self::too_long(),
            }
            len += 1;
        }
        *header = (len as u16 - 1).to_ne_bytes();
        USED.set(start + HEADER + len);
        Self(Self::at(start + HEADER))
    }

    /// The name that no kernel takes. All of them are the same bytes.
    #[cold]
    #[inline(never)]
    fn too_long() -> Self {
        let text = Self::at(SCRATCH_BYTES + HEADER);
        if !HAS_TOO_LONG.get() {
            HAS_TOO_LONG.set(true);
            // SAFETY: the bytes behind SCRATCH_BYTES belong to no other string, this branch is taken once, and no string that
            // shows them exists yet. The NUL at their end stays.
            unsafe {
                text.sub(HEADER).cast().write_unaligned((TOO_LONG as u16).to_ne_bytes());
                text.write_bytes(b'x', TOO_LONG);
            }
        }
        Self(text)
    }

    fn is_too_long(&self) -> bool {
        self.0 == Self::at(SCRATCH_BYTES + HEADER)
    }

    /// A place in the memory.
    fn at(place: usize) -> NonNull<u8> {
        // SAFETY: every caller has a place inside the memory, and the memory's address is not null.
        unsafe { NonNull::new_unchecked(SCRATCH.0.get().cast::<u8>().add(place)) }
    }

    /// Without the NUL.
    fn len(&self) -> usize {
        // SAFETY: there is a header before each string, written with it, which nobody writes while the string exists.
        u16::from_ne_bytes(unsafe { self.0.sub(HEADER).cast().read_unaligned() }).into()
    }

    /// Puts `new` into the place of every `old`. Neither is a NUL, of which there is one, at the end.
    pub fn replace(&mut self, old: u8, new: u8) {
        if self.is_too_long() || old == 0 || new == 0 {
            return;
        }
        // SAFETY: so many bytes were written there, and they belong to this value alone until it is freed; `&mut self` says
        // that nobody has a reference that `as_c_str` gave.
        let bytes = unsafe { core::slice::from_raw_parts_mut(self.0.as_ptr(), self.len()) };
        for byte in bytes.iter_mut().filter(|byte| **byte == old) {
            *byte = new;
        }
    }

    /// For the kernel.
    #[inline]
    pub fn as_c_str(&self) -> &CStr {
        // SAFETY: as for `replace`, with `&self`, so that nobody writes them meanwhile; nobody ever writes the bytes that all the
        // names that are too long share. `join` has put a NUL behind them and none among them, and `replace` brings none.
        unsafe { CStr::from_bytes_with_nul_unchecked(core::slice::from_raw_parts(self.0.as_ptr(), self.len() + 1)) }
    }

    /// The string for the rest of the program, whose memory is not given back.
    #[inline]
    pub fn leak(self) -> &'static CStr {
        // SAFETY: as for `as_c_str`; and since this value is gone without having been freed, nobody can free or write the
        // range.
        unsafe { CStr::from_bytes_with_nul_unchecked(core::slice::from_raw_parts(self.0.as_ptr(), self.len() + 1)) }
    }

    /// Gives the memory back, if no other string was made since that still exists.
    #[inline(never)]
    pub fn free(self) {
        let start = self.0.as_ptr().addr() - HEADER - Self::at(0).as_ptr().addr();
        if USED.get() == start + HEADER + self.len() + 1 {
            USED.set(start);
        }
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
        joined.replace(b'x', b'y');
        assert_eq!(joined.as_c_str().to_bytes(), [b'x'; TOO_LONG]);
    }

    #[test]
    fn a_nul_ends_the_string() {
        assert_eq!(ScratchString::join(&[b"a\0b", b"c"]).as_c_str(), c"a");
    }

    #[test]
    fn what_is_freed_last_first_leaves_the_memory_as_it_was() {
        let before = USED.get();
        for _ in 0..SCRATCH_BYTES {
            let one = ScratchString::join(&[b"one"]);
            assert_eq!(one.as_c_str(), c"one");
            ScratchString::join(&[b"another"]).free();
            one.free();
        }
        assert_eq!(USED.get(), before);
    }

    #[test]
    fn where_there_is_no_room_the_name_is_too_long() {
        let before = USED.get();
        USED.set(SCRATCH_BYTES - 8);
        assert_eq!(ScratchString::join(&[b"fits"]).as_c_str(), c"fits");
        assert_eq!(ScratchString::join(&[b"not"]).as_c_str().count_bytes(), TOO_LONG);
        USED.set(before);
    }

    #[test]
    fn strings_do_not_overlap() {
        let a = ScratchString::join(&[b"first"]);
        let b = ScratchString::join(&[b"sec", b"ond"]);
        let c = ScratchString::join(&[b"third"]);
        b.free();
        let d = ScratchString::join(&[b"fourth"]);
        assert_eq!((a.as_str(), c.as_str(), d.as_str()), ("first", "third", "fourth"));
    }
}
