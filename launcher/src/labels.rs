//! The labels of security modules: which AppArmor profile or SELinux context the program gets when it is executed.
//!
//! They are written to files of `/proc` that decide about privileges, so they go through the verified one (CVE-2019-16884,
//! CVE-2025-52881).

use rustix::io::Errno;
use spec_core::Text;
use spec_core::process::Process;

use crate::error::{Error, Result, keep};
use crate::path::Path;
use crate::proc::Proc;

/// Has the kernel change the labels at the next exec.
pub fn set_for_exec(proc: &Proc, process: &Process<'static>) -> Result<()> {
    if let Some(profile) = process.apparmor_profile.filter(|profile| !profile.is_empty()) {
        // A module that is not the first of several has a directory of its own (Linux 5.8).
        let files = ["apparmor/exec", "exec"];
        set(proc, profile, &files, "exec ").map_err(|errno| refused("process.apparmorProfile", "APPARMOR", errno))?;
    }
    if let Some(label) = process.selinux_label.filter(|label| !label.is_empty()) {
        set(proc, label, &["exec"], "").map_err(|errno| refused("process.selinuxLabel", "SELINUX", errno))?;
    }
    Ok(())
}

fn set(proc: &Proc, label: Text<'static>, files: &[&str], command: &str) -> core::result::Result<(), Errno> {
    let line = Path::of(&[command.as_bytes(), label.as_str().as_bytes()]);
    let mut result = Ok(());
    for file in files {
        let path = Path::of(&[b"self/attr/", file.as_bytes()]);
        result = proc.write(path.as_c_str(), line.as_bytes());
        if result != Err(Errno::NOENT) {
            break;
        }
    }
    result
}

/// Without the module the kernel has no such file, or one that takes no label.
fn refused(field: &str, module: &str, errno: Errno) -> Error {
    match errno {
        Errno::NOENT | Errno::INVAL => Error::said(keep(
            "#: the kernel does not have the label, or not the module: it needs CONFIG_SECURITY_#, switched on",
            &[field, module],
        )),
        errno => Error::new_with("#: set label", field, errno),
    }
}
