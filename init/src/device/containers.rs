//! The containers of the device, as its directory has them, and in which order they come.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use spec_core::device::protocol::NAME_BYTES_MAX;
use sys::directory::Names;
use sys::fd::open;

use super::options::Options;
use super::order::{self, After, CONTAINERS_MAX, Set};
use super::say::{Line, complain, say};
use super::service::{Moment, Phase, Why};
use super::unit::Unit;
use crate::message::words;
use crate::text::Text;

/// Where the bundles are.
pub const BUNDLES: &CStr = c"/etc/roci/containers";
/// The longest name of a file, with its NUL.
type Name = Text<256>;

/// The containers, and which comes after which.
pub struct Containers {
    /// In the order of their names; only the first of them are there.
    pub units: [Unit; CONTAINERS_MAX],
    /// How many are there.
    pub count: usize,
    /// See [`order`].
    pub after: After,
    /// The same, and those that they come after, and so on.
    pub all_before: After,
}

impl Containers {
    /// None.
    pub const fn new() -> Self {
        Self {
            units: [const { Unit::new() }; CONTAINERS_MAX],
            count: 0,
            after: [0; CONTAINERS_MAX],
            all_before: [0; CONTAINERS_MAX],
        }
    }

    /// Those that are there.
    pub fn iter(&self) -> impl Iterator<Item = &Unit> {
        self.units.iter().take(self.count)
    }

    /// The same, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Unit> {
        self.units.iter_mut().take(self.count)
    }

    /// One of them.
    pub fn get(&mut self, index: usize) -> &mut Unit {
        &mut self.units[index % CONTAINERS_MAX]
    }

    /// Those for which `what` holds.
    pub fn those(&self, what: impl Fn(&Unit) -> bool) -> Set {
        let mut set = 0;
        for (index, unit) in self.iter().enumerate() {
            if what(unit) {
                set |= order::only(index);
            }
        }
        set
    }

    /// The one with this name.
    pub fn find(&self, name: &[u8]) -> Option<usize> {
        self.iter().position(|unit| unit.name.as_bytes() == name)
    }

    /// Reads the bundles, in the order of their names.
    ///
    /// # Errors
    /// The kernel's, where there is no directory of them.
    pub fn load(&mut self, options: &Options, now: Moment) -> Result<(), Errno> {
        let mut refused: Set = 0;
        let mut last = Name::new();
        while let Some(next) = next_name(last.as_bytes())? {
            let name = next.as_bytes();
            if name.len() > NAME_BYTES_MAX {
                complain(name, "not started: the name is too long for a device");
            } else if self.count == CONTAINERS_MAX {
                complain(name, "not started: there are too many containers");
            } else {
                let index = self.count;
                self.count += 1;
                if !self.get(index).load(name, options, now) {
                    refused |= order::only(index);
                }
            }
            last = next;
        }
        refused |= self.find_order();
        for index in (0..self.count).filter(|index| order::has(refused, *index)) {
            self.get(index).service.phase = Phase::Ended(Why::Failed);
        }
        Ok(())
    }

    /// Works out who comes after whom; the value is those that cannot be started, which is told.
    fn find_order(&mut self) -> Set {
        let mut refused = 0;
        for index in 0..self.count {
            let names = self.get(index).after;
            for name in names.as_bytes().split(|byte| *byte == b',') {
                match self.find(name) {
                    _ if name.is_empty() => {}
                    Some(before) => self.after[index % CONTAINERS_MAX] |= order::only(before),
                    None => {
                        let name_of_it = self.get(index).name;
                        say(
                            name_of_it.as_bytes(),
                            &[b"not started: io.roci.after: there is no container ", name],
                        );
                        refused |= order::only(index);
                    }
                }
            }
        }
        let impossible = order::impossible(&self.after, self.count);
        for index in (0..self.count).filter(|index| order::has(impossible, *index)) {
            let mut circle = [0; CONTAINERS_MAX];
            let count = order::circle(&self.after, impossible, index, &mut circle);
            let mut text = Line::new();
            for place in circle.iter().take(count).chain(circle.first()) {
                text.push(if text.as_bytes().is_empty() { b"" } else { b" after " });
                text.push(self.get(*place).name.as_bytes());
            }
            let name = self.get(index).name;
            say(name.as_bytes(), &[b"not started: io.roci.after: ", text.as_bytes()]);
        }
        self.all_before = order::all_before(&self.after, self.count);
        refused | impossible
    }
}

/// The first name in the order of bytes that comes after `last`. The directory is read once for each name, because there is
/// no memory for all names.
fn next_name(last: &[u8]) -> Result<Option<Name>, Errno> {
    let directory = open(BUNDLES, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mut names = Names::of(directory.as_fd());
    let mut next: Option<Name> = None;
    while let Some(name) = names.next()? {
        let name = name.to_bytes();
        let is_nearer = next.as_ref().is_none_or(|next| name < next.as_bytes());
        if name > last && is_nearer {
            let mut text = Text::new();
            text.push(name);
            next = Some(text);
        }
    }
    directory.close();
    Ok(next)
}

/// Tells why the bundles could not be read.
pub fn complain_of(errno: Errno) {
    complain(BUNDLES.to_bytes(), words(errno));
}
