//! Calls of `roci`.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::setsid;
use sys::OwnedFd;
use sys::exec::{StringList, execve};
use sys::fd::open;
use sys::file::replace_standard_stream;
use sys::process::{exit, fork};
use sys::signal::{SignalSet, set_blocked};

use super::say::complain;
use crate::message::words;
use crate::text::Text;

const ROCI: &CStr = c"/bin/roci";
const NOTIFY: &[u8] = b"NOTIFY_SOCKET=";
/// Words of a call; a health check has as many as there is room for.
const WORDS_MAX: usize = 128;

/// Where a call prints, and what the program that it starts is joined to.
#[derive(Clone, Copy)]
pub enum Stdio<'a> {
    /// Nothing to read; what is printed goes there.
    Output(Option<&'a OwnedFd>),
    /// The console, in both directions.
    Console,
}

/// A call that is put together.
pub struct Call<'a> {
    words: StringList<'a, WORDS_MAX>,
    /// Its standard streams.
    pub stdio: Stdio<'a>,
    /// Where its program says that it is ready.
    pub notify: Option<&'a CStr>,
}

impl<'a> Call<'a> {
    /// A call of this command.
    pub fn new(command: &'a CStr) -> Self {
        let mut call = Self {
            words: StringList::new(),
            stdio: Stdio::Output(None),
            notify: None,
        };
        call.word(ROCI).word(command);
        call
    }

    /// Adds a word.
    pub fn word(&mut self, word: &'a CStr) -> &mut Self {
        // There is room for what the annotations may say.
        let _ = self.words.push(word);
        self
    }

    /// Starts it, with a descriptor 3 where there is one; the value is its process.
    pub fn start(&self, third: Option<&OwnedFd>) -> Result<i32, Errno> {
        match fork()? {
            Some(process) => Ok(process),
            None => self.become_roci(third),
        }
    }

    fn become_roci(&self, third: Option<&OwnedFd>) -> ! {
        // What is typed at the console is not for it.
        let _ = setsid();
        self.join_streams();
        if let Some(third) = third {
            let _ = replace_standard_stream(third.as_fd(), 3);
        }
        let mut environment = StringList::<4>::new();
        let mut notify = Text::<160>::new();
        if let Some(path) = self.notify {
            notify.push(NOTIFY);
            notify.push(path.to_bytes());
            let _ = environment.push(notify.as_c_str().unwrap_or_default());
        }
        for entry in [c"PATH=/bin:/sbin:/usr/bin:/usr/sbin", c"HOME=/root"] {
            let _ = environment.push(entry);
        }
        set_blocked(SignalSet::default());
        let errno = execve(ROCI, &self.words, &environment);
        complain(ROCI.to_bytes(), words(errno));
        exit(127)
    }

    /// Where one of them cannot be had, it stays what it was.
    fn join_streams(&self) {
        let (input, output) = match self.stdio {
            Stdio::Console => (open(c"/dev/console", OFlags::RDWR), None),
            Stdio::Output(output) => (open(c"/dev/null", OFlags::RDWR), output),
        };
        let Ok(input) = input else { return };
        let output = output.unwrap_or(&input);
        for (fd, number) in [(&input, 0), (output, 1), (output, 2)] {
            let _ = replace_standard_stream(fd.as_fd(), number);
        }
    }
}
