//! What is asked of `roci-boot`, where this executable was built without it.

use spec_core::device::protocol::Row;

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

/// There are none.
pub const COLUMNS: [&str; 0] = [];

/// See the other one.
pub fn write_columns(_: &mut Output, _: &Row) {}

/// See the other one.
pub fn row_name(_: &Row) -> &str {
    ""
}
