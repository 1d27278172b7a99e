//! `pause` and `resume`.

use spec_core::state::{State, Status};

use crate::cgroup::resources::set_frozen;
use crate::cli::Invocation;
use crate::error::{Error, Result};
use crate::msg;
use crate::state::{self, Access, Found};

/// `pause` (`frozen`) and `resume`.
pub fn set(invocation: &Invocation, frozen: bool) -> Result<()> {
    let mut state = State::new();
    // The directory holds the lock.
    let Found {
        container: _locked,
        proc,
        status,
        ..
    } = state::find(invocation, Access::Exclusive, &mut state)?;
    match (status, frozen) {
        (Status::Running | Status::Created, true) | (Status::Paused, false) => {}
        (_, true) => return Err(Error::says(msg!("cannot pause a # container"), status.name())),
        (_, false) => return Err(Error::says(msg!("cannot resume a # container"), status.name())),
    }
    let (host, cgroup) = crate::cgroup_of(invocation, &proc, &state)?;
    set_frozen(host, cgroup, frozen)
}
