//! JSON through serde-json-core, with as little generic code as serde allows.
//!
//! Reading code sees a [`Value`]: it asks for the type that it expects, and gets it or has been refused. One seed, one
//! visitor for objects and one for arrays stand between it and serde, so each of serde's generic functions is compiled
//! once. serde's errors cannot carry ours; the [`Context`] keeps the first one, and [`Refused`] only says that there is
//! one.

use core::{fmt, mem};

use serde::de::{DeserializeSeed, Deserializer, Error as SerdeError, MapAccess, SeqAccess, Visitor};
use static_assertions::const_assert;

use crate::error::{Cause, Error, Step};
use crate::grammar;
use crate::limits::{CONFIG_BYTES_MAX, TEXT_BYTES_MAX};
use crate::value::{Children, Value};
use crate::words::Words;

/// The context knows what is wrong.
#[derive(Debug)]
pub(crate) struct Refused;

/// What reading gives.
pub(crate) type Read<T> = Result<T, Refused>;

// The text of the error has the number in it.
const_assert!(CONFIG_BYTES_MAX == 262_144);
const_assert!(TEXT_BYTES_MAX >= 2 * CONFIG_BYTES_MAX);

/// Reads one document. The arena takes the strings; twice the document's length always suffices.
pub(crate) fn read_document<'a>(
    json: &'a [u8],
    arena: &'a mut [u8],
    children: &mut dyn Children<'a>,
) -> Result<(), Error<'a>> {
    if json.len() > CONFIG_BYTES_MAX {
        return Err(Error::syntax(
            json,
            ("more than 262144 bytes (CONFIG_BYTES_MAX)", CONFIG_BYTES_MAX),
        ));
    }
    grammar::check(json).map_err(|misspelt| Error::syntax(json, misspelt))?;
    let mut context = Context {
        arena,
        path: [Step::Index(0); STEPS_MAX],
        refused: None,
    };
    let mut deserializer = serde_json_core::de::Deserializer::new(json, None);
    let seed = Seed {
        children,
        number: 0,
        name: "",
        context: &mut context,
        depth: 0,
        null_is_absent: false,
    };
    if seed.deserialize(&mut deserializer).is_ok() {
        return Ok(());
    }
    // Every failure has been noted; the text is for the case that this is not so.
    let (cause, depth) = context.refused.unwrap_or((Cause::Rule("cannot be read"), 0));
    Err(Error::new(
        json,
        context.path.get(..depth).unwrap_or(&context.path),
        cause,
    ))
}

/// How deep a path of fields can be. `linux.seccomp.syscalls[1].args[2].op` has seven steps.
const STEPS_MAX: usize = 8;

/// What all values of a document share.
pub(crate) struct Context<'a> {
    /// The part of the arena that is free.
    pub(crate) arena: &'a mut [u8],
    /// The way to the value that was read last. What lies behind the depth of a value belongs to its last child.
    pub(crate) path: [Step<'a>; STEPS_MAX],
    /// The first mistake, and how many steps from the top it is.
    pub(crate) refused: Option<(Cause, usize)>,
}

impl<'a> Context<'a> {
    /// Notes a mistake of the value that is `depth` steps from the top. Only the first counts.
    pub(crate) fn refuse(&mut self, depth: usize, cause: Cause) -> Refused {
        if self.refused.is_none() {
            self.refused = Some((cause, depth));
        }
        Refused
    }

    /// Notes the way to the value that is read next. Steps that are deeper than any field of ours are not kept.
    pub(crate) fn step(&mut self, depth: usize, step: Step<'a>) {
        if let Some(place) = self.path.get_mut(depth) {
            *place = step;
        }
    }

    /// Takes bytes of the arena, filled by `fill`, which returns how many it has used.
    pub(crate) fn take(&mut self, fill: &mut dyn FnMut(&mut [u8]) -> Option<usize>) -> Option<&'a str> {
        let arena = mem::take(&mut self.arena);
        let used = fill(arena)?;
        let (text, rest) = arena.split_at_mut_checked(used)?;
        self.arena = rest;
        core::str::from_utf8(text).ok()
    }

    /// The string that the document spells `raw`.
    pub(crate) fn decode(&mut self, raw: &'a str) -> Option<&'a str> {
        if raw.contains('\\') {
            self.take(&mut |arena| decode(raw.as_bytes(), arena))
        } else {
            Some(raw)
        }
    }
}

/// Cannot happen with an arena that is twice as long as the document.
pub(crate) const ARENA_FULL: &str = "no room left for strings (TEXT_BYTES_MAX)";

/// Resolves the escapes of a string that has passed the grammar, where they are known to be complete.
fn decode(raw: &[u8], out: &mut [u8]) -> Option<usize> {
    let (mut from, mut to) = (0, 0);
    while let Some(&byte) = raw.get(from) {
        let mut plain = byte;
        from += 1;
        if byte == b'\\' {
            plain = match *raw.get(from)? {
                b'b' => 8,
                b'f' => 12,
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'u' => {
                    let mut code = code_unit(raw, from + 1)?;
                    from += 5;
                    if code >> 10 == 0xd800 >> 10 {
                        code = 0x10000 + ((code & 0x3ff) << 10 | code_unit(raw, from + 2)? & 0x3ff);
                        from += 6;
                    }
                    let encoded = char::from_u32(code)?.encode_utf8(out.get_mut(to..to + 4)?).len();
                    to += encoded;
                    continue;
                }
                other => other,
            };
            from += 1;
        }
        *out.get_mut(to)? = plain;
        to += 1;
    }
    Some(to)
}

fn code_unit(raw: &[u8], at: usize) -> Option<u32> {
    raw.get(at..at + 4)?
        .iter()
        .try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}

/// Where a [`Value`] comes from: [`Slot`], with its type forgotten.
pub(crate) trait Source<'a> {
    fn scalar(&mut self, kind: Type) -> Option<Taken<'a>>;
    fn object(&mut self, members: Below<'_, 'a>) -> bool;
    fn array(&mut self, elements: Below<'_, 'a>) -> bool;
}

/// The types of scalars that can be asked for.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    String,
    Boolean,
    Unsigned,
    Signed,
}

/// serde's access to one value, until it is used.
struct Slot<D>(Option<D>);

impl<'a, D: Deserializer<'a>> Source<'a> for Slot<D> {
    fn scalar(&mut self, kind: Type) -> Option<Taken<'a>> {
        let deserializer = self.0.take()?;
        let taken = match kind {
            Type::String => deserializer.deserialize_str(Scalar),
            Type::Boolean => deserializer.deserialize_bool(Scalar),
            Type::Unsigned => deserializer.deserialize_u64(Scalar),
            Type::Signed => deserializer.deserialize_i64(Scalar),
        };
        taken.ok()
    }

    fn object(&mut self, members: Below<'_, 'a>) -> bool {
        self.0
            .take()
            .is_some_and(|deserializer| deserializer.deserialize_map(members).is_ok())
    }

    fn array(&mut self, elements: Below<'_, 'a>) -> bool {
        self.0
            .take()
            .is_some_and(|deserializer| deserializer.deserialize_seq(elements).is_ok())
    }
}

/// serde asks visitors to say what they expect for error messages that we never show.
macro_rules! expecting_nothing {
    () => {
        fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }
    };
}

/// Hands one value to the reading code.
struct Seed<'s, 'a> {
    children: &'s mut dyn Children<'a>,
    number: usize,
    name: &'a str,
    context: &'s mut Context<'a>,
    depth: usize,
    null_is_absent: bool,
}

impl<'a> Seed<'_, 'a> {
    fn run<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let mut slot = Slot(Some(deserializer));
        let mut value = Value {
            source: &mut slot,
            context: self.context,
            depth: self.depth,
        };
        if self.children.child(self.number, self.name, &mut value).is_err() {
            return Err(D::Error::custom(""));
        }
        match slot.0 {
            Some(unread) => unread.deserialize_ignored_any(Scalar).map(|_| ()),
            None => Ok(()),
        }
    }
}

impl<'a> DeserializeSeed<'a> for Seed<'_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.null_is_absent {
            return deserializer.deserialize_option(self);
        }
        // Until an element is known to be there, the path leads to the one before.
        self.context.step(self.depth.wrapping_sub(1), Step::Index(self.number));
        self.run(deserializer)
    }
}

impl<'a> Visitor<'a> for Seed<'_, 'a> {
    type Value = ();
    expecting_nothing!();

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        self.run(deserializer)
    }
}

/// Nothing but a number can be followed by something that the reader of numbers has left: a fraction or an exponent.
const EXPECTED_INTEGER: Cause = Cause::Rule("expected an integer, not ");

/// The visitor of an object and of an array.
pub(crate) struct Below<'s, 'a> {
    pub(crate) children: &'s mut dyn Children<'a>,
    pub(crate) names: Words,
    pub(crate) context: &'s mut Context<'a>,
    pub(crate) depth: usize,
}

impl<'a> Visitor<'a> for Below<'_, 'a> {
    type Value = ();
    expecting_nothing!();

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Self {
            children,
            names,
            context,
            depth,
        } = self;
        loop {
            let raw = match map.next_key_seed(Name) {
                Ok(Some(name)) => name.string,
                Ok(None) => return Ok(()),
                Err(error) => {
                    context.refuse(depth + 1, EXPECTED_INTEGER);
                    return Err(error);
                }
            };
            context.step(depth, Step::Member(raw));
            let Some(name) = context.decode(raw) else {
                context.refuse(depth + 1, Cause::Rule(ARENA_FULL));
                return Err(A::Error::custom(""));
            };
            let number = names.position(name).map_or(0, |position| position + 1);
            let seed = Seed {
                children,
                number,
                name,
                context,
                depth: depth + 1,
                null_is_absent: true,
            };
            map.next_value_seed(seed)?;
        }
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self {
            children,
            context,
            depth,
            ..
        } = self;
        for number in 0.. {
            let seed = Seed {
                children,
                number,
                name: "",
                context,
                depth: depth + 1,
                null_is_absent: false,
            };
            match seq.next_element_seed(seed) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) => {
                    context.refuse(depth + 1, EXPECTED_INTEGER);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Takes a scalar, or passes over any value: serde's own visitor for that would be a second copy of everything.
struct Scalar;

/// What [`Scalar`] has taken, in the member that fits.
pub(crate) struct Taken<'a> {
    pub(crate) string: &'a str,
    pub(crate) number: u64,
}

impl<'a> Visitor<'a> for Scalar {
    type Value = Taken<'a>;
    expecting_nothing!();

    fn visit_borrowed_str<E: SerdeError>(self, string: &'a str) -> Result<Taken<'a>, E> {
        Ok(Taken { string, number: 0 })
    }

    fn visit_bool<E: SerdeError>(self, value: bool) -> Result<Taken<'a>, E> {
        self.visit_u64(value.into())
    }

    fn visit_u64<E: SerdeError>(self, number: u64) -> Result<Taken<'a>, E> {
        Ok(Taken { string: "", number })
    }

    fn visit_i64<E: SerdeError>(self, number: i64) -> Result<Taken<'a>, E> {
        self.visit_u64(number as u64)
    }

    fn visit_unit<E: SerdeError>(self) -> Result<Taken<'a>, E> {
        self.visit_u64(0)
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Taken<'a>, A::Error> {
        while seq.next_element_seed(Skip)?.is_some() {}
        self.visit_u64(0)
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Taken<'a>, A::Error> {
        while map.next_key_seed(Name)?.is_some() {
            map.next_value_seed(Skip)?;
        }
        self.visit_u64(0)
    }
}

/// Takes the name of a member as it is spelt.
struct Name;

impl<'a> DeserializeSeed<'a> for Name {
    type Value = Taken<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Taken<'a>, D::Error> {
        deserializer.deserialize_str(Scalar)
    }
}

/// Passes over a value.
struct Skip;

impl<'a> DeserializeSeed<'a> for Skip {
    type Value = Taken<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Taken<'a>, D::Error> {
        deserializer.deserialize_ignored_any(Scalar)
    }
}
