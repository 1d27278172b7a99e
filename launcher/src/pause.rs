//! `pause` and `resume`.

use spec_core::state::{State, Status};

use crate::cgroup::resources::set_frozen;
use crate::cli::Invocation;
use crate::container::{Container, StateRoot};
use crate::error::{Error, Result};
use crate::proc::Proc;
use crate::state;

/// `pause` (`frozen`) and `resume`.
pub fn set(invocation: &Invocation, frozen: bool) -> Result<()> {
    let (id, _) = Container::id_of(invocation)?;
    let root = StateRoot::open(invocation, false)?;
    let container = Container::open_locked(root.as_ref(), id)?;
    let proc = Proc::open()?;
    let mut state = State::new();
    let status = state::look(&container, state::STATE.take(), &mut state, &proc)?;
    match (status, frozen) {
        (Status::Running | Status::Created, true) | (Status::Paused, false) => {}
        (_, true) => return Err(Error::says(format_args!("cannot pause a {} container", status.name()))),
        (_, false) => return Err(Error::says(format_args!("cannot resume a {} container", status.name()))),
    }
    let Some((cgroup, host)) = state.cgroup.zip(crate::cgroup_host(invocation, &proc)?) else {
        return Err(Error::said("the container has no cgroup"));
    };
    set_frozen(&host, cgroup.as_c_str(), frozen)
}
