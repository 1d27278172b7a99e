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
use crate::devices::DEFAULT_NUMBERS;
use crate::error::{During, Error, Result};
use crate::limits::makes_nodes;
use crate::msg;
use crate::policy::{Feature, is_preferred};
use crate::text::{Line, Pieces};

/// What every container may use, whatever its rules say: the default devices and terminals, and making any node, which
/// opens none (as runc and crun).
fn always() -> [DeviceRule; 2 + DEFAULT_NUMBERS.len() + BESIDES.len()] {
    core::array::from_fn(|number| {
        let mut devices = DEFAULT_NUMBERS.iter().chain(&BESIDES);
        let used = number.checked_sub(2).and_then(|number| devices.nth(number));
        let [major, minor] = used.copied().unwrap_or([ANY; 2]);
        let number_of = |number| (number != ANY).then_some(u32::from(number));
        DeviceRule {
            allow: true,
            kind: Some(match number {
                0 => DeviceKind::Block,
                _ => DeviceKind::Character,
            }),
            major: number_of(major),
            minor: number_of(minor),
            access: DeviceAccess {
                read: used.is_some(),
                write: used.is_some(),
                mknod: true,
            },
        }
    })
}

/// `/dev/console`, `/dev/ptmx`, what stands in `/dev/pts`, and `/dev/net/tun`.
const BESIDES: [[u8; 2]; 4] = [[5, 1], [5, 2], [136, ANY], [10, 200]];

/// Any number.
const ANY: u8 = u8::MAX;

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
            device_filter::attach(directory.as_fd(), rules, &always())
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
            for rule in &always() {
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
