//! `linux.resources.devices`: which devices a container may use, in files or, in version 2, by a program.

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use spec_core::Spec;
use spec_core::linux::DeviceKind;
use spec_core::resources::{DeviceAccess, DeviceRule, Resources};

use super::device_filter;
use super::files::File;
use super::resources::Cgroup;
use crate::container::write_all;
use crate::error::{During, Error, Result};
use crate::limits::makes_nodes;
use crate::msg;
use crate::policy::{Feature, is_preferred};
use crate::text::{Line, Pieces};

/// What every container may use, whatever its rules say: the default devices and terminals, and making any node, which
/// opens none (as runc and crun).
const ALWAYS: [DeviceRule; 12] = [
    always(DeviceKind::Character, None, None, false),
    always(DeviceKind::Block, None, None, false),
    always(DeviceKind::Character, Some(1), Some(3), true),
    always(DeviceKind::Character, Some(1), Some(5), true),
    always(DeviceKind::Character, Some(1), Some(7), true),
    always(DeviceKind::Character, Some(1), Some(8), true),
    always(DeviceKind::Character, Some(1), Some(9), true),
    always(DeviceKind::Character, Some(5), Some(0), true),
    always(DeviceKind::Character, Some(5), Some(1), true),
    always(DeviceKind::Character, Some(5), Some(2), true),
    always(DeviceKind::Character, Some(136), None, true),
    always(DeviceKind::Character, Some(10), Some(200), true),
];

/// A node of the kind may be made, and `used` where that is said.
const fn always(kind: DeviceKind, major: Option<u32>, minor: Option<u32>, used: bool) -> DeviceRule {
    DeviceRule {
        allow: true,
        kind: Some(kind),
        major,
        minor,
        access: DeviceAccess {
            read: used,
            write: used,
            mknod: true,
        },
    }
}

/// Version 1 has a file for each direction; version 2 needs a program.
pub fn apply_devices(cgroup: &Cgroup<'_>, spec: &Spec<'static>, resources: &Resources<'static>) -> Result<()> {
    let rules = spec.list(resources.devices);
    // A list that forbids nothing need not be enforced, nor can one be in a container that cannot make a node: what nodes
    // there are, are those that the configuration asks for.
    let (forbids, makes_nodes) = (rules.iter().any(|rule| !rule.allow), makes_nodes(spec));
    if cgroup.host.is_v2 {
        let directory = cgroup.host.directory("", cgroup.path);
        let attach = || {
            let directory = directory.open(cgroup.host.top.as_fd(), OFlags::RDONLY | OFlags::DIRECTORY)?;
            device_filter::attach(directory.as_fd(), rules, &ALWAYS)
        };
        return match if forbids { attach() } else { Ok(()) } {
            Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) if !makes_nodes || is_preferred(Feature::Devices) => Ok(()),
            Err(errno @ (Errno::INVAL | Errno::NOSYS)) => Err(Error::new(
                msg!("linux.resources.devices: the kernel needs CONFIG_CGROUP_BPF: attach program"),
                errno,
            )),
            result => result.during(msg!("linux.resources.devices: attach program")),
        };
    }
    for rule in rules {
        let file = if rule.allow {
            File::DevicesAllow
        } else {
            File::DevicesDeny
        };
        match device_rule(rule).text().and_then(|text| cgroup.try_set(file, text)) {
            Err(Errno::NODEV) if !forbids || !makes_nodes || is_preferred(Feature::Devices) => return Ok(()),
            result => cgroup.check(file, result)?,
        }
    }
    if forbids {
        // One call for each, as the file takes them.
        let (controller, name) = File::DevicesAllow.names(cgroup.host);
        let result = cgroup.open(controller, name, OFlags::WRONLY).and_then(|file| {
            for rule in &ALWAYS {
                write_all(file.as_fd(), device_rule(rule).text()?.as_bytes())?;
            }
            Ok(())
        });
        cgroup.check(File::DevicesAllow, result)?;
    }
    Ok(())
}

/// A rule as version 1 writes it.
fn device_rule(rule: &DeviceRule) -> Line {
    let mut line = Line::new();
    line.str(match rule.kind {
        None => "a",
        Some(DeviceKind::Block) => "b",
        Some(_) => "c",
    });
    if rule.kind.is_none() && rule.major.is_none() && rule.minor.is_none() {
        return line;
    }
    line.str(" ");
    device_number(&mut line, rule.major, ":");
    device_number(&mut line, rule.minor, " ");
    let access = rule.access;
    line.str(if access.read { "r" } else { "" });
    line.str(if access.write { "w" } else { "" });
    line.str(if access.mknod { "m" } else { "" });
    line
}

fn device_number(line: &mut Line, number: Option<u32>, end: &str) {
    match number {
        Some(number) => line.number(number.into()),
        None => line.str("*"),
    }
    .str(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_as_version_1_writes_them() {
        let access = DeviceAccess {
            read: true,
            write: false,
            mknod: true,
        };
        let all = DeviceRule {
            allow: false,
            kind: None,
            major: None,
            minor: None,
            access,
        };
        assert_eq!(device_rule(&all).text(), Ok("a"));
        let tty = DeviceRule {
            allow: true,
            kind: Some(DeviceKind::Character),
            major: Some(136),
            minor: None,
            access,
        };
        assert_eq!(device_rule(&tty).text(), Ok("c 136:* rm"));
        let (major, minor) = (None, Some(5));
        let others = [
            (DeviceRule { major, ..tty }, "c *:* rm"),
            (DeviceRule { kind: None, ..tty }, "a 136:* rm"),
            (DeviceRule { minor, ..all }, "a *:5 rm"),
        ];
        for (rule, text) in others {
            assert_eq!(device_rule(&rule).text(), Ok(text));
        }
    }
}
