//! Program start: what a libc would do before `main`, which for us is to name the arguments.

use core::cell::Cell;
use core::ffi::{CStr, c_char};
use core::ptr;

/// The command line and the environment, as the kernel laid them out on the first stack.
#[derive(Clone, Copy)]
pub struct Arguments {
    argc: usize,
    argv: *const *const c_char,
}

impl Arguments {
    /// Reads the words that the kernel left at the initial stack pointer: `argc`, `argv[]`, null, `envp[]`, null.
    ///
    /// # Safety
    /// `stack` must be the stack pointer with which the kernel entered the program. The strings that are reached from it must
    /// never be written, and neither must the arrays, but by [`crate::exec::execve_with_own_tail`], which puts back what was
    /// there.
    #[doc(hidden)]
    pub unsafe fn from_stack(stack: *const usize) -> Self {
        // SAFETY: the kernel puts argc at the initial stack pointer, aligned, and argv behind it (`create_elf_tables` in
        // fs/binfmt_elf.c).
        unsafe {
            Self {
                argc: stack.read(),
                argv: stack.add(1).cast(),
            }
        }
    }

    /// How many arguments there are, the program's own name included.
    pub fn len(&self) -> usize {
        self.argc
    }

    /// Whether there is not even a program name, which `execve` allowed before Linux 5.18.
    pub fn is_empty(&self) -> bool {
        self.argc == 0
    }

    /// The argument at `index`, or `None` past the last one.
    pub fn get(&self, index: usize) -> Option<&'static CStr> {
        if index >= self.argc {
            return None;
        }
        // SAFETY: `index` is below argc, and argv has argc valid pointers to NUL-terminated strings, which live as long as the
        // program, and `from_stack`'s contract says that nobody writes them.
        Some(unsafe { CStr::from_ptr(*self.argv.add(index)) })
    }

    /// The environment, in order, as `NAME=value` strings.
    pub fn environment(&self) -> impl Iterator<Item = &'static CStr> + use<> {
        // SAFETY: the environment follows argv's terminating null, in the same memory.
        let mut next = unsafe { self.argv.add(self.argc + 1) };
        core::iter::from_fn(move || {
            // SAFETY: `next` never moves past the null that ends envp; the pointer is copied, so nothing stays borrowed.
            let entry = unsafe { *next };
            if entry.is_null() {
                return None;
            }
            // SAFETY: the null has not been reached, so one more entry follows.
            next = unsafe { next.add(1) };
            // SAFETY: as for `get`.
            Some(unsafe { CStr::from_ptr(entry) })
        })
    }

    /// The value of the environment variable `name`, or `None` where it is not set.
    pub fn variable(&self, name: &str) -> Option<&'static CStr> {
        self.environment().find_map(|entry| {
            let rest = entry
                .to_bytes_with_nul()
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b"=")?;
            CStr::from_bytes_until_nul(rest).ok()
        })
    }

    /// The command line in the form that `execve` takes.
    pub fn argument_pointers(&self) -> *const *const c_char {
        self.argv
    }

    /// The environment in the form that `execve` takes.
    pub fn environment_pointers(&self) -> *const *const c_char {
        // SAFETY: the environment follows argv's terminating null, in the same memory.
        unsafe { self.argv.add(self.argc + 1) }
    }
}

/// A command line that does not come from the kernel, for tests: always as many words, and no environment.
pub struct Words(&'static [Cell<*const c_char>]);

impl Words {
    /// Empty words, one for each place but the last two: nulls end the words and the environment, as the kernel has it.
    ///
    /// # Panics
    /// Where there is no room for the nulls.
    pub fn new(room: &'static mut [*const c_char]) -> Self {
        let words = room.len().checked_sub(2).expect("room for two nulls");
        for (index, place) in room.iter_mut().enumerate() {
            *place = if index < words { c"".as_ptr() } else { ptr::null() };
        }
        Self(Cell::from_mut(room).as_slice_of_cells())
    }

    /// The same with other words in the first places. Who still has what this gave before sees them too.
    pub fn with(&self, words: &[&'static CStr]) -> Arguments {
        let argc = self.0.len() - 2;
        // Each place holds a word all the time, and the nulls stay.
        for (place, word) in self.0.iter().take(argc).zip(words) {
            place.set(word.as_ptr());
        }
        let argv = self.0.as_ptr().cast();
        Arguments { argc, argv }
    }
}

/// Makes `$main`, a `fn(sys::Arguments) -> u8`, the program: defines `_start`, the panic handler and the memory functions
/// that the compiler calls. The value that `$main` returns is the exit status.
///
/// A panic prints its message in one line and exits with 101.
#[macro_export]
macro_rules! program {
    ($main:path) => {
        $crate::program!($main, $crate::panic::end);
    };
    // The same with a function that ends the program after a panic.
    ($main:path, $end:path) => {
        $crate::start_asm!();

        extern "C" fn __roci_entry(stack: *const usize) -> ! {
            // SAFETY: `_start` passes the kernel's initial stack pointer.
            let arguments = unsafe { $crate::Arguments::from_stack(stack) };
            $crate::process::exit($main(arguments))
        }

        #[cfg(not(test))]
        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::panic::report(info);
            $end()
        }

        $crate::memory_functions!();
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_followed_by_nothing() {
        let words = Words::new(Vec::leak(vec![ptr::null(); 4]));
        for typed in [[c"roci", c"list"], [c"roci", c"state"]] {
            let arguments = words.with(&typed);
            assert_eq!((arguments.len(), arguments.is_empty()), (2, false));
            assert_eq!([arguments.get(0), arguments.get(1)], typed.map(Some));
            assert_eq!(arguments.get(2), None);
            assert_eq!(arguments.environment().count(), 0);
            assert_eq!(arguments.variable("list"), None);
        }
        // One too many has no room.
        let none = Words::new(Vec::leak(vec![ptr::null(); 2])).with(&[c"roci"]);
        assert!(none.is_empty() && none.get(0).is_none());
    }

    #[test]
    fn variables_are_found_by_their_whole_name() {
        // What is no pointer is a number in the place of one.
        let stack: &[*const c_char] = Vec::leak(vec![
            ptr::without_provenance(1),
            c"roci".as_ptr(),
            ptr::null(),
            c"AB=1".as_ptr(),
            c"A=2=3".as_ptr(),
            c"A=4".as_ptr(),
            ptr::null(),
        ]);
        // SAFETY: that is the layout, and nothing of it is ever written or freed.
        let arguments = unsafe { Arguments::from_stack(stack.as_ptr().cast()) };
        assert_eq!(
            (arguments.len(), arguments.get(0), arguments.get(1)),
            (1, Some(c"roci"), None)
        );
        assert_eq!(arguments.environment().count(), 3);
        assert_eq!(arguments.variable("A"), Some(c"2=3"));
        assert_eq!(arguments.variable("AB"), Some(c"1"));
        assert_eq!([arguments.variable(""), arguments.variable("B")], [None; 2]);
    }
}
