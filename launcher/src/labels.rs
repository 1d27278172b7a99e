//! The labels of security modules: which AppArmor profile or SELinux context the program gets when it is executed.
//!
//! They are written to files of `/proc` that decide about privileges, so they go through the verified one (CVE-2019-16884,
//! CVE-2025-52881).

use rustix::io::Errno;
use spec_core::Text;
use spec_core::process::Process;

use crate::error::{Error, Result, keep};
use crate::msg;
use crate::path::Path;
use crate::policy::{Feature, is_off, is_preferred};
use crate::proc::Proc;

/// Has the kernel change the labels at the next exec.
pub fn set_for_exec(proc: &Proc, process: &Process<'static>) -> Result<()> {
    let is_meant = |label: &Text<'static>| !label.is_empty();
    let profile = process.apparmor_profile.filter(is_meant);
    if let Some(profile) = profile.filter(|_| !is_off(Feature::Apparmor)) {
        // A module that is not the first of several has a directory of its own (Linux 5.8).
        let files = ["apparmor/exec", "exec"];
        let result = set(proc, profile, &files, "exec ");
        judge(Feature::Apparmor, "process.apparmorProfile", "APPARMOR", result)?;
    }
    let label = process.selinux_label.filter(is_meant);
    if let Some(label) = label.filter(|_| !is_off(Feature::Selinux)) {
        let result = set(proc, label, &["exec"], "");
        judge(Feature::Selinux, "process.selinuxLabel", "SELINUX", result)?;
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
fn judge(feature: Feature, field: &str, module: &str, result: core::result::Result<(), Errno>) -> Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(Errno::NOENT | Errno::INVAL) if is_preferred(feature) => Ok(()),
        Err(Errno::NOENT | Errno::INVAL) => Err(Error::said(keep(
            msg!("#: the kernel does not have the label, or not the module: it needs CONFIG_SECURITY_#, switched on"),
            &[field, module],
        ))),
        Err(errno) => Err(Error::new_with(msg!("#: set label"), field, errno)),
    }
}
