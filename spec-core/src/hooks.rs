//! `hooks`: programs run at six points of the container's life.

use crate::schema::members;
use crate::spec::List;
use crate::text::Text;

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

impl<'a> Hook<'a> {
    pub(crate) const fn new(blank: Text<'a>) -> Self {
        Self {
            path: blank,
            args: List::EMPTY,
            env: None,
            timeout: None,
        }
    }
}

members! {
    const HOOKS, fn store_hooks(hooks: Hooks<'a>, given) {
        "prestart": List(Object::Hook) => hooks.prestart = given.list(),
        "createRuntime": List(Object::Hook) => hooks.create_runtime = given.list(),
        "createContainer": List(Object::Hook) => hooks.create_container = given.list(),
        "startContainer": List(Object::Hook) => hooks.start_container = given.list(),
        "poststart": List(Object::Hook) => hooks.poststart = given.list(),
        "poststop": List(Object::Hook) => hooks.poststop = given.list(),
    }
}

members! {
    const HOOK, fn store_hook(hook: Hook<'a>, given) {
        "path": Text(Rule::Absolute), required => hook.path = given.text,
        "args": Texts(Rule::Any) => hook.args = given.list(),
        "env": Texts(Rule::Any) => hook.env = Some(given.list()),
        "timeout": Integer(Range::Seconds) => hook.timeout = Some(given.number as u32),
    }
}

#[cfg(test)]
mod tests;
