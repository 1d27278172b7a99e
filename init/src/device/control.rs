//! The socket at which `roci` asks for things: who is served, and what they are still owed.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, chmodat, fcntl_setfl};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketType};
use spec_core::device::protocol::{
    Answer, NAME_BYTES_MAX, Operation, REQUEST_BYTES, Row, SOCKET, TEXT_BYTES_MAX, name, read_request, text_of,
};
use sys::OwnedFd;
use sys::fd::{read, socket};
use sys::poll::Watch;
use sys::socket::{accept, bind, listen, peer};

use super::Ending;
use super::order::CONTAINERS_MAX;
use super::say::complain;
use super::service::{Event, Phase, Why};
use super::supervisor::{Supervisor, now};
use crate::message::words;

/// How many are served at a time; others wait.
pub const CLIENTS_MAX: usize = 4;

/// What a client is owed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owed {
    /// Nothing; its request is awaited.
    Nothing,
    /// Containers, from this one on.
    Rows(usize),
    /// Output of this container, from this place on, up to that one.
    Output(usize, u64, u64),
    /// Word that this container runs, which was started so often before.
    Running(usize, u32),
    /// Word that this container has stopped.
    Stopped(usize),
}

struct Client {
    fd: OwnedFd,
    owed: Owed,
    /// Whether there was no room for an answer.
    is_full: bool,
}

/// The socket and who has connected.
pub struct Control {
    /// Where they connect.
    pub listener: Option<OwnedFd>,
    clients: [Option<Client>; CLIENTS_MAX],
}

/// Whether a client is done.
#[derive(PartialEq, Eq)]
enum Served {
    Yes,
    NotYet,
    /// One answer of several was given.
    More,
}

impl Control {
    /// Opens the socket. Without it the device runs all the same.
    pub fn open() -> Self {
        let listener = match listen_at(CStr::from_bytes_with_nul(SOCKET.as_bytes()).unwrap_or_default()) {
            Ok(listener) => Some(listener),
            Err(errno) => {
                complain(SOCKET.trim_end_matches('\0').as_bytes(), words(errno));
                None
            }
        };
        Self {
            listener,
            clients: [const { None }; CLIENTS_MAX],
        }
    }

    /// What to wait for: requests, and room for answers that are owed.
    pub fn watch(&self, watches: &mut [Watch]) {
        for (watch, client) in watches.iter_mut().zip(&self.clients) {
            *watch = match client {
                None => Watch::NONE,
                Some(client) if client.is_full => Watch::to_write(Some(&client.fd)),
                Some(client) => Watch::to_read(Some(&client.fd)),
            };
        }
    }

    /// Takes whoever has connected, where there is a place. The descriptors of others wait in the kernel.
    pub fn accept(&mut self) {
        let Some(listener) = &self.listener else { return };
        let Ok(fd) = accept(listener.as_fd()) else { return };
        let place = self.clients.iter_mut().find(|place| place.is_none());
        match place {
            Some(place) if peer(fd.as_fd()) == Ok(0) => {
                *place = Some(Client {
                    fd,
                    owed: Owed::Nothing,
                    is_full: false,
                });
            }
            _ => fd.close(),
        }
    }

    /// Takes what a client has sent, or that it has gone.
    pub fn receive(&mut self, place: usize, supervisor: &mut Supervisor<'_>) {
        let Some(slot) = self.clients.get_mut(place) else {
            return;
        };
        let Some(client) = slot else { return };
        client.is_full = false;
        let mut memory = [0; REQUEST_BYTES + 1];
        let served = match read(client.fd.as_fd(), &mut memory) {
            Err(Errno::AGAIN) => Served::NotYet,
            Ok([]) | Err(_) => Served::Yes,
            // One request a connection.
            Ok(_) if client.owed != Owed::Nothing => Served::NotYet,
            Ok(request) => match read_request(request) {
                Ok((operation, name)) => take_request(client, operation, text_of(&name), supervisor),
                Err(what) => refuse(client, what),
            },
        };
        if served == Served::Yes {
            close(slot);
        }
    }

    /// Gives everybody what they are owed and what there is of it.
    pub fn serve(&mut self, supervisor: &mut Supervisor<'_>) {
        for slot in &mut self.clients {
            let Some(client) = slot else { continue };
            loop {
                match pay(client, supervisor) {
                    Served::More => {}
                    Served::NotYet => break,
                    Served::Yes => {
                        close(slot);
                        break;
                    }
                }
            }
        }
    }
}

fn listen_at(path: &CStr) -> Result<OwnedFd, Errno> {
    let listener = socket(AddressFamily::UNIX, SocketType::SEQPACKET)?;
    bind(listener.as_fd(), path)?;
    // Nobody could connect before it listens.
    chmodat(CWD, path, Mode::from_raw_mode(0o600), AtFlags::empty())?;
    listen(listener.as_fd(), CLIENTS_MAX)?;
    fcntl_setfl(&listener, OFlags::NONBLOCK)?;
    Ok(listener)
}

fn close(slot: &mut Option<Client>) {
    slot.take().into_iter().for_each(|client| client.fd.close());
}

/// Sends an answer; `false` where there is no room for it now. One that is gone gets none, and is noticed later.
fn answer(client: &mut Client, answer: &Answer<'_>) -> bool {
    let sent = rustix::io::write(&client.fd, &answer.write());
    client.is_full = sent == Err(Errno::AGAIN);
    !client.is_full
}

fn refuse(client: &mut Client, what: &str) -> Served {
    answer(client, &Answer::Refused(what.as_bytes()));
    Served::Yes
}

fn done(client: &mut Client) -> Served {
    match answer(client, &Answer::Done) {
        true => Served::Yes,
        false => Served::NotYet,
    }
}

fn take_request(client: &mut Client, operation: Operation, name: &str, supervisor: &mut Supervisor<'_>) -> Served {
    match operation {
        Operation::List => client.owed = Owed::Rows(0),
        Operation::PowerOff | Operation::Reboot => {
            supervisor.end(match operation {
                Operation::PowerOff => Ending::PowerOff,
                _ => Ending::Reboot,
            });
            return done(client);
        }
        _ => {
            let Some(index) = supervisor.containers.find(name.as_bytes()) else {
                return refuse(client, "the device has no such container");
            };
            let ring = &supervisor.rings[index % CONTAINERS_MAX];
            let unit = supervisor.containers.get(index);
            let starts = unit.starts;
            client.owed = match operation {
                Operation::Logs => Owed::Output(index, ring.start(), ring.end()),
                Operation::Follow => Owed::Output(index, ring.start(), u64::MAX),
                Operation::Stop => {
                    supervisor.step(index, Event::Stop);
                    Owed::Stopped(index)
                }
                _ if supervisor.shutdown.is_some() => return refuse(client, "the device is being switched off"),
                Operation::Start if !unit.service.is_down() => return refuse(client, "it is running"),
                _ => {
                    supervisor.step(
                        index,
                        match operation {
                            Operation::Start => Event::Start,
                            _ => Event::Restart,
                        },
                    );
                    Owed::Running(index, starts)
                }
            };
        }
    }
    Served::NotYet
}

fn pay(client: &mut Client, supervisor: &mut Supervisor<'_>) -> Served {
    if client.is_full {
        return Served::NotYet;
    }
    match client.owed {
        Owed::Nothing => Served::NotYet,
        Owed::Rows(index) if index >= supervisor.containers.count => done(client),
        Owed::Rows(index) => {
            let row = row(supervisor, index);
            if !answer(client, &Answer::Row(row)) {
                return Served::NotYet;
            }
            client.owed = Owed::Rows(index + 1);
            Served::More
        }
        Owed::Output(_, at, end) if at >= end => done(client),
        Owed::Output(index, at, end) => {
            let ring = &supervisor.rings[index % CONTAINERS_MAX];
            let mut memory = [0; TEXT_BYTES_MAX];
            let (count, place) = ring.read(at, &mut memory);
            if count == 0 {
                // Whoever follows is told the end when the device ends.
                return if supervisor.shutdown.is_some() && supervisor.containers.get(index).service.is_down() {
                    done(client)
                } else {
                    Served::NotYet
                };
            }
            if !answer(client, &Answer::Output(memory.get(..count).unwrap_or_default())) {
                return Served::NotYet;
            }
            client.owed = Owed::Output(index, place, end);
            Served::More
        }
        Owed::Stopped(index) => match supervisor.containers.get(index).service.has_ended() {
            true => done(client),
            false => Served::NotYet,
        },
        Owed::Running(index, before) => {
            let unit = supervisor.containers.get(index);
            match unit.service.phase {
                Phase::Up | Phase::Ended(Why::Done) if unit.starts != before => done(client),
                Phase::Backoff | Phase::Ended(_) if unit.starts != before => {
                    refuse(client, "it does not run: roci logs says why")
                }
                _ => Served::NotYet,
            }
        }
    }
}

fn row(supervisor: &mut Supervisor<'_>, index: usize) -> Row {
    let unit = supervisor.containers.get(index);
    let service = &unit.service;
    let (end, code) = service.last;
    let is_up = unit.run.process != 0;
    Row {
        phase: service.phase_shown(),
        end,
        code,
        restarts: service.restarts,
        pid: unit.run.process as u32,
        uptime: if is_up {
            now().saturating_sub(service.up_since)
        } else {
            0
        },
        name: name(core::str::from_utf8(unit.name.as_bytes()).unwrap_or_default()).unwrap_or([0; NAME_BYTES_MAX]),
    }
}
