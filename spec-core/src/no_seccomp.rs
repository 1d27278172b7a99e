//! `linux.seccomp` where this crate was built without it: that there is a profile is known, and nothing of it is read.

use core::marker::PhantomData;

use crate::schema::{Given, Member, Wrong};
use crate::spec::{Present, Spec};
use crate::words::{Family, family};

/// `seccomp`, of which everything is ignored but that it is there.
#[derive(Clone, Copy)]
pub struct Seccomp<'a> {
    texts: PhantomData<&'a str>,
    _present: Present,
}

impl Seccomp<'_> {
    pub(crate) const EMPTY: Self = Self {
        texts: PhantomData,
        _present: Present::Yes,
    };

    /// See the other one.
    pub(crate) fn close(&self) -> Result<(), Wrong> {
        Ok(())
    }

    /// Who asks for what nobody reads is refused for that.
    pub(crate) fn lacks_listener(&self, _: &Spec<'_>) -> bool {
        false
    }
}

/// One element of `syscalls`, of which there are none.
#[derive(Clone, Copy)]
pub struct Rule<'a>(PhantomData<&'a str>);

impl Rule<'_> {
    pub(crate) const EMPTY: Self = Self(PhantomData);

    /// See the other one.
    pub(crate) fn close(&self) -> Result<(), Wrong> {
        Ok(())
    }
}

/// One element of `args`, of which there are none.
#[derive(Clone, Copy)]
pub struct Argument;

impl Argument {
    pub(crate) const EMPTY: Self = Self;
}

// Nobody asks for a word of these, nor for a member.
pub(crate) const ARCHITECTURE_NAMES: Family = family!("", "");
pub(crate) const ACTIONS: Family = family!("", "");
pub(crate) const OPERATORS: Family = family!("", "");
pub(crate) const FLAGS: Family = family!("", "");
pub(crate) const ERRNO_MAX: u32 = 0;
pub(crate) const SECCOMP: &[Member] = &[];
pub(crate) const RULE: &[Member] = &[];
pub(crate) const ARGUMENT: &[Member] = &[];

pub(crate) fn store_seccomp(_: &mut Seccomp<'_>, _: usize, _: &Given<'_>) {}

pub(crate) fn store_rule(_: &mut Rule<'_>, _: usize, _: &Given<'_>) {}

pub(crate) fn store_argument(_: &mut Argument, _: usize, _: &Given<'_>) {}

#[cfg(test)]
mod tests {
    use crate::harness::{accept, check, linux};

    #[test]
    fn of_a_profile_nothing_is_known_but_that_there_is_one() {
        let profiles = [
            ("{}", true),
            (
                r#"{"defaultAction": 1, "syscalls": [{"names": "a", "args": [[]]}]}"#,
                true,
            ),
            ("null", false),
        ];
        for (profile, is_there) in profiles {
            let json = linux(&std::format!("\"seccomp\": {profile}"));
            accept(&json, |spec| assert_eq!(spec.linux.seccomp.is_some(), is_there));
        }
        check(
            &linux(r#""seccomp": @[]"#),
            "linux.seccomp: expected an object, not an array",
        );
    }
}
