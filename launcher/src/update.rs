//! `update`: other limits for a container that is there.

use core::cell::Cell;

use rustix::fs::OFlags;
use spec_core::Spec;
use spec_core::limits::TEXT_BYTES_MAX;
use spec_core::state::{State, Status};
use sys::TakeOnce;
use sys::fd::open;

use crate::cgroup::Hierarchies;
use crate::cgroup::resources::{Purpose, apply};
use crate::cgroup::systemd::{Systemd, Unit};
use crate::cli::{Invocation, Opt, as_text};
use crate::config;
use crate::container::Document;
use crate::error::{During, Error, Result, keep, keep_shown};
use crate::msg;
use crate::policy;
use crate::state::{self, Access, Found};
use crate::text::{Pieces, cut, parse_number};

static OPTIONS_DOCUMENT: TakeOnce<[u8; 32 * 1024]> = TakeOnce::new([0; 32 * 1024]);
static OPTIONS_TEXTS: TakeOnce<[u8; TEXT_BYTES_MAX]> = TakeOnce::new([0; TEXT_BYTES_MAX]);

/// `update`
pub fn update(invocation: &Invocation) -> Result<()> {
    let mut state = State::new();
    // Its directory holds the lock.
    let Found {
        container,
        proc,
        status,
        ..
    } = state::find(invocation, Access::Exclusive, &mut state)?;
    if matches!(status, Status::Stopped | Status::Creating) {
        return Err(Error::said(msg!("container not running")));
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
                file = open(path, OFlags::RDONLY).during_with(msg!("open #"), as_text(path)?)?;
                rustix::fd::AsFd::as_fd(&file)
            };
            config::parse_resources(fd, spec)?;
        }
        None => parse_options(invocation, spec)?,
    }
    let (host, cgroup) = crate::cgroup_of(invocation, &proc, &state)?;
    let resources = spec.linux.resources;
    policy::read(invocation, spec)?;
    if let Some(unit) = Unit::of(&container, cgroup) {
        Systemd::connect(invocation.arguments())?.limit(&unit, &resources, host.is_v2, Purpose::Update)?;
    }
    let made = Cell::new(Hierarchies::NONE);
    apply(host, cgroup, &made, spec, &resources, Purpose::Update)?;
    host.gather(cgroup, made.get())
}

/// The members of `resources` that the options of runc's `update` are, in the order of the options; those with a quote are
/// texts.
const MEMBERS: &str = "\
memory limit
memory reservation
memory swap
cpu shares
cpu quota
cpu period
cpu burst
cpu idle
cpu cpus \"
cpu mems \"
pids limit
blockIO weight
";

/// Bytes of the longest value of an option.
const VALUE_BYTES_MAX: usize = 1024;

/// The options are put into the form of the document, so that there is one reader and one set of rules.
fn parse_options(invocation: &Invocation, spec: &mut Spec<'static>) -> Result<()> {
    let mut document = Document::new(OPTIONS_DOCUMENT.take());
    let mut object = "";
    let mut rest = MEMBERS;
    for place in Opt::Memory as u8..=Opt::BlkioWeight as u8 {
        let mut row = cut(&mut rest, b'\n');
        let (group, member) = (cut(&mut row, b' '), cut(&mut row, b' '));
        let Some(value) = invocation.value_at(place) else {
            continue;
        };
        let value = as_text(value)?;
        if value.len() > VALUE_BYTES_MAX {
            return Err(Error::said(msg!("the options are too long")));
        }
        if object == group {
            document.str(",\"");
        } else {
            document.str(if object.is_empty() { "{\"" } else { "},\"" });
            document.str(group).str("\":{\"");
            object = group;
        }
        document.str(member).str("\":");
        if !row.is_empty() {
            // There is room for all values, each byte escaped.
            spec_core::state::write_json_string(&mut document, value);
            continue;
        }
        let number = value.strip_prefix("+").unwrap_or(value);
        let digits = value.strip_prefix("-").unwrap_or(number);
        if parse_number(digits).is_none_or(|number| number > i64::MAX as u64) {
            return Err(Error::usage(
                keep(msg!("update: # #: not a number: #"), &[group, member, value]),
                "",
            ));
        }
        document.str(number);
    }
    document.str(if object.is_empty() { "{}" } else { "}}" });
    spec_core::parse_resources(document.into_bytes(), OPTIONS_TEXTS.take(), spec)
        .map_err(|error| Error::says(msg!("update: #"), keep_shown(&error)))
}
