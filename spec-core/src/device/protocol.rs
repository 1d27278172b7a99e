//! What is said over the socket of `roci-boot`.
//!
//! It is a socket of sequenced packets at [`SOCKET`], for root alone. Who connects sends one request of [`REQUEST_BYTES`]
//! and gets answers of [`ANSWER_BYTES`] each, the last of which is [`Answer::Done`] or [`Answer::Refused`]. Numbers have
//! the lower byte first; what is not used is zero.
//!
//! | request | |
//! |---|---|
//! | 0 | [`VERSION`] |
//! | 1 | the operation: 1 list, 2 start, 3 stop, 4 restart, 5 logs, 6 logs and what follows, 7 power off, 8 reboot |
//! | 2 to 63 | the container's name, where the operation is about one, with zeros behind it |
//!
//! | answer | |
//! |---|---|
//! | 0 | [`VERSION`] |
//! | 1 | what it is: 0 done, 1 refused, 2 a container, 3 output |
//! | 2, 3 | how many bytes of text there are |
//! | 4 to 255 | text: why it was refused; output; of a container see below |
//!
//! | a container | |
//! |---|---|
//! | 4 | what it does: the place in [`PHASES`] |
//! | 5 | how its program ended last: the place in [`ENDS`] |
//! | 6 | the status or the signal of that |
//! | 8 to 11 | how often it was started again |
//! | 12 to 15 | the number of its process; 0 where there is none |
//! | 16 to 23 | for how many milliseconds it has been running |
//! | 24 to 85 | its name, with zeros behind it |

use crate::words::{Words, words};

/// Where `roci-boot` listens.
pub const SOCKET: &str = "/run/roci-boot/socket\0";

/// What both sides have to speak.
pub const VERSION: u8 = 1;
/// The longest name of a container of a device.
pub const NAME_BYTES_MAX: usize = 62;
/// How many containers a device may have.
pub const CONTAINERS_MAX: usize = 16;
/// Bytes of a request.
pub const REQUEST_BYTES: usize = 2 + NAME_BYTES_MAX;
/// Bytes of an answer.
pub const ANSWER_BYTES: usize = 256;
/// Bytes of text in one answer.
pub const TEXT_BYTES_MAX: usize = ANSWER_BYTES - HEAD;
const HEAD: usize = 4;
const NAME_AT: usize = 24;

/// What is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Operation {
    /// Tell of every container.
    List = 1,
    /// Start one that has ended.
    Start,
    /// Stop one, and leave it.
    Stop,
    /// Stop one and start it again.
    Restart,
    /// The output of one.
    Logs,
    /// The same, and then what comes.
    Follow,
    /// Stop everything and switch the device off.
    PowerOff,
    /// Stop everything and start the device again.
    Reboot,
}

const OPERATIONS: [Operation; 8] = [
    Operation::List,
    Operation::Start,
    Operation::Stop,
    Operation::Restart,
    Operation::Logs,
    Operation::Follow,
    Operation::PowerOff,
    Operation::Reboot,
];

/// What a supervised container does, in the words of `roci list`.
pub const PHASES: Words = words!("waiting starting running ready stopping backoff done failed off ");

/// How a program ended, in the words of `roci list`, with `_` for a space; a number follows the first two.
pub const ENDS: Words = words!("exit signal - oom health not_ready not_started ");

/// The place in [`ENDS`] of a program that has not ended yet.
pub const NO_END: u8 = 2;

/// A name in the form of both messages.
pub type Name = [u8; NAME_BYTES_MAX];

/// `name` in that form; `None` where it is too long.
pub fn name(text: &str) -> Option<Name> {
    let mut name = [0; NAME_BYTES_MAX];
    let place = name.get_mut(..text.len())?;
    put(place, text.as_bytes());
    Some(name)
}

/// The text of a name.
pub fn text_of(name: &Name) -> &str {
    let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
    core::str::from_utf8(name.get(..end).unwrap_or_default()).unwrap_or_default()
}

fn put(place: &mut [u8], bytes: &[u8]) {
    for (to, from) in place.iter_mut().zip(bytes) {
        *to = *from;
    }
}

/// A request as it is sent.
pub fn write_request(operation: Operation, name: &Name) -> [u8; REQUEST_BYTES] {
    let mut request = [0; REQUEST_BYTES];
    put(&mut request, &[VERSION, operation as u8]);
    put(request.get_mut(2..).unwrap_or_default(), name);
    request
}

/// What was sent, or why it is no request.
pub fn read_request(bytes: &[u8]) -> Result<(Operation, Name), &'static str> {
    let Ok(request) = <&[u8; REQUEST_BYTES]>::try_from(bytes) else {
        return Err("not a request");
    };
    let [version, operation, rest @ ..] = request;
    if *version != VERSION {
        return Err("another version of the protocol");
    }
    let known = OPERATIONS.into_iter().find(|known| *known as u8 == *operation);
    Ok((known.ok_or("unknown operation")?, *rest))
}

/// A container in an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Row {
    /// The place in [`PHASES`].
    pub phase: u8,
    /// The place in [`ENDS`].
    pub end: u8,
    /// The status or the signal of that.
    pub code: u8,
    /// How often it was started again.
    pub restarts: u32,
    /// Its process, or 0.
    pub pid: u32,
    /// Milliseconds that it has been running.
    pub uptime: u64,
    /// Its name.
    pub name: Name,
}

/// An answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer<'a> {
    /// That was all.
    Done,
    /// It was not done, and why.
    Refused(&'a [u8]),
    /// A container.
    Row(Row),
    /// Output of a container.
    Output(&'a [u8]),
}

impl Answer<'_> {
    /// The answer as it is sent; text that is longer than [`TEXT_BYTES_MAX`] is cut.
    pub fn write(&self) -> [u8; ANSWER_BYTES] {
        let mut answer = [0; ANSWER_BYTES];
        let (kind, text): (u8, &[u8]) = match self {
            Self::Done => (0, b""),
            Self::Refused(text) => (1, text),
            Self::Row(_) => (2, b""),
            Self::Output(text) => (3, text),
        };
        let [low, high] = (text.len().min(TEXT_BYTES_MAX) as u16).to_le_bytes();
        put(&mut answer, &[VERSION, kind, low, high]);
        put(answer.get_mut(HEAD..).unwrap_or_default(), text);
        if let Self::Row(row) = self {
            for (at, bytes) in [
                (HEAD, &[row.phase, row.end, row.code][..]),
                (8, &row.restarts.to_le_bytes()),
                (12, &row.pid.to_le_bytes()),
                (16, &row.uptime.to_le_bytes()),
                (NAME_AT, &row.name),
            ] {
                put(answer.get_mut(at..).unwrap_or_default(), bytes);
            }
        }
        answer
    }
}

/// What was answered; `None` where it is no answer.
pub fn read_answer(bytes: &[u8]) -> Option<Answer<'_>> {
    let answer = <&[u8; ANSWER_BYTES]>::try_from(bytes).ok()?;
    let [VERSION, kind, low, high, rest @ ..] = answer else {
        return None;
    };
    let text = rest.get(..u16::from_le_bytes([*low, *high]).into())?;
    Some(match kind {
        0 => Answer::Done,
        1 => Answer::Refused(text),
        2 => {
            let [phase, end, code, _, rest @ ..] = rest;
            let (restarts, rest) = rest.split_first_chunk()?;
            let (pid, rest) = rest.split_first_chunk()?;
            let (uptime, rest) = rest.split_first_chunk()?;
            let (name, _) = rest.split_first_chunk()?;
            Answer::Row(Row {
                phase: *phase,
                end: *end,
                code: *code,
                restarts: u32::from_le_bytes(*restarts),
                pid: u32::from_le_bytes(*pid),
                uptime: u64::from_le_bytes(*uptime),
                name: *name,
            })
        }
        3 => Answer::Output(text),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn requests_come_back() {
        for operation in OPERATIONS {
            let bytes = write_request(operation, &name("web").unwrap());
            let (read, name) = read_request(&bytes).unwrap();
            assert_eq!((read, text_of(&name)), (operation, "web"));
        }
        assert_eq!(name(&"n".repeat(NAME_BYTES_MAX + 1)), None);
        let longest = "n".repeat(NAME_BYTES_MAX);
        assert_eq!(text_of(&name(&longest).unwrap()), longest);
        let mut bytes = write_request(Operation::List, &[0; NAME_BYTES_MAX]);
        bytes[1] = 99;
        assert_eq!(read_request(&bytes), Err("unknown operation"));
        bytes[0] = 9;
        assert_eq!(read_request(&bytes), Err("another version of the protocol"));
        assert_eq!(read_request(&bytes[1..]), Err("not a request"));
    }

    #[test]
    fn bytes_are_where_the_table_says() {
        let row = Row {
            phase: 3,
            end: 1,
            code: 9,
            restarts: 0x0403_0201,
            pid: 0x0807_0605,
            uptime: 0x100f_0e0d_0c0b_0a09,
            name: name("web").unwrap(),
        };
        let bytes = Answer::Row(row).write();
        assert_eq!(bytes[..8], [1, 2, 0, 0, 3, 1, 9, 0]);
        assert_eq!(bytes[8..24], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]);
        assert_eq!(&bytes[24..28], b"web\0");
        assert_eq!(&Answer::Refused(b"no").write()[..7], b"\x01\x01\x02\x00no\0");
        assert_eq!(write_request(Operation::Reboot, &row.name)[..6], *b"\x01\x08web\0");
    }

    proptest! {
        #[test]
        fn answers_come_back(
            text in proptest::collection::vec(any::<u8>(), 0..300),
            numbers in any::<(u8, u8, u8, u32, u32, u64)>(),
        ) {
            let (phase, end, code, restarts, pid, uptime) = numbers;
            let row = Row { phase, end, code, restarts, pid, uptime, name: name("a name").unwrap() };
            let cut = &text[..text.len().min(TEXT_BYTES_MAX)];
            for (answer, expected) in [
                (Answer::Done, Answer::Done),
                (Answer::Refused(&text), Answer::Refused(cut)),
                (Answer::Output(&text), Answer::Output(cut)),
                (Answer::Row(row), Answer::Row(row)),
            ] {
                let bytes = answer.write();
                prop_assert_eq!(read_answer(&bytes), Some(expected));
            }
        }

        #[test]
        fn anything_is_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read_answer(&bytes);
            let _ = read_request(&bytes);
        }
    }
}
