//! `network`: the networks that there are, and the end of those that nobody is in.

use rustix::fs::OFlags;
use sys::TakeOnce;
use sys::directory::Names;

use super::lease::{CARRIERS, HOSTS_BYTES_MAX, Table, network_of_file, set_locked};
use super::netlink::{ROUTE, Refused, Socket};
use super::{lives, remove_network, take_back};
use crate::cli::{Invocation, as_text};
use crate::container::StateRoot;
use crate::error::{During, Error, Result};
use crate::msg;
use crate::output::Output;
use crate::path::Path;
use crate::text::{Digits, Pieces};

static MEMORY: TakeOnce<[u8; HOSTS_BYTES_MAX]> = TakeOnce::new([0; HOSTS_BYTES_MAX]);

/// `network ls`, `network rm NAME` and `network prune`.
pub fn network(invocation: &Invocation) -> Result<()> {
    let verb = invocation.positional(0).map_or(Ok(""), as_text)?;
    let wanted = invocation.positional(1).map(as_text).transpose()?;
    if !matches!((verb, wanted), ("ls" | "prune", None) | ("rm", Some(_))) {
        return Err(Error::usage(msg!("network: neither ls, rm NAME nor prune"), ""));
    }
    let mut out = Output::new();
    let is_list = verb == "ls";
    if is_list {
        row(&mut out, ["NAME", "KIND", "CONTAINERS"]);
        out.str("SUBNETS\n");
    }
    let mut found = false;
    if let Some(root) = StateRoot::open(invocation, false)? {
        let root = root.as_fd();
        set_locked(root, true).during(msg!("lock state root"))?;
        let memory = MEMORY.take();
        let mut names = Names::of(root);
        while let Some(file) = names.next().during(msg!("read state root"))? {
            let Some(name) = network_of_file(file).filter(|name| wanted.is_none_or(|wanted| *name == wanted)) else {
                continue;
            };
            found = true;
            let mut table = Table::open(root, name, OFlags::empty(), memory)
                .during_with(msg!("open hosts file of network #"), name)?;
            if is_list {
                list(&mut out, name, &table);
                continue;
            }
            let host = Socket::open(ROUTE).during(msg!("open netlink socket"))?;
            while let Some(dead) = table.find_owner(&|owner| !lives(root, owner)) {
                let dead = Path::new(dead.as_bytes());
                take_back(&host, &mut table, root, dead.as_str())
                    .or_refused(msg!("take back what # had"), dead.as_str())?;
            }
            if table.count() == 0 {
                let description = table.description();
                remove_network(&host, root, name, description).or_refused(msg!("remove network #"), name)?;
            } else if wanted.is_some() {
                return Err(Error::says(msg!("network #: there are containers in it"), name));
            } else {
                table
                    .save_shorter()
                    .during_with(msg!("write hosts file of network #"), name)?;
            }
            host.close();
        }
    }
    match wanted {
        Some(wanted) if !found => Err(Error::says(msg!("network #: there is no such network"), wanted)),
        _ => out.finish(),
    }
}

fn list(out: &mut Output, name: &str, table: &Table<'_>) {
    let Some(description) = table.description() else { return };
    let kind = CARRIERS.iter().find(|(_, carrier)| *carrier == description.carrier);
    let count = Digits::of(table.count() as u64);
    row(out, [name, kind.map_or("", |(word, _)| word), count.as_str()]);
    for (index, subnet) in description.subnets.iter().flatten().enumerate() {
        out.str(if index > 0 { " " } else { "" });
        subnet.write(out);
    }
    out.str("\n");
}

fn row(out: &mut Output, [name, kind, count]: [&str; 3]) {
    out.column(name, 15);
    out.column(kind, 8);
    out.column(count, 10);
}
