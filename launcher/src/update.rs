//! `update`: other limits for a container that is there.

use rustix::fs::{CWD, Mode, OFlags, openat};
use spec_core::Spec;
use spec_core::limits::TEXT_BYTES_MAX;
use spec_core::state::{State, Status};
use sys::TakeOnce;

use crate::cgroup::resources::{Purpose, apply};
use crate::cli::{Invocation, Opt, as_text};
use crate::config;
use crate::container::Document;
use crate::error::{During, Error, Result};
use crate::state::{self, Access, Found};

static OPTIONS_DOCUMENT: TakeOnce<[u8; 4096]> = TakeOnce::new([0; 4096]);
static OPTIONS_TEXTS: TakeOnce<[u8; TEXT_BYTES_MAX]> = TakeOnce::new([0; TEXT_BYTES_MAX]);

/// `update`
pub fn update(invocation: &Invocation) -> Result<()> {
    let mut state = State::new();
    // The directory holds the lock.
    let Found {
        container: _locked,
        proc,
        status,
        ..
    } = state::find(invocation, Access::Exclusive, &mut state)?;
    if matches!(status, Status::Stopped | Status::Creating) {
        return Err(Error::said("container not running"));
    }
    let spec: &'static mut Spec<'static> = config::new_spec();
    match invocation.value(Opt::Resources) {
        Some(path) => {
            let stdin;
            let file;
            let fd = if path == c"-" {
                stdin = sys::process::inherited_fd(0);
                stdin
            } else {
                file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .during_with(format_args!("open {}", as_text(path)?))?;
                rustix::fd::AsFd::as_fd(&file)
            };
            config::parse_resources(fd, spec)?;
        }
        None => parse_options(invocation, spec)?,
    }
    let Some((cgroup, host)) = state.cgroup.zip(crate::cgroup_host(invocation, &proc)?) else {
        return Err(Error::said("the container has no cgroup"));
    };
    let resources = spec.linux.resources;
    apply(host, cgroup.as_c_str(), spec, &resources, Purpose::Update)
}

/// The options of runc's `update`, by the member of `resources` that each is.
const MEMBERS: [(&str, &str, bool); 12] = [
    ("memory", "limit", false),
    ("memory", "reservation", false),
    ("memory", "swap", false),
    ("cpu", "shares", false),
    ("cpu", "quota", false),
    ("cpu", "period", false),
    ("cpu", "burst", false),
    ("cpu", "idle", false),
    ("cpu", "cpus", true),
    ("cpu", "mems", true),
    ("pids", "limit", false),
    ("blockIO", "weight", false),
];

/// The options are put into the form of the document, so that there is one reader and one set of rules.
fn parse_options(invocation: &Invocation, spec: &mut Spec<'static>) -> Result<()> {
    use core::fmt::Write;
    let mut document = Document::new(OPTIONS_DOCUMENT.take());
    let long = |_| Error::said("the options are too long");
    document.write_str("{").map_err(long)?;
    let mut object = "";
    for (index, (group, member, is_text)) in MEMBERS.into_iter().enumerate() {
        let Some(value) = invocation.value(Opt::Limit(index as u8)) else {
            continue;
        };
        let separator = match object {
            "" => "",
            same if same == group => ",",
            _ => "},",
        };
        document.write_str(separator).map_err(long)?;
        if object != group {
            write!(document, "\"{group}\":{{").map_err(long)?;
        }
        object = group;
        let value = as_text(value)?;
        write!(document, "\"{member}\":").map_err(long)?;
        if is_text {
            spec_core::state::write_json_string(&mut document, value).map_err(long)?;
        } else if value.parse::<i64>().is_ok() {
            document.write_str(value.trim_start_matches('+')).map_err(long)?;
        } else {
            return Err(Error::usage(format_args!(
                "update: {group} {member}: not a number: {value}"
            )));
        }
    }
    document
        .write_str(if object.is_empty() { "}" } else { "}}" })
        .map_err(long)?;
    let bytes = document.into_bytes();
    spec_core::parse_resources(bytes, OPTIONS_TEXTS.take(), spec)
        .map_err(|error| Error::says(format_args!("update: {error}")))
}
