//! The calls that a command does without, by design: each with its reason. Whatever is not in here and fails has to be told.

use super::calls;
use super::case::{Case, Command, Point};
use super::tracer::Fault;

/// A call that may fail.
struct Optional {
    call: &'static str,
    /// A part of what tells the call from its likes.
    shows: &'static str,
    /// The command, or nothing for any.
    command: &'static str,
    /// The errors, or none for any.
    errnos: &'static [&'static str],
    /// Whether the container is another one then, of which a warning or the reason tells.
    differs: bool,
    reason: &'static str,
}

const OPTIONAL: &[Optional] = &[];

/// The reason for which the call may fail, by its number.
pub fn excuse(case: &Case, point: &Point) -> Option<usize> {
    let Fault::Errno(errno) = point.fault else { return None };
    let (name, errno, text) = (
        calls::name(point.call.place.number),
        calls::errno_name(errno),
        &point.call.text,
    );
    let case = case.name();
    OPTIONAL.iter().position(|optional| {
        optional.call == name
            && text.contains(optional.shows)
            && case.starts_with(optional.command)
            && (optional.errnos.is_empty() || optional.errnos.contains(&errno.as_str()))
    })
}

/// Whether the container may differ.
pub fn may_differ(excuse: usize) -> bool {
    OPTIONAL.get(excuse).is_some_and(|optional| optional.differs)
}

/// The reasons, as text.
pub fn reason(excuse: usize) -> String {
    OPTIONAL.get(excuse).map_or(String::new(), |optional| {
        format!("{} {}: {}", optional.call, optional.shows, optional.reason)
    })
}

/// Whether the container may have ended although the command has succeeded: its process was killed.
pub fn may_end(case: &Case, point: &Point) -> bool {
    point.fault == Fault::Kill && point.call.place.process != "0" && case.command == Command::Create
}

/// Whether the line says what failed in words other than the error's name.
pub fn is_worded(_point: &Point, _line: &str) -> bool {
    false
}

/// Whether a command that failed may leave its state directory, for `delete`.
pub fn may_stay(_case: &Case, _point: &Point) -> bool {
    false
}
