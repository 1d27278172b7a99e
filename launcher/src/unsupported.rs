//! What config.json may ask for and this roci does not do. It is refused: a container that runs without a protection that
//! was asked for is worse than one that does not run.

use spec_core::Spec;

use crate::error::{Error, Result};

/// Refuses what cannot be done.
pub fn refuse(spec: &Spec<'static>) -> Result<()> {
    let asked: [(&str, bool); 1] = [("linux.intelRdt", spec.linux.intel_rdt.is_some())];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(Error::says("#: not supported by this version of roci", field)),
        None => Ok(()),
    }
}
