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
use crate::text::Text;
use crate::words::{NO_WORDS, Words};

/// The context knows what is wrong.
#[derive(Debug)]
pub(crate) struct Refused;

/// What reading gives.
pub(crate) type Read<T> = Result<T, Refused>;

/// A JSON value at its place in the document. It can be read once; one that is left alone is passed over.
pub(crate) struct Value<'v, 'a> {
    source: &'v mut dyn Source<'a>,
    context: &'v mut Context<'a>,
    depth: usize,
}

/// Called with each child of an object or an array.
///
/// For an object: the number of the member in the list of names, from 1, or 0 where it is not in it, and the name. A
/// member that is `null` is passed over: Go's encoders write it for what is absent. For an array: the index.
pub(crate) trait Children<'a> {
    fn child(&mut self, number: usize, name: &'a str, value: &mut Value<'_, 'a>) -> Read<()>;
}

impl<'a, F: FnMut(usize, &'a str, &mut Value<'_, 'a>) -> Read<()>> Children<'a> for F {
    fn child(&mut self, number: usize, name: &'a str, value: &mut Value<'_, 'a>) -> Read<()> {
        self(number, name, value)
    }
}

/// Reads an object: one action for each name of a member. Other members are ignored, unless `_` has an action.
///
/// The names become one string and the actions the arms of one jump: the specification has two hundred members, and a
/// `match` on strings compares with one after the other, at 30 bytes of code each.
macro_rules! members {
    ($value:ident, { $($name:literal => $action:expr,)* $(_ => $other:expr,)? }) => {
        $value.object($crate::words::Words::new(concat!($($name, " "),*)), |number, _, $value| {
            let mut known = 0;
            $(
                known += 1;
                if number == known {
                    $action;
                    return Ok(());
                }
            )*
            members!(@otherwise $($other)?)
        })
    };
    (@otherwise) => { Ok(()) };
    (@otherwise $other:expr) => { $other };
}
pub(crate) use members;

impl<'a> Value<'_, 'a> {
    /// A string, borrowed where it has no escapes.
    pub(crate) fn word(&mut self) -> Read<&'a str> {
        let raw = self.scalar(Type::String, "expected a string, not ")?.string;
        self.context.decode(raw).ok_or_else(|| self.refuse(ARENA_FULL))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&mut self) -> Read<bool> {
        Ok(self.scalar(Type::Boolean, "expected true or false, not ")?.number != 0)
    }

    /// An integer from 0.
    pub(crate) fn unsigned(&mut self) -> Read<u64> {
        Ok(self
            .scalar(Type::Unsigned, "expected an integer from 0 of 64 bits, not ")?
            .number)
    }

    /// An integer.
    pub(crate) fn signed(&mut self) -> Read<i64> {
        Ok(self
            .scalar(Type::Signed, "expected an integer of 64 bits, not ")?
            .number as i64)
    }

    fn scalar(&mut self, kind: Type, expected: &'static str) -> Read<Taken<'a>> {
        self.source.scalar(kind).ok_or_else(|| self.refuse(expected))
    }

    /// An object. See [`members`] for one with members that have meanings, and [`Children`].
    #[inline(always)]
    pub(crate) fn object(
        &mut self,
        names: Words,
        mut member: impl FnMut(usize, &'a str, &mut Value<'_, 'a>) -> Read<()>,
    ) -> Read<()> {
        self.object_dyn(names, &mut member)
    }

    fn object_dyn(&mut self, names: Words, children: &mut dyn Children<'a>) -> Read<()> {
        match self.source.object(Below {
            children,
            names,
            context: self.context,
            depth: self.depth,
        }) {
            true => Ok(()),
            // A mistake further down has been noted before, and this changes nothing.
            false => Err(self.refuse("expected an object, not ")),
        }
    }

    /// An array. See [`Children`].
    #[inline(always)]
    pub(crate) fn array(
        &mut self,
        mut element: impl FnMut(usize, &'a str, &mut Value<'_, 'a>) -> Read<()>,
    ) -> Read<()> {
        self.array_dyn(&mut element)
    }

    fn array_dyn(&mut self, children: &mut dyn Children<'a>) -> Read<()> {
        match self.source.array(Below {
            children,
            names: NO_WORDS,
            context: self.context,
            depth: self.depth,
        }) {
            true => Ok(()),
            false => Err(self.refuse("expected an array, not ")),
        }
    }

    /// Copies strings into the arena, with commas between them.
    pub(crate) fn keep(&mut self, parts: &[&str]) -> Read<Text<'a>> {
        let with_nul = self.context.take(&mut |arena| {
            let mut used = 0;
            for part in parts {
                // The comma takes the place of the NUL behind the part before.
                if used > 0 {
                    *arena.get_mut(used - 1)? = b',';
                }
                let end = used + part.len();
                arena.get_mut(used..end)?.copy_from_slice(part.as_bytes());
                *arena.get_mut(end)? = 0;
                used = end + 1;
            }
            Some(used)
        });
        match with_nul.map(Text::from_str_with_nul) {
            Some(Some(text)) => Ok(text),
            _ => Err(self.refuse(ARENA_FULL)),
        }
    }

    /// Notes what is wrong with this value. A text that ends in a space is followed by the value.
    pub(crate) fn refuse(&mut self, rule: &'static str) -> Refused {
        self.context.refuse(self.depth, Cause::Rule(rule))
    }

    /// Notes that the list of which this value is an element or a member cannot have so many.
    pub(crate) fn refuse_as_too_many(&mut self, name: &'static str, max: usize) -> Refused {
        self.context
            .refuse(self.depth.saturating_sub(1), Cause::Limit(name, max))
    }

    /// Notes what is wrong with the member `name` of this value.
    pub(crate) fn refuse_member(&mut self, name: &'static str, rule: &'static str) -> Refused {
        if self.context.refused.is_none() {
            self.context.step(self.depth, Step::Member(name));
        }
        self.context.refuse(self.depth + 1, Cause::Rule(rule))
    }

    /// A member has to be there.
    pub(crate) fn require<T>(&mut self, name: &'static str, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| self.refuse_member(name, "missing"))
    }

    /// A string.
    pub(crate) fn text(&mut self) -> Read<Text<'a>> {
        let word = self.word()?;
        self.keep(&[word])
    }

    /// A string that says as much as its absence when it is empty.
    pub(crate) fn optional_text(&mut self) -> Read<Option<Text<'a>>> {
        let text = self.text()?;
        Ok(if text.is_empty() { None } else { Some(text) })
    }

    /// A string with a character at least.
    pub(crate) fn some_text(&mut self) -> Read<Text<'a>> {
        let text = self.text()?;
        if text.is_empty() {
            Err(self.refuse("must not be empty"))
        } else {
            Ok(text)
        }
    }

    /// A path from `/`.
    pub(crate) fn absolute_path(&mut self) -> Read<Text<'a>> {
        let text = self.text()?;
        if text.as_str().starts_with('/') {
            Ok(text)
        } else {
            Err(self.refuse("must be absolute: "))
        }
    }

    /// A path from `/`, where the empty string says as much as its absence.
    pub(crate) fn optional_absolute_path(&mut self) -> Read<Option<Text<'a>>> {
        match self.optional_text()? {
            Some(text) if !text.as_str().starts_with('/') => Err(self.refuse("must be absolute: ")),
            text => Ok(text),
        }
    }

    /// One of `words`: its place among them. `unknown` ends in a space.
    pub(crate) fn one_of(&mut self, words: Words, unknown: &'static str) -> Read<usize> {
        let word = self.word()?;
        words.position(word).ok_or_else(|| self.refuse(unknown))
    }

    /// An array of `words`: one bit for the place of each. `unknown` ends in a space.
    pub(crate) fn any_of(&mut self, words: Words, unknown: &'static str) -> Read<u32> {
        let mut bits = 0;
        self.array(|_, _, value| {
            bits |= 1 << value.one_of(words, unknown)?;
            Ok(())
        })?;
        Ok(bits)
    }

    /// An integer from `min` to `max`.
    pub(crate) fn between(&mut self, min: i64, max: i64) -> Read<i64> {
        let number = self.signed()?;
        if number < min || number > max {
            Err(self.out_of_range())
        } else {
            Ok(number)
        }
    }

    /// An integer of 32 bits from 0.
    pub(crate) fn unsigned_32(&mut self) -> Read<u32> {
        let number = self.unsigned()?;
        u32::try_from(number).map_err(|_| self.out_of_range())
    }

    /// An integer of 16 bits from 0.
    pub(crate) fn unsigned_16(&mut self) -> Read<u16> {
        let number = self.unsigned()?;
        u16::try_from(number).map_err(|_| self.out_of_range())
    }

    /// [`Self::optional_text`].
    pub(crate) fn text_into(&mut self, place: &mut Option<Text<'a>>) -> Read<()> {
        *place = self.optional_text()?;
        Ok(())
    }

    /// [`Self::boolean`].
    pub(crate) fn boolean_into(&mut self, place: &mut bool) -> Read<()> {
        *place = self.boolean()?;
        Ok(())
    }

    /// [`Self::unsigned`].
    pub(crate) fn unsigned_into(&mut self, place: &mut Option<u64>) -> Read<()> {
        *place = Some(self.unsigned()?);
        Ok(())
    }

    /// [`Self::signed`].
    pub(crate) fn signed_into(&mut self, place: &mut Option<i64>) -> Read<()> {
        *place = Some(self.signed()?);
        Ok(())
    }

    /// [`Self::unsigned_32`].
    pub(crate) fn unsigned_32_into(&mut self, place: &mut Option<u32>) -> Read<()> {
        *place = Some(self.unsigned_32()?);
        Ok(())
    }

    /// [`Self::unsigned_16`].
    pub(crate) fn unsigned_16_into(&mut self, place: &mut Option<u16>) -> Read<()> {
        *place = Some(self.unsigned_16()?);
        Ok(())
    }

    /// Notes that the number is none of those that make sense here.
    pub(crate) fn out_of_range(&mut self) -> Refused {
        self.refuse("out of range: ")
    }
}

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
struct Context<'a> {
    /// The part of the arena that is free.
    arena: &'a mut [u8],
    /// The way to the value that was read last. What lies behind the depth of a value belongs to its last child.
    path: [Step<'a>; STEPS_MAX],
    /// The first mistake, and how many steps from the top it is.
    refused: Option<(Cause, usize)>,
}

impl<'a> Context<'a> {
    /// Notes a mistake of the value that is `depth` steps from the top. Only the first counts.
    fn refuse(&mut self, depth: usize, cause: Cause) -> Refused {
        if self.refused.is_none() {
            self.refused = Some((cause, depth));
        }
        Refused
    }

    /// Notes the way to the value that is read next. Steps that are deeper than any field of ours are not kept.
    fn step(&mut self, depth: usize, step: Step<'a>) {
        if let Some(place) = self.path.get_mut(depth) {
            *place = step;
        }
    }

    /// Takes bytes of the arena, filled by `fill`, which returns how many it has used.
    fn take(&mut self, fill: &mut dyn FnMut(&mut [u8]) -> Option<usize>) -> Option<&'a str> {
        let arena = mem::take(&mut self.arena);
        let used = fill(arena)?;
        let (text, rest) = arena.split_at_mut_checked(used)?;
        self.arena = rest;
        core::str::from_utf8(text).ok()
    }

    /// The string that the document spells `raw`.
    fn decode(&mut self, raw: &'a str) -> Option<&'a str> {
        if raw.contains('\\') {
            self.take(&mut |arena| decode(raw.as_bytes(), arena))
        } else {
            Some(raw)
        }
    }
}

/// Cannot happen with an arena that is twice as long as the document.
const ARENA_FULL: &str = "no room left for strings (TEXT_BYTES_MAX)";

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
trait Source<'a> {
    fn scalar(&mut self, kind: Type) -> Option<Taken<'a>>;
    fn object(&mut self, members: Below<'_, 'a>) -> bool;
    fn array(&mut self, elements: Below<'_, 'a>) -> bool;
}

/// The types of scalars that can be asked for.
#[derive(Clone, Copy)]
enum Type {
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
struct Below<'s, 'a> {
    children: &'s mut dyn Children<'a>,
    names: Words,
    context: &'s mut Context<'a>,
    depth: usize,
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
struct Taken<'a> {
    string: &'a str,
    number: u64,
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
