//! A value of the document, as the code that reads objects sees it.

use crate::error::{Cause, Step};
use crate::json::{ARENA_FULL, Below, Context, Read, Refused, Source, Taken, Type};
use crate::text::Text;
use crate::words::{NO_WORDS, Words};

/// A JSON value at its place in the document. It can be read once; one that is left alone is passed over.
pub(crate) struct Value<'v, 'a> {
    pub(crate) source: &'v mut dyn Source<'a>,
    pub(crate) context: &'v mut Context<'a>,
    pub(crate) depth: usize,
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
/// A reference that the actions fill may stand between: a closure takes each field that it names by itself, which costs
/// a pointer for each of them, unless it takes the whole.
///
/// The names become one string and the actions the arms of one jump: the specification has two hundred members, and a
/// `match` on strings compares with one after the other, at 30 bytes of code each.
macro_rules! members {
    ($value:ident, $($place:ident,)? { $($name:literal => $action:expr,)* $(_ => $other:expr,)? }) => {
        $value.object($crate::words::Words::new(concat!($($name, " "),*)), |number, _, $value| {
            $(let $place = &mut *$place;)?
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
