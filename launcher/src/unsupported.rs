//! What config.json may ask for and this roci does not do. It is refused: a container that runs without a protection that
//! was asked for is worse than one that does not run.

use spec_core::Spec;

use crate::error::{Error, Result};

/// Refuses what cannot be done.
pub fn refuse(spec: &Spec<'static>) -> Result<()> {
    let process = spec.process.as_ref();
    let asked: [(&str, bool); 5] = [
        ("linux.intelRdt", spec.linux.intel_rdt.is_some()),
        ("linux.memoryPolicy", spec.linux.memory_policy.is_some()),
        ("linux.netDevices", !spec.linux.net_devices.is_empty()),
        (
            "process.apparmorProfile",
            process.is_some_and(|process| process.apparmor_profile.is_some()),
        ),
        (
            "process.selinuxLabel",
            process.is_some_and(|process| process.selinux_label.is_some()),
        ),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(Error::says(format_args!(
            "{field}: not supported by this version of roci"
        ))),
        None => Ok(()),
    }
}
