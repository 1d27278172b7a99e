//! JSON through serde-json-core, with as little generic code as serde allows.
//!
//! Reading code sees [`Value`], a trait object: it asks for the type that it expects and gets it or has been refused. One
//! seed, one visitor for objects and one for arrays stand between it and serde, so each of serde's generic functions is
//! compiled once. serde's errors cannot carry ours; the [`Context`] keeps the first one, and [`Refused`] only says that
//! there is one.

use core::{fmt, mem};

use serde::de::{DeserializeSeed, Deserializer, Error as SerdeError, MapAccess, SeqAccess, Visitor};
use static_assertions::const_assert;

use crate::error::{Cause, Error, Step};
use crate::grammar;
use crate::limits::{CONFIG_BYTES_MAX, TEXT_BYTES_MAX};
use crate::text::Text;

/// The context knows what is wrong.
#[derive(Debug)]
pub(crate) struct Refused;

/// What reading gives.
pub(crate) type Read<T> = Result<T, Refused>;

/// Called for each member of an object that is not `null`: Go's encoders write `null` for what is absent. A value that
/// the function leaves alone is skipped.
pub(crate) type Member<'f, 'a> = dyn FnMut(&'a str, &mut dyn Value<'a>) -> Read<()> + 'f;

/// Called for each element of an array.
pub(crate) type Element<'f, 'a> = dyn FnMut(&mut dyn Value<'a>) -> Read<()> + 'f;

/// A JSON value at its place in the document. It can be read once.
pub(crate) trait Value<'a> {
    /// A string, borrowed where it has no escapes.
    fn word(&mut self) -> Read<&'a str>;
    /// `true` or `false`.
    fn boolean(&mut self) -> Read<bool>;
    /// An integer from 0.
    fn unsigned(&mut self) -> Read<u64>;
    /// An integer.
    fn signed(&mut self) -> Read<i64>;
    /// An object.
    fn object(&mut self, member: &mut Member<'_, 'a>) -> Read<()>;
    /// An array.
    fn array(&mut self, element: &mut Element<'_, 'a>) -> Read<()>;
    /// Copies strings into the arena, with commas between them.
    fn keep(&mut self, parts: &[&str]) -> Read<Text<'a>>;
    /// Notes what is wrong with this value, or with its member `name`.
    fn refuse_at(&mut self, name: Option<&'static str>, cause: Cause) -> Refused;
}

impl<'a> dyn Value<'a> + '_ {
    /// Notes what is wrong with this value.
    pub(crate) fn refuse(&mut self, cause: Cause) -> Refused {
        self.refuse_at(None, cause)
    }

    /// A member has to be there.
    pub(crate) fn require<T>(&mut self, name: &'static str, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| self.refuse_at(Some(name), Cause::Missing))
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
            Err(self.refuse(Cause::Rule("must not be empty")))
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
            Err(self.refuse(Cause::Value("must be absolute")))
        }
    }

    /// A path from `/`, where the empty string says as much as its absence.
    pub(crate) fn optional_absolute_path(&mut self) -> Read<Option<Text<'a>>> {
        match self.optional_text()? {
            Some(text) if !text.as_str().starts_with('/') => Err(self.refuse(Cause::Value("must be absolute"))),
            text => Ok(text),
        }
    }

    /// A string that stands in `words`; the number beside it.
    pub(crate) fn one_of(&mut self, what: &'static str, words: &[(&str, u32)]) -> Read<u32> {
        let word = self.word()?;
        match words.iter().find(|(known, _)| *known == word) {
            Some((_, number)) => Ok(*number),
            None => Err(self.refuse(Cause::Unknown(what))),
        }
    }

    /// An array of strings that stand in `words`; the numbers beside them, combined.
    pub(crate) fn any_of(&mut self, what: &'static str, words: &[(&str, u32)]) -> Read<u32> {
        let mut bits = 0;
        self.array(&mut |value| {
            bits |= value.one_of(what, words)?;
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

    /// [`Value::boolean`].
    pub(crate) fn boolean_into(&mut self, place: &mut bool) -> Read<()> {
        *place = self.boolean()?;
        Ok(())
    }

    /// [`Value::unsigned`].
    pub(crate) fn unsigned_into(&mut self, place: &mut Option<u64>) -> Read<()> {
        *place = Some(self.unsigned()?);
        Ok(())
    }

    /// [`Value::signed`].
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
        self.refuse(Cause::Value("out of range"))
    }
}

// The text of the error has the number in it.
const_assert!(CONFIG_BYTES_MAX == 262_144);
const_assert!(TEXT_BYTES_MAX >= 2 * CONFIG_BYTES_MAX);

/// Reads one document. The arena takes the strings; twice the document's length always suffices.
pub(crate) fn read_document<'a>(
    json: &'a [u8],
    arena: &'a mut [u8],
    read: &mut Element<'_, 'a>,
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
        read,
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
            // What is full is the list and not the element that found it so.
            let depth = if let Cause::Limit(..) = cause {
                depth.saturating_sub(1)
            } else {
                depth
            };
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
const ARENA_FULL: Cause = Cause::Rule("no room left for strings (TEXT_BYTES_MAX)");

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

/// Hands one value to the reading code.
struct Seed<'s, 'f, 'a> {
    read: &'s mut Element<'f, 'a>,
    context: &'s mut Context<'a>,
    depth: usize,
    null_is_absent: bool,
}

impl<'a> Seed<'_, '_, 'a> {
    fn run<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        let mut slot = Slot {
            deserializer: Some(deserializer),
            context: self.context,
            depth: self.depth,
        };
        if (self.read)(&mut slot).is_err() {
            return Err(D::Error::custom(""));
        }
        match slot.deserializer {
            Some(unread) => unread.deserialize_ignored_any(Scalar).map(|_| ()),
            None => Ok(()),
        }
    }
}

impl<'a> DeserializeSeed<'a> for Seed<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        if self.null_is_absent {
            deserializer.deserialize_option(self)
        } else {
            self.run(deserializer)
        }
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

impl<'a> Visitor<'a> for Seed<'_, '_, 'a> {
    type Value = ();
    expecting_nothing!();

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        self.run(deserializer)
    }
}

/// The only implementation of [`Value`].
struct Slot<'s, 'a, D> {
    /// `None` once the value has been read.
    deserializer: Option<D>,
    context: &'s mut Context<'a>,
    depth: usize,
}

impl<'a, D: Deserializer<'a>> Slot<'_, 'a, D> {
    fn read<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(D, &mut Context<'a>) -> Result<T, D::Error>,
    ) -> Read<T> {
        match self
            .deserializer
            .take()
            .map(|deserializer| read(deserializer, self.context))
        {
            Some(Ok(value)) => Ok(value),
            // A mistake further down has been noted before, and this changes nothing.
            _ => Err(self.context.refuse(self.depth, Cause::Expected(expected))),
        }
    }
}

impl<'a, D: Deserializer<'a>> Value<'a> for Slot<'_, 'a, D> {
    fn word(&mut self) -> Read<&'a str> {
        let raw = self.read("a string", |deserializer, _| deserializer.deserialize_str(Scalar))?;
        self.context
            .decode(raw.string)
            .ok_or_else(|| self.context.refuse(self.depth, ARENA_FULL))
    }

    fn boolean(&mut self) -> Read<bool> {
        let scalar = self.read("true or false", |deserializer, _| deserializer.deserialize_bool(Scalar))?;
        Ok(scalar.number != 0)
    }

    fn unsigned(&mut self) -> Read<u64> {
        Ok(self
            .read("an integer from 0 of 64 bits", |deserializer, _| {
                deserializer.deserialize_u64(Scalar)
            })?
            .number)
    }

    fn signed(&mut self) -> Read<i64> {
        let scalar = self.read("an integer of 64 bits", |deserializer, _| {
            deserializer.deserialize_i64(Scalar)
        })?;
        Ok(scalar.number as i64)
    }

    fn object(&mut self, member: &mut Member<'_, 'a>) -> Read<()> {
        let depth = self.depth;
        self.read("an object", |deserializer, context| {
            deserializer.deserialize_map(Members { member, context, depth })
        })
    }

    fn array(&mut self, element: &mut Element<'_, 'a>) -> Read<()> {
        let depth = self.depth;
        self.read("an array", |deserializer, context| {
            deserializer.deserialize_seq(Elements {
                element,
                context,
                depth,
            })
        })
    }

    fn keep(&mut self, parts: &[&str]) -> Read<Text<'a>> {
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
            _ => Err(self.context.refuse(self.depth, ARENA_FULL)),
        }
    }

    fn refuse_at(&mut self, name: Option<&'static str>, cause: Cause) -> Refused {
        let Some(name) = name else {
            return self.context.refuse(self.depth, cause);
        };
        if self.context.refused.is_none() {
            self.context.step(self.depth, Step::Member(name));
        }
        self.context.refuse(self.depth + 1, cause)
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

/// Nothing but a number can be followed by something that the reader of numbers has left: a fraction or an exponent.
const EXPECTED_INTEGER: Cause = Cause::Expected("an integer");

struct Members<'s, 'f, 'a> {
    member: &'s mut Member<'f, 'a>,
    context: &'s mut Context<'a>,
    depth: usize,
}

impl<'a> Visitor<'a> for Members<'_, '_, 'a> {
    type Value = ();
    expecting_nothing!();

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { member, context, depth } = self;
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
                context.refuse(depth + 1, ARENA_FULL);
                return Err(A::Error::custom(""));
            };
            let read = &mut |value: &mut dyn Value<'a>| member(name, value);
            map.next_value_seed(Seed {
                read,
                context,
                depth: depth + 1,
                null_is_absent: true,
            })?;
        }
    }
}

struct Elements<'s, 'f, 'a> {
    element: &'s mut Element<'f, 'a>,
    context: &'s mut Context<'a>,
    depth: usize,
}

impl<'a> Visitor<'a> for Elements<'_, '_, 'a> {
    type Value = ();
    expecting_nothing!();

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self {
            element,
            context,
            depth,
        } = self;
        for index in 0.. {
            // Until an element is known to follow, the path leads to the one before.
            let seed = Numbered {
                element,
                context,
                depth,
                index,
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

/// The seed of an array's element.
struct Numbered<'s, 'f, 'a> {
    element: &'s mut Element<'f, 'a>,
    context: &'s mut Context<'a>,
    depth: usize,
    index: usize,
}

impl<'a> DeserializeSeed<'a> for Numbered<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        self.context.step(self.depth, Step::Index(self.index));
        let seed = Seed {
            read: self.element,
            context: self.context,
            depth: self.depth + 1,
            null_is_absent: false,
        };
        seed.run(deserializer)
    }
}
