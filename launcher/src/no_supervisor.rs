//! What is asked of `roci-boot`, where this executable was built without it.

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

/// A container that is supervised, of which there are none.
#[derive(Clone, Copy)]
pub enum Row {}

/// There is none.
pub fn for_each(_: &Invocation, _: &mut dyn FnMut(&Row)) -> Result<()> {
    Ok(())
}

/// There are none.
pub const COLUMNS: [&str; 0] = [];

/// See the other one.
pub fn write_columns(_: &mut Output, row: &Row) {
    match *row {}
}

/// See the other one.
pub fn row_name(row: &Row) -> &str {
    match *row {}
}

/// See the other one.
pub fn take(row: &mut Row) -> Row {
    match *row {}
}
