//! Becoming another program.

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;
use core::ptr;

use linux_raw_sys::general as k;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;

use crate::Arguments;
use crate::call::call;

/// An argument or environment list in the form of `execve`: pointers, then a null. `N` counts the null.
pub struct StringList<'a, const N: usize> {
    pointers: [*const c_char; N],
    len: usize,
    strings: PhantomData<&'a CStr>,
}

// SAFETY: each pointer that is not null was a `&'a CStr`, which may be sent as well, and nothing is ever written through it.
unsafe impl<const N: usize> Send for StringList<'_, N> {}

impl<'a, const N: usize> StringList<'a, N> {
    /// An empty list.
    pub const fn new() -> Self {
        const { assert!(N > 0, "there is no room for the null") };
        Self {
            pointers: [ptr::null(); N],
            len: 0,
            strings: PhantomData,
        }
    }

    /// Appends `string`; gives it back when the list is full.
    #[inline(never)]
    pub fn push(&mut self, string: &'a CStr) -> Result<(), &'a CStr> {
        match self.pointers.get_mut(self.len) {
            Some(place) if self.len + 1 < N => *place = string.as_ptr(),
            _ => return Err(string),
        }
        self.len += 1;
        Ok(())
    }

    fn as_ptr(&self) -> *const *const c_char {
        self.pointers.as_ptr()
    }
}

impl<const N: usize> Default for StringList<'_, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Replaces this program by the one at `path`; returns only when that fails, with the reason.
pub fn execve<const N: usize, const M: usize>(
    path: &CStr,
    arguments: &StringList<'_, N>,
    environment: &StringList<'_, M>,
) -> Errno {
    // SAFETY: the kernel reads NUL-terminated strings through two null-terminated arrays. `push` never fills the last place of
    // a list, of which there is one at least, so it is null; the lists and, through them, the strings are borrowed for the
    // call. It writes nothing here unless it succeeds, and then nothing of this program is left.
    let result = unsafe {
        call(
            k::__NR_execve,
            [
                path.as_ptr().expose_provenance(),
                arguments.as_ptr().expose_provenance(),
                environment.as_ptr().expose_provenance(),
                0,
                0,
                0,
            ],
        )
    };
    result.err().unwrap_or(Errno::NOEXEC)
}

/// The same with the environment that this program was started with.
pub fn execve_with_own_environment<const N: usize>(
    path: &CStr,
    arguments: &StringList<'_, N>,
    own: Arguments,
) -> Errno {
    // SAFETY: as for `execve`; the kernel laid out the environment, null-terminated.
    let result = unsafe {
        call(
            k::__NR_execve,
            [
                path.as_ptr().expose_provenance(),
                arguments.as_ptr().expose_provenance(),
                own.environment_pointers().expose_provenance(),
                0,
                0,
                0,
            ],
        )
    };
    result.err().unwrap_or(Errno::NOEXEC)
}

/// One entry of the next program's environment, in the place of this program's own entry number `index`.
pub struct Replacement<'a> {
    /// Counted from 0.
    pub index: usize,
    /// `NAME=value`
    pub entry: &'a CStr,
}

/// Replaces this program by the one at `path`, with this program's own arguments from number `first` on and its
/// environment, of which one entry may be another. Neither list is copied, so neither has a limit here.
pub fn execve_with_own_tail(path: &CStr, own: Arguments, first: usize, replacement: Option<&Replacement<'_>>) -> Errno {
    // SAFETY: the kernel laid out argv with a null behind its last pointer, and `first` goes no further than to that.
    let arguments = unsafe { own.argument_pointers().add(first.min(own.len())) };
    let environment = own.environment_pointers();
    let replaced = replacement.and_then(|replacement| {
        let old = own.environment().nth(replacement.index)?;
        // SAFETY: the entry with this index exists, as the line above found, so the place is inside of the array.
        let slot = unsafe { environment.cast_mut().add(replacement.index) };
        // SAFETY: the array lies on the first stack, which the kernel has made writable, and nobody holds a reference to it:
        // `Arguments` copies one pointer out of it at a time, and is not Send, so no other thread reads it meanwhile. That
        // `Arguments` gives out what it finds there for as long as the program lives is why the old one is put back below,
        // before anybody else can look.
        unsafe { slot.write(replacement.entry.as_ptr()) };
        Some((slot, old))
    });
    // SAFETY: as for `execve`; both arrays end with the kernel's null, and the borrow keeps the new entry alive.
    let result = unsafe {
        call(
            k::__NR_execve,
            [
                path.as_ptr().expose_provenance(),
                arguments.expose_provenance(),
                environment.expose_provenance(),
                0,
                0,
                0,
            ],
        )
    };
    if let Some((slot, old)) = replaced {
        // SAFETY: as for the first write. The array must not keep a pointer to what was only borrowed, and the old one is valid
        // for as long as the program lives.
        unsafe { slot.write(old.as_ptr()) };
    }
    result.err().unwrap_or(Errno::NOEXEC)
}

/// Replaces this program by the file that `fd` stands for (`execveat` with `AT_EMPTY_PATH`, Linux 3.19).
pub fn execve_fd<const N: usize, const M: usize>(
    fd: BorrowedFd<'_>,
    arguments: &StringList<'_, N>,
    environment: &StringList<'_, M>,
) -> Errno {
    // SAFETY: as for `execve`; the empty path is a literal.
    unsafe { execveat(fd, arguments.as_ptr(), environment.as_ptr()) }
}

/// Replaces this program by the file that `fd` stands for, with this program's own environment.
pub fn execve_fd_with_own_environment<const N: usize>(
    fd: BorrowedFd<'_>,
    arguments: &StringList<'_, N>,
    own: Arguments,
) -> Errno {
    // SAFETY: as for `execve`; the kernel laid out the environment, null-terminated.
    unsafe { execveat(fd, arguments.as_ptr(), own.environment_pointers()) }
}

/// # Safety
/// Both arrays must be null-terminated and hold pointers to NUL-terminated strings, all of which live until this returns.
unsafe fn execveat(fd: BorrowedFd<'_>, arguments: *const *const c_char, environment: *const *const c_char) -> Errno {
    const AT_EMPTY_PATH: usize = 0x1000;
    // SAFETY: the caller vouches for the arrays; the empty path is a literal.
    let result = unsafe {
        call(
            k::__NR_execveat,
            [
                fd.as_raw_fd() as usize,
                c"".as_ptr().expose_provenance(),
                arguments.expose_provenance(),
                environment.expose_provenance(),
                AT_EMPTY_PATH,
                0,
            ],
        )
    };
    result.err().unwrap_or(Errno::NOEXEC)
}
