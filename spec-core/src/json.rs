//! Walks a document with the tables of [`crate::schema`].
//!
//! The [`crate::grammar`] has passed every byte before, so that the walk only looks at what a value begins with.
//! serde-json-core reads numbers and booleans. It could walk the document, too, but its visitors cannot carry our errors,
//! and its reader of strings brings code for escapes, and for indices that are wrong, as large as all of this.

use core::mem;

use serde::Deserialize;
use serde_json_core::de::Deserializer;
use static_assertions::const_assert;

use crate::error::{Cause, Error, Step};
use crate::escapes::decode;
use crate::grammar;
use crate::limits::{CONFIG_BYTES_MAX, MOUNT_OPTIONS_MAX, TEXT_BYTES_MAX};
use crate::linux::Pair;
use crate::message::{Message, text};
use crate::mounts::{MOUNT_OPTIONS, option_effect};
use crate::process::{UNKNOWN_CAPABILITY, capability_number};
use crate::resources::{RDMA_DEVICE, device_access};
use crate::schema::{Given, Kind, Object, Range, Rule, Target};
use crate::text::{Text, has};

/// The reader knows what is wrong.
struct Refused;

/// What reading gives.
type Read<T> = Result<T, Refused>;

// The text of the error has the number in it.
const_assert!(CONFIG_BYTES_MAX == 262_144);
const_assert!(TEXT_BYTES_MAX >= 2 * CONFIG_BYTES_MAX);

/// Reads one document, which is an object of the kind `object`. The arena takes the strings; twice the document's length
/// always suffices.
pub(crate) fn read_document<'a>(
    json: &'a [u8],
    arena: &'a mut [u8],
    object: Object,
    target: &mut dyn Target<'a>,
) -> Result<(), Error<'a>> {
    if json.len() > CONFIG_BYTES_MAX {
        return Err(Error::syntax(
            json,
            (text!("more than 262144 bytes (CONFIG_BYTES_MAX)"), CONFIG_BYTES_MAX),
        ));
    }
    let text = grammar::check(json).map_err(|misspelt| Error::syntax(json, misspelt))?;
    let mut reader = Reader {
        target,
        json,
        text,
        at: grammar::skip_space(json, 0),
        arena,
        path: [0; STEPS_MAX],
        mistake: None,
        name: "",
        start: 0,
        pair: Pair {
            key: Text::EMPTY,
            value: Text::EMPTY,
        },
        given: Given {
            text: Text::EMPTY,
            optional_text: None,
            number: 0,
        },
        bits: 0,
        joined: 0,
    };
    let place = Place {
        object,
        member: 0,
        kind: Kind::Object(object),
        depth: 0,
    };
    if reader.read(place).is_ok() {
        return Ok(());
    }
    // Every failure has been noted; the text is for the case that this is not so.
    let unknown = Mistake {
        depth: 0,
        member: None,
        cause: Cause::Rule(text!("cannot be read")),
    };
    let Mistake { depth, member, cause } = reader.mistake.unwrap_or(unknown);
    let path = reader.path.iter().take(depth.into());
    let steps = path.map(|child| Step::Index(*child));
    let steps = steps.chain(member.map(Step::Member));
    Err(steps.fold(Error::new(json, cause), Error::below))
}

/// How deep a path of fields can be. `linux.seccomp.syscalls[1].args[2].op` has seven steps.
const STEPS_MAX: usize = 8;

/// What a value is, and where it stands.
#[derive(Clone, Copy)]
struct Place {
    /// The object that it goes into, and the number of the member.
    object: Object,
    member: u8,
    kind: Kind,
    /// How many steps it is from the top.
    depth: u8,
}

/// What is wrong with a document.
struct Mistake {
    /// How many steps from the top.
    depth: u8,
    /// The member at fault, if it is not the value there.
    member: Option<&'static str>,
    cause: Cause,
}

struct Reader<'r, 'a> {
    target: &'r mut dyn Target<'a>,
    /// The document, the same as text, and how far it has been read.
    json: &'a [u8],
    text: &'a str,
    at: usize,
    /// The part of the arena that is free.
    arena: &'a mut [u8],
    /// The way to the value that was read last. What lies behind the depth of a value belongs to its last child.
    /// Of each step, it has the number of the child.
    path: [usize; STEPS_MAX],
    /// The first mistake.
    mistake: Option<Mistake>,
    /// The name of the member that is read.
    name: &'a str,
    /// Where the members of the object that is read started, if they can have any name.
    start: usize,
    /// One of them.
    pair: Pair<'a>,
    /// What was read last.
    given: Given<'a>,
    /// What the list of words that is read has come to so far, or how many mount options there were.
    bits: u64,
    /// How many bytes of the free part of the arena are mount options for the file system.
    joined: usize,
}

impl<'a> Reader<'_, 'a> {
    /// Notes a mistake. Only the first counts.
    #[cold]
    #[inline(never)]
    fn refuse_for(&mut self, depth: u8, member: Option<&'static str>, cause: Cause) -> Refused {
        self.mistake.get_or_insert(Mistake { depth, member, cause });
        Refused
    }

    /// Notes what is wrong with the value that is `depth` steps from the top. A text that ends in a space is followed by
    /// the value.
    #[cold]
    #[inline(never)]
    fn refuse(&mut self, depth: u8, rule: Message) -> Refused {
        self.refuse_for(depth, None, Cause::Rule(rule))
    }

    /// Notes that there can be no such element of the list above.
    #[cold]
    #[inline(never)]
    fn refuse_one_more(&mut self, depth: u8, element: Object) -> Refused {
        self.refuse_for(depth.saturating_sub(1), None, element.too_many())
    }

    /// Notes the way to the value that is read next. Steps that are deeper than any field of ours are not kept.
    fn step(&mut self, depth: u8, child: usize) {
        if let Some(place) = self.path.get_mut(usize::from(depth)) {
            *place = child;
        }
    }

    /// Takes bytes of the arena, filled by `fill`, which returns how many it has used.
    fn take(&mut self, depth: u8, fill: &mut dyn FnMut(&mut [u8]) -> Option<usize>) -> Read<&'a str> {
        let arena = mem::take(&mut self.arena);
        if let Some(used) = fill(arena)
            && let Some((text, rest)) = arena.split_at_mut_checked(used)
            && let Ok(text) = core::str::from_utf8(text)
        {
            self.arena = rest;
            return Ok(text);
        }
        Err(self.refuse(depth, ARENA_FULL))
    }

    /// The string that the document spells `raw`.
    fn decode(&mut self, depth: u8, raw: &'a str) -> Read<&'a str> {
        if has(raw, b'\\') {
            self.take(depth, &mut |arena| decode(raw.as_bytes(), arena))
        } else {
            Ok(raw)
        }
    }

    /// Copies a string into the arena.
    fn keep(&mut self, depth: u8, text: &str) -> Read<Text<'a>> {
        // What has no room is refused below.
        for (to, from) in self.arena.iter_mut().zip(text.bytes()) {
            *to = from;
        }
        self.take_text(depth, text.len())
    }

    /// Takes a text of that length that has been copied into the arena, with a NUL in place of the byte behind it.
    fn take_text(&mut self, depth: u8, length: usize) -> Read<Text<'a>> {
        let with_nul = self.take(depth, &mut |arena| {
            *arena.get_mut(length)? = 0;
            Some(length + 1)
        })?;
        Ok(Text::from_checked(with_nul))
    }

    /// Copies the name of the member that is read, unless it breaks a rule.
    fn keep_name(&mut self, depth: u8, rule: Rule) -> Read<Text<'a>> {
        if let Some(broken) = rule.broken_by(self.name) {
            return Err(self.refuse(depth, broken));
        }
        self.keep(depth, self.name)
    }

    /// Reads a value.
    #[inline(never)]
    fn read(&mut self, place: Place) -> Read<()> {
        let depth = place.depth;
        match place.kind {
            Kind::Ignored => {
                self.pass();
                return Ok(());
            }
            Kind::UnknownClock => return Err(self.refuse(depth, text!("no clock that can have an offset"))),
            Kind::NoFlag => return Err(self.refuse(depth, text!("no flag is supported: "))),
            Kind::Object(_) => return self.read_members(place),
            Kind::Entry(Object::NetDevice) => {
                let key = self.keep_name(depth, Rule::Interface)?;
                self.pair = Pair { key, value: key };
                self.read_members(place)?;
                return self.store_pair(depth);
            }
            Kind::Entry(object) => {
                let name = self.keep_name(depth, Rule::Any)?;
                let opened = self.target.open(object, Text::EMPTY);
                self.given.text = name;
                self.target.store(object, RDMA_DEVICE, &self.given);
                self.read_members(place)?;
                return self.kept(depth, opened);
            }
            Kind::Pair(rule) => {
                self.pair.key = self.keep_name(depth, rule)?;
                self.read_text(depth, Rule::Any)?;
                self.pair.value = self.given.text;
                return self.store_pair(depth);
            }
            Kind::Pairs(_) | Kind::Map(_) => {
                let object = if let Kind::Map(Object::RdmaLimit) = place.kind {
                    Object::RdmaLimit
                } else {
                    Object::Pair
                };
                self.target.clear(object);
                self.start = self.target.start(object);
                self.read_members(place)?;
                self.given.number = range(self.start, self.target.start(object));
            }
            Kind::List(object) => self.read_list(place, object, Kind::Object(object))?,
            Kind::Texts(rule) => self.read_list(place, Object::Text, Kind::Text(rule))?,
            Kind::Ids => self.read_list(place, Object::Id, Kind::Integer(Range::Unsigned32))?,
            Kind::Words(vocabulary) => self.read_bits(place, Kind::Bit(vocabulary))?,
            Kind::Capabilities => self.read_bits(place, Kind::Capability)?,
            Kind::NoFlags => self.read_bits(place, Kind::NoFlag)?,
            Kind::Options => {
                if let Some(plan) = self.target.plan() {
                    *plan = Default::default();
                }
                self.joined = 0;
                self.read_bits(place, Kind::Option)?;
                let Some(last) = self.joined.checked_sub(1) else {
                    return Ok(());
                };
                self.given.optional_text = Some(self.take_text(depth, last)?);
            }
            Kind::Boolean => {
                let value = self.scalar::<bool>();
                self.given.number = value
                    .ok_or_else(|| self.refuse(depth, text!("expected true or false, not ")))?
                    .into();
            }
            Kind::Integer(range) => self.read_integer(depth, range)?,
            Kind::Text(rule) => self.read_text(depth, rule)?,
            Kind::Option => return self.read_option(depth),
            _ => {
                let word = self.read_word(depth)?;
                self.given.number = match place.kind {
                    Kind::OptionalWord(_) if word.is_empty() => u64::MAX,
                    Kind::OptionalWord(vocabulary) | Kind::Word(vocabulary) | Kind::Bit(vocabulary) => {
                        let (words, unknown) = vocabulary.words();
                        match words.position(word) {
                            Some(position) => position as u64,
                            None => return Err(self.refuse(depth, unknown)),
                        }
                    }
                    Kind::Access => match device_access(word) {
                        Ok(access) => access,
                        Err(rule) => return Err(self.refuse(depth, rule)),
                    },
                    Kind::Capability => match capability_number(word) {
                        Some(number) => number.into(),
                        None => {
                            self.given.text = self.keep(depth, word)?;
                            self.target.store(place.object, UNKNOWN_CAPABILITY, &self.given);
                            return Ok(());
                        }
                    },
                    // The other kinds have been seen above.
                    _ => return Ok(()),
                };
                if let Kind::Bit(_) | Kind::Capability = place.kind {
                    self.bits |= 1 << self.given.number;
                    return Ok(());
                }
            }
        }
        if let Object::Text | Object::Id = place.object {
            let opened = self.target.open(place.object, Text::EMPTY);
            self.kept(depth, opened)?;
        }
        if place.object == Object::NetDevice {
            self.pair.value = self.given.optional_text.unwrap_or(self.pair.value);
        } else {
            self.target.store(place.object, place.member.into(), &self.given);
        }
        Ok(())
    }

    /// Takes a mount option: decodes it where the options for the file system are joined, and leaves it there if it is one.
    fn read_option(&mut self, depth: u8) -> Read<()> {
        let raw = self.read_raw(depth)?.as_bytes();
        self.bits += 1;
        if self.bits > MOUNT_OPTIONS_MAX as u64 {
            return Err(self.refuse_one_more(depth, Object::Option));
        }
        // Nobody else takes from the arena until the list has been read.
        let free = self.arena.get_mut(self.joined..).unwrap_or_default();
        let Some((word, [comma, ..])) = decode(raw, free).and_then(|length| free.split_at_mut_checked(length)) else {
            return Err(self.refuse(depth, ARENA_FULL));
        };
        let place = core::str::from_utf8(word)
            .ok()
            .and_then(|word| MOUNT_OPTIONS.position(word));
        match place.and_then(option_effect) {
            Some(effect) if self.target.plan().is_none_or(|plan| plan.add(effect)) => {}
            Some(_) => return Err(self.refuse(depth, text!("one propagation too many"))),
            None if word.is_empty() => {}
            None => {
                *comma = b',';
                self.joined += word.len() + 1;
            }
        }
        Ok(())
    }

    /// Whether there was room for an element or a member. What is wrong with itself is told before.
    fn kept(&mut self, depth: u8, result: Result<(), Object>) -> Read<()> {
        match result {
            Ok(()) => Ok(()),
            Err(full) => Err(self.refuse_one_more(depth, full)),
        }
    }

    fn store_pair(&mut self, depth: u8) -> Read<()> {
        let stored = self.target.store_pair(self.start, self.pair);
        self.kept(depth, stored)
    }

    /// Enters an object or a list, if that is what comes next.
    #[inline(never)]
    fn enter(&mut self, depth: u8, opening: u8, expected: Message) -> Read<()> {
        if self.peek() != opening {
            return Err(self.refuse(depth, expected));
        }
        self.skip();
        Ok(())
    }

    /// Goes to child `number` of what has been entered, or passes over its end.
    #[inline(never)]
    fn next_child(&mut self, depth: u8, number: usize) -> bool {
        if self.peek() == b',' {
            self.skip();
        }
        if let b'}' | b']' = self.peek() {
            self.skip();
            return false;
        }
        self.step(depth, number);
        true
    }

    /// Reads a list of what `place` says.
    fn read_elements(&mut self, place: Place) -> Read<()> {
        self.enter(place.depth, b'[', text!("expected an array, not "))?;
        let mut number = 0;
        while self.next_child(place.depth, number) {
            self.read(Place {
                depth: place.depth + 1,
                ..place
            })?;
            number += 1;
        }
        Ok(())
    }

    fn read_members(&mut self, place: Place) -> Read<()> {
        let Place { kind, depth, .. } = place;
        self.enter(depth, b'{', text!("expected an object, not "))?;
        let mut opened = Ok(());
        let object = match kind {
            Kind::Object(object) => {
                opened = self.target.open(object, Text::EMPTY);
                object
            }
            Kind::Entry(object) => object,
            _ => place.object,
        };
        let (mut seen, mut number) = (0, 0);
        while self.next_child(depth, number) {
            number += 1;
            let raw = self.pass_string();
            self.name = self.decode(depth + 1, raw)?;
            // The colon.
            self.skip();
            // A member that is null is passed over: Go's encoders write it for what is absent.
            if self.peek() == b'n' {
                self.pass();
                continue;
            }
            let (member, kind) = member(kind, object, self.name);
            self.read(Place {
                object,
                member,
                kind,
                depth: depth + 1,
            })?;
            // A member that is ignored has no number, and is none that is required.
            if !matches!(kind, Kind::Ignored) {
                seen |= 1 << member;
            }
        }
        let Kind::Object(_) = kind else {
            return Ok(());
        };
        let (member, rule) = if let Some(name) = object.missing(seen) {
            (name, text!("missing"))
        } else if let Err(wrong) = self.target.close(object) {
            wrong.member_and_rule()
        } else {
            return self.kept(depth, opened);
        };
        let member = Some(member).filter(|member| !member.is_empty());
        Err(self.refuse_for(depth, member, Cause::Rule(rule)))
    }

    /// Passes over a value.
    fn pass(&mut self) {
        self.go_to(grammar::skip_value(self.json, self.at));
    }

    /// Passes over a string, and returns it as it is spelt, without its quotes.
    #[inline(never)]
    fn pass_string(&mut self) -> &'a str {
        let start = self.at + 1;
        let end = grammar::skip_string(self.json, self.at);
        self.go_to(end);
        self.text.get(start..end - 1).unwrap_or_default()
    }

    /// The byte that comes next.
    fn peek(&self) -> u8 {
        self.json.get(self.at).copied().unwrap_or_default()
    }

    /// Goes to the first byte from `at` on that is no white space.
    #[inline(never)]
    fn go_to(&mut self, at: usize) {
        self.at = grammar::skip_space(self.json, at);
    }

    /// Passes over a byte.
    fn skip(&mut self) {
        self.go_to(self.at + 1);
    }

    /// Reads a list of `kind` into the pool of `object`.
    fn read_list(&mut self, place: Place, object: Object, kind: Kind) -> Read<()> {
        self.target.clear(object);
        let start = self.target.start(object);
        self.read_elements(Place { object, kind, ..place })?;
        self.given.number = range(start, self.target.start(object));
        Ok(())
    }

    /// Reads a list of words.
    fn read_bits(&mut self, place: Place, kind: Kind) -> Read<()> {
        self.bits = 0;
        self.read_elements(Place { kind, ..place })?;
        self.given.number = self.bits;
        Ok(())
    }

    /// Reads a string and copies it.
    fn read_text(&mut self, depth: u8, rule: Rule) -> Read<()> {
        let word = self.read_word(depth)?;
        let is_absent = word.is_empty() && rule.is_optional();
        if !is_absent && let Some(broken) = rule.broken_by(word) {
            return Err(self.refuse(depth, broken));
        }
        let text = self.keep(depth, word)?;
        self.given.text = text;
        self.given.optional_text = if is_absent { None } else { Some(text) };
        Ok(())
    }

    /// Reads a string, borrowed where it has no escapes.
    fn read_word(&mut self, depth: u8) -> Read<&'a str> {
        let raw = self.read_raw(depth)?;
        self.decode(depth, raw)
    }

    /// Reads a string as it is spelt.
    #[inline(never)]
    fn read_raw(&mut self, depth: u8) -> Read<&'a str> {
        if self.peek() != b'"' {
            return Err(self.refuse(depth, text!("expected a string, not ")));
        }
        Ok(self.pass_string())
    }

    fn read_integer(&mut self, depth: u8, range: Range) -> Read<()> {
        let start = self.at;
        let is_signed = range.is_signed();
        let is_negative = is_signed && self.peek() == b'-';
        self.at += usize::from(is_negative);
        let number = self.scalar::<u64>().and_then(|size| match is_negative {
            false if is_signed => i64::try_from(size).ok().map(|_| size),
            false => Some(size),
            true => 0_i64.checked_sub_unsigned(size).map(|number| number as u64),
        });
        let Some(number) = number else {
            return Err(self.refuse(
                depth,
                if is_signed {
                    text!("expected an integer of 64 bits, not ")
                } else {
                    text!("expected an integer from 0 of 64 bits, not ")
                },
            ));
        };
        if let Some(broken) = range.broken_by(number) {
            return Err(self.refuse(depth, broken));
        }
        let spelt = self.json.get(start..self.at).unwrap_or_default();
        // What has been read ends before a fraction and before an exponent.
        if spelt.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
            return Err(self.refuse(depth, text!("expected an integer, not ")));
        }
        self.given.number = number;
        Ok(())
    }

    /// Reads a number or a boolean. `None` is anything else, and leaves it unread.
    fn scalar<T: Deserialize<'a>>(&mut self) -> Option<T> {
        let end = grammar::skip_value(self.json, self.at);
        let spelt = self.json.get(self.at..end)?;
        let value = T::deserialize(&mut Deserializer::new(spelt, None)).ok()?;
        self.go_to(end);
        Some(value)
    }
}

/// What the member `name` of an object is, which is of that kind.
fn member(kind: Kind, object: Object, name: &str) -> (u8, Kind) {
    match kind {
        Kind::Pairs(rule) => (0, Kind::Pair(rule)),
        Kind::Map(entry) => (0, Kind::Entry(entry)),
        _ => object.member(name).unwrap_or(match object {
            // Ignoring a clock that was meant to be shifted would be no service.
            Object::TimeOffsets => (0, Kind::UnknownClock),
            _ => (0, Kind::Ignored),
        }),
    }
}

/// The elements from `start` to before `end` of a pool, as [`Given::list`] finds them. A `u16` counts those of every pool.
fn range(start: usize, end: usize) -> u64 {
    start as u64 | ((end - start) as u64) << 16
}

/// Cannot happen with an arena that is twice as long as the document.
const ARENA_FULL: Message = text!("no room left for strings (TEXT_BYTES_MAX)");
