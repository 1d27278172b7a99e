//! Hooks: programs of the host's administrator, run at six points of the container's life.

use core::ffi::CStr;

use heapless::Vec;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::AsFd;
use rustix::fs::{MemfdFlags, SeekFrom, seek};
use rustix::io::Errno;
use rustix::time::Timespec;
use spec_core::hooks::Hook;
use spec_core::limits::{STATE_BYTES_MAX, TEXTS_MAX};
use spec_core::state::Status;
use spec_core::{List, Spec};
use sys::OwnedFd;
use sys::exec::{StringList, execve, execve_with_own_environment};
use sys::fd::{memory_file, pipe, read};
use sys::file::replace_standard_stream;
use sys::process::{Child, SpawnOptions, Spawned, exit, spawn, wait, write_stderr};
use sys::signal::{SignalSet, set_blocked};
use sys::{Arguments, TakeOnce};

use crate::container::{Document, write_all};
use crate::errno::words;
use crate::error::{Error, Result, keep, within};
use crate::msg;
use crate::report;
use crate::text::{Digits, utf8};
use crate::texts::Message;
use crate::time::milliseconds;

/// Room for an argument or environment list of any configuration.
pub type Strings = StringList<'static, { TEXTS_MAX + 8 }>;

/// Each forked process has its own copy of these, and uses it once.
pub static ARGUMENTS: TakeOnce<Strings> = TakeOnce::new(StringList::new());
/// The same for the environment.
pub static ENVIRONMENT: TakeOnce<Strings> = TakeOnce::new(StringList::new());

/// How much of what a hook printed goes into the error.
const OUTPUT_BYTES: usize = 256;

/// Where the environment comes from when a hook names none.
#[derive(Clone, Copy)]
pub enum DefaultEnvironment {
    /// roci's own, as runc does it in the runtime's namespaces.
    Own(Arguments),
    /// The container program's, as runc does it for startContainer.
    Process,
}

/// Runs the hooks of one kind in order, each with `state` on its standard input; the first failure ends it. The kind is
/// named as its list is, `hooks.prestart`.
pub fn run(
    spec: &Spec<'static>,
    kind: Message,
    hooks: List<Hook<'static>>,
    state: &[u8],
    environment: DefaultEnvironment,
) -> Result<()> {
    for (index, hook) in spec.list(hooks).iter().enumerate() {
        within(kind, index, hook.path.as_str(), || {
            run_one(spec, hook, state, environment).map_err(Error::said)
        })?;
    }
    Ok(())
}

/// The state that poststop hooks read: by then the room for other states may be in use.
static LAST_STATE: TakeOnce<[u8; STATE_BYTES_MAX]> = TakeOnce::new([0; STATE_BYTES_MAX]);

/// Runs the poststop hooks: a failure is a warning, and the next ones are run all the same (runtime.md, step 13).
pub fn run_poststop(spec: &Spec<'static>, id: &CStr, bundle: &CStr, own: Arguments) {
    if spec.hooks.poststop.is_empty() {
        return;
    }
    let mut document = Document::new(LAST_STATE.take());
    // As large as the room for the state that was written when the container was made.
    let _ = crate::state::write_for_hook(&mut document, spec, id, bundle, 0, Status::Stopped);
    for (index, hook) in spec.list(spec.hooks.poststop).iter().enumerate() {
        if let Err(text) = run_one(spec, hook, document.as_bytes(), DefaultEnvironment::Own(own)) {
            let index = Digits::of(index as u64);
            report::warn(
                keep(
                    msg!("hooks.poststop[#] #: #"),
                    &[index.as_str(), hook.path.as_str(), text],
                ),
                "",
            );
        }
    }
}

/// Why a hook failed: a poststop hook may.
type Reason = &'static str;

fn reason(operation: Message) -> impl FnOnce(Errno) -> Reason {
    move |errno| keep(msg!("#: #"), &[operation.get(), words(errno)])
}

fn run_one(
    spec: &Spec<'static>,
    hook: &Hook<'static>,
    state: &[u8],
    environment: DefaultEnvironment,
) -> core::result::Result<(), Reason> {
    let stdin = state_file(state).map_err(reason(msg!("write state for hook")))?;
    let (output, output_end) = pipe().map_err(reason(msg!("make pipe")))?;
    let child = match spawn(&SpawnOptions::default()).map_err(reason(msg!("clone for hook")))? {
        Spawned::Child => execute(spec, hook, &stdin, &output_end, environment),
        Spawned::Parent(child) => child,
    };
    stdin.close();
    output_end.close();
    let mut tail = Vec::<u8, OUTPUT_BYTES>::new();
    let in_time = wait_for_end(&child, &output, hook.timeout, &mut tail);
    if !in_time {
        let _ = sys::signal::send(child.pid, sys::signal::SIGKILL);
    }
    let status = wait(child.pid).map_err(reason(msg!("wait for hook")))?;
    output.close();
    child.pidfd.into_iter().for_each(OwnedFd::close);
    let said = utf8(tail.trim_ascii_end());
    let colon = if said.is_empty() { "" } else { ": " };
    let number = |number: i32| Digits::signed(number.into());
    Err(match (status.exit_status(), status.terminating_signal()) {
        _ if !in_time => keep(
            msg!("timed out after # s"),
            &[Digits::of(hook.timeout.unwrap_or(0).into()).as_str()],
        ),
        (Some(0), _) => return Ok(()),
        (_, Some(signal)) => keep(msg!("killed by signal ###"), &[number(signal).as_str(), colon, said]),
        (code, None) => keep(
            msg!("exit status ###"),
            &[number(code.unwrap_or(-1)).as_str(), colon, said],
        ),
    })
}

/// The state as a file and not through a pipe: a hook that does not read it can neither block us nor send us SIGPIPE.
fn state_file(state: &[u8]) -> core::result::Result<OwnedFd, Errno> {
    let file = memory_file(c"state", MemfdFlags::empty())?;
    write_all(file.as_fd(), state)?;
    seek(&file, SeekFrom::Start(0))?;
    Ok(file)
}

fn execute(
    spec: &Spec<'static>,
    hook: &Hook<'static>,
    stdin: &OwnedFd,
    output: &OwnedFd,
    environment: DefaultEnvironment,
) -> ! {
    let _ = set_blocked(SignalSet::default());
    for (stream, fd) in [(0, stdin), (1, output), (2, output)] {
        if let Err(errno) = replace_standard_stream(fd.as_fd(), stream) {
            // Not to the stream that may still be roci's.
            let _ = write_all(output.as_fd(), crate::errno::text(errno).as_bytes());
            exit(127);
        }
    }
    // Non-blocking was for the reader; the flag is the pipe end's, so the hook would inherit it.
    let _ = rustix::fs::fcntl_setfl(output, rustix::fs::OFlags::empty());
    // Nothing but the standard streams reaches a hook; what is ours is close-on-exec, this is about what was leaked to us.
    let _ = sys::file::close_range(3, u32::MAX);
    let arguments = ARGUMENTS.take();
    let push = |list: &mut Strings, string: &'static CStr| list.push(string).is_ok();
    let mut fits = true;
    for argument in spec.list(hook.args) {
        fits &= push(arguments, argument.as_c_str());
    }
    if hook.args.is_empty() {
        fits &= push(arguments, hook.path.as_c_str());
    }
    let given = match (hook.env, environment) {
        (None, DefaultEnvironment::Process) => spec.process.as_ref().map(|process| process.env),
        (given, _) => given,
    };
    let errno = match (given, environment) {
        (None, DefaultEnvironment::Own(own)) => execve_with_own_environment(hook.path.as_c_str(), arguments, own),
        (given, _) => {
            let list = ENVIRONMENT.take();
            for variable in given.map(|given| spec.list(given)).unwrap_or_default() {
                fits &= push(list, variable.as_c_str());
            }
            execve(hook.path.as_c_str(), arguments, list)
        }
    };
    let reason = if fits {
        crate::errno::text(errno)
    } else {
        "too many arguments"
    };
    let _ = write_stderr(reason.as_bytes());
    exit(127)
}

/// Reads what the hook prints and waits for its end; `false` where its time ran out.
fn wait_for_end(child: &Child, output: &OwnedFd, timeout: Option<u32>, tail: &mut Vec<u8, OUTPUT_BYTES>) -> bool {
    let deadline = timeout.map(|seconds| {
        let now = sys::process::now(sys::process::Clock::Monotonic);
        Timespec {
            tv_sec: now.tv_sec + i64::from(seconds),
            tv_nsec: now.tv_nsec,
        }
    });
    let mut output_open = true;
    loop {
        let left = match deadline {
            None => None,
            Some(deadline) => {
                let now = sys::process::now(sys::process::Clock::Monotonic);
                let left = (deadline.tv_sec - now.tv_sec) * 1000 + (deadline.tv_nsec - now.tv_nsec) as i64 / 1_000_000;
                if left <= 0 {
                    return false;
                }
                Some(left)
            }
        };
        let mut fds = Vec::<PollFd<'_>, 2>::new();
        if let Some(pidfd) = &child.pidfd {
            let _ = fds.push(PollFd::new(pidfd, PollFlags::IN));
        } else if !output_open {
            // Without pidfds the closed pipe is the sign of the end; a hook that closes it early is waited for without
            // a deadline.
            return true;
        }
        if output_open {
            let _ = fds.push(PollFd::new(output, PollFlags::IN));
        }
        let timeout = left.map(|left| milliseconds(u32::try_from(left).unwrap_or(u32::MAX)));
        // It fails for a signal, and then there is nothing to see yet, or for want of memory.
        let _ = poll(&mut fds, timeout.as_ref());
        let ended = child.pidfd.is_some() && fds.first().is_some_and(|fd| fd.revents().contains(PollFlags::IN));
        if output_open {
            output_open = drain(output, tail);
        }
        if ended {
            return true;
        }
    }
}

/// Takes what is in the pipe, and keeps the last of it; `false` at its end.
fn drain(output: &OwnedFd, tail: &mut Vec<u8, OUTPUT_BYTES>) -> bool {
    loop {
        let mut chunk = [0; OUTPUT_BYTES];
        match read(output.as_fd(), &mut chunk) {
            Ok([]) => return false,
            Ok(chunk) => {
                for byte in chunk {
                    if tail.is_full() {
                        tail.remove(0);
                    }
                    let _ = tail.push(*byte);
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => return true,
        }
    }
}
