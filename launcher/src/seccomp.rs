//! The seccomp filter: compiled before there is a process that could fail of it, loaded at the last possible moment.

use rustix::io::Errno;
use spec_core::Spec;
use spec_core::seccomp::{Action, Filter, Machine, Scratch, compile};
use sys::TakeOnce;
use sys::seccomp::load_filter;

use crate::error::{During, Error, Result};

static FILTER: TakeOnce<Filter> = TakeOnce::new(Filter::new());
static SCRATCH: TakeOnce<Scratch> = TakeOnce::new(Scratch::new());

/// A compiled profile.
pub struct Profile {
    filter: &'static Filter,
    flags: u32,
}

impl Profile {
    /// Compiles the configuration's profile; `None` where it has none.
    pub fn compile(spec: &Spec<'static>) -> Result<Option<Self>> {
        let Some(seccomp) = &spec.linux.seccomp else {
            return Ok(None);
        };
        let notifies = spec
            .list(seccomp.rules)
            .iter()
            .any(|rule| rule.action == Action::Notify);
        if notifies || seccomp.default_action == Action::Notify {
            return Err(Error::said(
                "linux.seccomp: SCMP_ACT_NOTIFY is not supported by this version of roci",
            ));
        }
        let filter = FILTER.take();
        compile(spec, seccomp, Machine::HOST, SCRATCH.take(), filter)
            .map_err(|error| Error::says(format_args!("linux.seccomp: {error}")))?;
        Ok(Some(Self {
            filter,
            flags: seccomp.flags,
        }))
    }

    /// Puts the filter on this process.
    pub fn load(&self) -> Result<()> {
        match load_filter(self.filter.instructions(), self.flags) {
            Err(Errno::INVAL) => Err(Error::said(
                "linux.seccomp: the kernel refuses the filter: it needs CONFIG_SECCOMP_FILTER, and the flags to be known",
            )),
            other => other.during("load seccomp filter"),
        }
    }
}
