//! What the unit tests share.

use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec;

use crate::{Error, Spec};

/// Of many documents that are alike, Miri, which takes a second for one, reads every fifth.
pub const STEP: usize = if cfg!(miri) { 5 } else { 1 };

/// A function that reads a document.
pub type Parse = for<'a> fn(&'a [u8], &'a mut [u8], &mut Spec<'a>) -> Result<(), Error<'a>>;

/// Reads `json` and hands on what came of it, or the error as it is printed.
pub fn read<R>(parse: Parse, json: &str, see: impl FnOnce(Result<&Spec<'_>, String>) -> R) -> R {
    let mut arena = vec![0; 2 * json.len()];
    let mut spec = Box::new(Spec::new());
    match parse(json.as_bytes(), &mut arena, &mut spec) {
        Ok(()) => see(Ok(&spec)),
        Err(error) => see(Err(error.to_string())),
    }
}

/// Reads a config.json that has nothing wrong.
pub fn accept<R>(json: &str, see: impl FnOnce(&Spec<'_>) -> R) -> R {
    read(crate::parse_config, json, |result| {
        see(result.unwrap_or_else(|error| panic!("{json}: {error}")))
    })
}

/// Reads `json`, in which an `@` marks where an error is expected; without one nothing is wrong.
pub fn check_with(parse: Parse, json: &str, expected: &str) {
    let (json, expected) = match json.split_once('@') {
        None => (json.to_string(), "ok".to_string()),
        Some((before, after)) => {
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            (format!("{before}{after}"), format!("{line}:{column}: {expected}"))
        }
    };
    read(parse, &json, |result| {
        let found = result.map_or_else(|error| error, |_| "ok".to_string());
        assert_eq!(found, expected, "{json}");
    });
}

/// Checks a whole config.json.
pub fn check(json: &str, expected: &str) {
    check_with(crate::parse_config, json, expected);
}

/// The smallest config.json with `members` added.
pub fn config(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { ", " };
    format!("{{\"ociVersion\": \"1.3.0\", \"root\": {{\"path\": \"rootfs\"}}{comma}{members}}}")
}

/// The smallest config.json with members added to `linux`, and with every namespace that rules may ask for.
pub fn linux(members: &str) -> String {
    let kinds = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let namespaces = kinds.map(|kind| format!("{{\"type\": \"{kind}\"}}")).join(", ");
    config(&format!("\"linux\": {{\"namespaces\": [{namespaces}], {members}}}"))
}

/// The smallest config.json with members added to `process`.
pub fn process(members: &str) -> String {
    config(&format!(
        "\"process\": {{\"cwd\": \"/\", \"args\": [\"sh\"], {members}}}"
    ))
}

/// `count` elements that `element` makes, joined by commas.
pub fn repeat(count: usize, element: impl Fn(usize) -> String) -> String {
    (0..count).map(element).collect::<vec::Vec<_>>().join(",")
}
