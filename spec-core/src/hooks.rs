//! `hooks`: programs run at six points of the container's life.

use crate::json::Read;
use crate::spec::{List, Spec, read_list, read_texts};
use crate::text::Text;
use crate::value::{Value, members};

/// The six lists of hooks, in the order in which they are run.
#[derive(Clone, Copy, Default)]
pub struct Hooks<'a> {
    /// `prestart`, deprecated, run like `createRuntime` and before it.
    pub prestart: List<Hook<'a>>,
    /// `createRuntime`.
    pub create_runtime: List<Hook<'a>>,
    /// `createContainer`.
    pub create_container: List<Hook<'a>>,
    /// `startContainer`.
    pub start_container: List<Hook<'a>>,
    /// `poststart`.
    pub poststart: List<Hook<'a>>,
    /// `poststop`.
    pub poststop: List<Hook<'a>>,
}

/// One hook.
#[derive(Clone, Copy)]
pub struct Hook<'a> {
    /// `path`, absolute.
    pub path: Text<'a>,
    /// `args`, the program's name first.
    pub args: List<Text<'a>>,
    /// `env`; `None` where it is not given at all, which is different from an empty one.
    pub env: Option<List<Text<'a>>>,
    /// `timeout` in seconds, above 0.
    pub timeout: Option<u32>,
}

impl Hooks<'_> {
    /// No hooks.
    pub const NONE: Self = Self {
        prestart: List::EMPTY,
        create_runtime: List::EMPTY,
        create_container: List::EMPTY,
        start_container: List::EMPTY,
        poststart: List::EMPTY,
        poststop: List::EMPTY,
    };
}

/// The names of the lists in config.json.
pub const HOOK_NAMES: [&str; 6] = [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
];

/// Reads `hooks`.
pub(crate) fn read_hooks<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<Hooks<'a>> {
    let hooks = &mut Hooks::default();
    members!(value, hooks, {
        "prestart" => hooks.prestart = read_list(value, spec, read_hook)?,
        "createRuntime" => hooks.create_runtime = read_list(value, spec, read_hook)?,
        "createContainer" => hooks.create_container = read_list(value, spec, read_hook)?,
        "startContainer" => hooks.start_container = read_list(value, spec, read_hook)?,
        "poststart" => hooks.poststart = read_list(value, spec, read_hook)?,
        "poststop" => hooks.poststop = read_list(value, spec, read_hook)?,
    })?;
    Ok(*hooks)
}

fn read_hook<'a>(value: &mut Value<'_, 'a>, spec: &mut Spec<'a>) -> Read<Hook<'a>> {
    let hook = &mut Hook {
        path: Text::EMPTY,
        args: List::EMPTY,
        env: None,
        timeout: None,
    };
    members!(value, hook, {
        "path" => hook.path = value.absolute_path()?,
        "args" => hook.args = read_texts(value, spec)?,
        "env" => hook.env = Some(read_texts(value, spec)?),
        "timeout" => hook.timeout = Some(read_timeout(value)?),
    })?;
    value.require("path", (!hook.path.is_empty()).then_some(()))?;
    Ok(*hook)
}

fn read_timeout<'a>(value: &mut Value<'_, 'a>) -> Read<u32> {
    match value.unsigned_32()? {
        0 => Err(value.refuse("must be more than 0")),
        seconds => Ok(seconds),
    }
}

#[cfg(test)]
mod tests;
