//! The seccomp filter: compiled before there is a process that could fail of it, loaded at the last possible moment.
//!
//! Where a rule says NOTIFY, the kernel gives the process that loads the filter a descriptor, at which somebody has to
//! answer. roci takes it from there, since the process may be forbidden or made to wait for everything but a write, and
//! sends it to the listener (runtime-spec, "Container Process State").

use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::seccomp::{ACTIONS, ARCHITECTURE_NAMES, Action, FLAGS, Filter, Machine, OPERATORS, Scratch, compile};
use spec_core::state::write_json_string;
use sys::fd::open_process;
use sys::probe::has_seccomp_filters;
use sys::seccomp::{load_filter, load_filter_with_listener};
use sys::{OwnedFd, TakeOnce};

use crate::console::connect_socket;
use crate::container::Document;
use crate::error::{During, Error, Result, keep_shown};
use crate::features::Document as Features;
use crate::msg;
use crate::policy::{Feature, is_off, is_preferred};
use crate::report;
use crate::sync::{Kind, Socket};
use crate::text::Pieces;
use crate::texts::Message;

static FILTER: TakeOnce<Filter> = TakeOnce::new(Filter::new());
static SCRATCH: TakeOnce<Scratch> = TakeOnce::new(Scratch::new());

/// There is one thread that could be given the filter.
const FILTER_FLAG_TSYNC: u32 = 1;

/// A compiled profile.
pub struct Profile {
    filter: &'static Filter,
    flags: u32,
    notifies: bool,
}

impl Profile {
    /// Compiles the configuration's profile; `None` where it has none.
    pub fn compile(spec: &Spec<'static>) -> Result<Option<Self>> {
        let Some(seccomp) = spec.linux.seccomp.as_ref().filter(|_| !is_off(Feature::Seccomp)) else {
            return Ok(None);
        };
        if is_preferred(Feature::Seccomp) && !has_seccomp_filters() {
            report::warn(
                msg!("linux.seccomp is not used: the kernel needs CONFIG_SECCOMP_FILTER"),
                "",
            );
            return Ok(None);
        }
        let mut notifies = false;
        for rule in spec.list(seccomp.rules) {
            if rule.action == Action::Notify {
                notifies = true;
                if spec.list(rule.names).iter().any(|name| name.as_str() == "write") {
                    return Err(Error::said(UNANSWERABLE));
                }
            }
        }
        if seccomp.default_action == Action::Notify {
            return Err(Error::said(UNANSWERABLE));
        }
        let filter = FILTER.take();
        compile(spec, seccomp, Machine::HOST, SCRATCH.take(), filter)
            .map_err(|error| Error::says(msg!("linux.seccomp: #"), keep_shown(&error)))?;
        Ok(Some(Self {
            filter,
            flags: seccomp.flags & !FILTER_FLAG_TSYNC,
            notifies,
        }))
    }

    /// Whether the filter is loaded right before the program starts, and not while roci is still there. Without no_new_privs
    /// the kernel takes a filter only from who has CAP_SYS_ADMIN; and a descriptor needs roci to take it.
    pub fn is_late(&self, no_new_privileges: bool) -> bool {
        no_new_privileges && !self.notifies
    }

    /// Puts the filter on this process, which talks to roci over `socket`.
    pub fn load(&self, socket: &Socket) -> Result<()> {
        if self.notifies {
            let listener = loaded(load_filter_with_listener(self.filter.instructions(), self.flags))?;
            socket
                .send(Kind::Listener, &listener.as_raw_fd().to_ne_bytes())
                .during(msg!("hand over the seccomp listener"))?;
            socket.wait_for_go();
            return Ok(());
        }
        loaded(load_filter(self.filter.instructions(), self.flags))
    }
}

/// The descriptor reaches the listener by way of a write, so nobody could answer for that one (as runc).
const UNANSWERABLE: Message = msg!("linux.seccomp: SCMP_ACT_NOTIFY cannot be used for write, nor as defaultAction");

fn loaded<T>(result: rustix::io::Result<T>) -> Result<T> {
    match result {
        Err(Errno::INVAL) => Err(Error::said(msg!(
            "linux.seccomp: the kernel refuses the filter: it needs CONFIG_SECCOMP_FILTER, and the flags to be known"
        ))),
        other => other.during(msg!("load seccomp filter")),
    }
}

/// Takes the descriptor `number` of the process `pid` and sends it to the listener, with the container's `state`.
pub fn send_listener(spec: &Spec<'static>, pid: i32, number: i32, state: &[u8]) -> Result<()> {
    let seccomp = spec.linux.seccomp.as_ref();
    let Some(path) = seccomp.and_then(|seccomp| seccomp.listener_path) else {
        return Err(Error::said(msg!("linux.seccomp: SCMP_ACT_NOTIFY needs listenerPath")));
    };
    let listener = take_from(pid, number).during(msg!("take the seccomp listener (needs Linux 5.6)"))?;
    let socket = connect_socket(path.as_c_str())?;
    let mut memory = [0; 8192];
    let mut head = Document::new(&mut memory);
    let metadata = seccomp.and_then(|seccomp| seccomp.listener_metadata);
    head.str("{\"ociVersion\":\"").str(crate::SPEC_VERSION);
    head.str("\",\"fds\":[\"seccompFd\"],\"pid\":")
        .signed(pid.into())
        .str(",\"metadata\":");
    // It is the only part without a bound that is far below the memory's.
    write_json_string(&mut head, metadata.map_or("", |metadata| metadata.as_str()));
    head.str(",\"state\":");
    if !head.is_whole() {
        return Err(Error::said(msg!(
            "linux.seccomp.listenerMetadata: longer than roci sends"
        )));
    }
    sys::socket::send_with_fd(socket.as_fd(), &[head.as_bytes(), state, b"}"], listener.as_fd())
        .during(msg!("send the seccomp listener"))?;
    // Who listens is to hear when the last process with the filter has gone.
    listener.close();
    socket.close();
    Ok(())
}

fn take_from(pid: i32, number: i32) -> core::result::Result<OwnedFd, Errno> {
    sys::fd::take_from(open_process(pid)?.as_fd(), number)
}

/// The lists of what is supported, in the order of the template.
pub fn write_features(document: &mut Features) {
    document.words("      ", ACTIONS);
    document.words("      ", OPERATORS);
    for number in Machine::HOST.architecture_numbers() {
        let (prefix, names) = ARCHITECTURE_NAMES.split();
        document.item("      ", prefix, names.get(number).unwrap_or_default());
    }
    document.end("      ");
    document.words("      ", FLAGS);
    document.words("      ", FLAGS);
}

/// Whether the kernel takes filters.
pub fn is_there() -> bool {
    has_seccomp_filters()
}
