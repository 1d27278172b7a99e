//! `spec`: a config.json to begin with.

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{getegid, geteuid};
use sys::fd::create_in;

use crate::cli::{Invocation, Opt};
use crate::container::write_all;
use crate::error::{During, Error, Result};
use crate::msg;
use crate::path::Path;
use crate::text::{Digits, cut};
use crate::texts::Text;

/// `spec`
pub fn spec(invocation: &Invocation) -> Result<()> {
    let bundle = invocation.value(Opt::Bundle).unwrap_or(c".");
    let path = Path::of(&[bundle.to_bytes(), b"/config.json"]);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    let file = match create_in(CWD, path.as_c_str(), flags, Mode::from_raw_mode(0o644)) {
        Ok(file) => file,
        Err(Errno::EXIST) => {
            return Err(Error::says(msg!("# exists: remove it first"), path.as_str()));
        }
        Err(errno) => {
            return Err(Error::new_with(msg!("create #"), path.as_str(), errno));
        }
    };
    // It is what runc and crun write, so that what is said about those holds here.
    let write = |text: &str| write_all(file.as_fd(), text.as_bytes()).during(msg!("write config.json"));
    if !invocation.has(Opt::SpecRootless) {
        return write(Text::Config.get());
    }
    let mut rest = Text::Rootless.get();
    write(cut(&mut rest, b'@'))?;
    for id in [geteuid().as_raw(), getegid().as_raw()] {
        write(Digits::of(id.into()).as_str())?;
        write(cut(&mut rest, b'@'))?;
    }
    Ok(())
}
