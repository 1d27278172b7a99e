//! What is asked of `roci-boot`, where this executable was built without it.

use spec_core::device::protocol::{NAME_BYTES_MAX, Row};

use crate::cli::Invocation;
use crate::error::{Error, Result};
use crate::msg;
use crate::output::Output;

/// An error.
pub fn ask(_: &Invocation) -> Result<()> {
    Err(Error::said(msg!("this roci was built without it")))
}

/// Nothing is supervised.
pub fn start(_: &Invocation) -> Result<bool> {
    Ok(false)
}

/// There is none.
pub fn for_each(_: &Invocation, _: &mut dyn FnMut(&Row)) -> Result<()> {
    Ok(())
}

/// In the place of a row, of which there is none.
pub const NOBODY: Row = Row {
    phase: 0,
    end: 0,
    code: 0,
    restarts: 0,
    pid: 0,
    uptime: 0,
    name: [0; NAME_BYTES_MAX],
};

/// There are none.
pub const COLUMNS: [&str; 0] = [];

/// See the other one.
pub fn write_columns(_: &mut Output, _: &Row) {}

/// See the other one.
pub fn row_name(_: &Row) -> &str {
    ""
}
