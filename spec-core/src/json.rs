//! JSON through serde-json-core, with as little generic code as serde allows.
//!
//! One [`Reader`] walks the document with the tables of [`crate::schema`]. One seed and one visitor stand between it and serde, so
//! each of serde's generic functions is compiled once. serde's errors
//! cannot carry ours; the reader keeps the first one, and [`Refused`] only says that there is one.

use core::{fmt, mem};

use serde::de::{DeserializeSeed, Deserializer, Error as SerdeError, MapAccess, SeqAccess, Visitor};
use static_assertions::const_assert;

use crate::error::{Cause, Error, Step};
use crate::grammar;
use crate::limits::{CONFIG_BYTES_MAX, MOUNT_OPTIONS_MAX, TEXT_BYTES_MAX};
use crate::linux::Pair;
use crate::mounts::{MOUNT_OPTIONS, option_effect};
use crate::process::{UNKNOWN_CAPABILITY, capability_number};
use crate::resources::{RDMA_DEVICE, device_access};
use crate::schema::{Given, Kind, Object, Range, Rule, Target};
use crate::text::Text;

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
            ("more than 262144 bytes (CONFIG_BYTES_MAX)", CONFIG_BYTES_MAX),
        ));
    }
    grammar::check(json).map_err(|misspelt| Error::syntax(json, misspelt))?;
    let mut reader = Reader {
        target,
        arena,
        path: [0; STEPS_MAX],
        mistake: None,
        name: "",
        start: 0,
        pair: Pair {
            key: Text::EMPTY,
            value: Text::EMPTY,
        },
        raw: "",
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
    let mut deserializer = serde_json_core::de::Deserializer::new(json, None);
    if reader.read(place, &mut deserializer).is_ok() {
        return Ok(());
    }
    // Every failure has been noted; the text is for the case that this is not so.
    let unknown = Mistake {
        depth: 0,
        member: None,
        cause: Cause::Rule("cannot be read"),
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
    /// The string that was read last, as it is spelt.
    raw: &'a str,
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
    fn refuse(&mut self, depth: u8, rule: &'static str) -> Refused {
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
        if raw.as_bytes().contains(&b'\\') {
            self.take(depth, &mut |arena| decode(raw.as_bytes(), arena))
        } else {
            Ok(raw)
        }
    }

    /// Copies a string into the arena.
    fn keep(&mut self, depth: u8, text: &str) -> Read<Text<'a>> {
        let (length, free) = (text.len(), &mut *self.arena);
        if let Some((copy, _)) = free.split_at_mut_checked(length) {
            copy.copy_from_slice(text.as_bytes());
        }
        self.take_text(depth, length)
    }

    /// Takes a text of that length that has been copied into the arena, with a NUL in place of the byte behind it.
    fn take_text(&mut self, depth: u8, length: usize) -> Read<Text<'a>> {
        let with_nul = self.take(depth, &mut |arena| {
            *arena.get_mut(length)? = 0;
            Some(length + 1)
        })?;
        Ok(Text::from_str_with_nul(with_nul).unwrap_or(Text::EMPTY))
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
    fn read<D: Deserializer<'a>>(&mut self, place: Place, deserializer: D) -> Read<()> {
        let depth = place.depth;
        match place.kind {
            Kind::Ignored => {
                let below = Below { reader: self, place };
                return deserializer.deserialize_ignored_any(below).map_err(|_| Refused);
            }
            Kind::UnknownClock => return Err(self.refuse(depth, "no clock that can have an offset")),
            Kind::NoFlag => return Err(self.refuse(depth, "no flag is supported: ")),
            Kind::Object(_) => return self.read_members(place, deserializer),
            Kind::Entry(Object::NetDevice) => {
                let key = self.keep_name(depth, Rule::Interface)?;
                self.pair = Pair { key, value: key };
                self.read_members(place, deserializer)?;
                return self.store_pair(depth);
            }
            Kind::Entry(object) => {
                self.given.text = self.keep_name(depth, Rule::Any)?;
                self.open(object, depth)?;
                self.target.store(object, RDMA_DEVICE, &self.given);
                return self.read_members(place, deserializer);
            }
            Kind::Pair(rule) => {
                self.pair.key = self.keep_name(depth, rule)?;
                self.read_text(place, Rule::Any, deserializer)?;
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
                self.read_members(place, deserializer)?;
                self.given.number = range(self.start, self.target.start(object));
            }
            Kind::List(object) => self.read_list(place, object, Kind::Object(object), deserializer)?,
            Kind::Texts(rule) => self.read_list(place, Object::Text, Kind::Text(rule), deserializer)?,
            Kind::Ids => self.read_list(place, Object::Id, Kind::Integer(Range::Unsigned32), deserializer)?,
            Kind::Words(vocabulary) => self.read_bits(place, Kind::Bit(vocabulary), deserializer)?,
            Kind::Capabilities => self.read_bits(place, Kind::Capability, deserializer)?,
            Kind::NoFlags => self.read_bits(place, Kind::NoFlag, deserializer)?,
            Kind::Options => {
                if let Some(plan) = self.target.plan() {
                    *plan = Default::default();
                }
                self.joined = 0;
                self.read_bits(place, Kind::Option, deserializer)?;
                let Some(last) = self.joined.checked_sub(1) else {
                    return Ok(());
                };
                self.given.optional_text = Some(self.take_text(depth, last)?);
            }
            Kind::Boolean => {
                self.scalar(place, Type::Boolean, "expected true or false, not ", deserializer)?;
            }
            Kind::Integer(range) => {
                let (kind, expected) = if range.is_signed() {
                    (Type::Signed, "expected an integer of 64 bits, not ")
                } else {
                    (Type::Unsigned, "expected an integer from 0 of 64 bits, not ")
                };
                self.scalar(place, kind, expected, deserializer)?;
                if let Some(broken) = range.broken_by(self.given.number) {
                    return Err(self.refuse(depth, broken));
                }
            }
            Kind::Text(rule) => self.read_text(place, rule, deserializer)?,
            Kind::Option => {
                self.scalar(place, Type::String, EXPECTED_STRING, deserializer)?;
                return self.read_option(depth);
            }
            _ => {
                let word = self.read_word(place, deserializer)?;
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
            self.open(place.object, depth)?;
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
        self.bits += 1;
        if self.bits > MOUNT_OPTIONS_MAX as u64 {
            return Err(self.refuse_one_more(depth, Object::Option));
        }
        let raw = self.raw.as_bytes();
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
            Some(_) => return Err(self.refuse(depth, "one propagation too many")),
            None if word.is_empty() => {}
            None => {
                *comma = b',';
                self.joined += word.len() + 1;
            }
        }
        Ok(())
    }

    /// Makes room for an object or an element of a list.
    fn open(&mut self, object: Object, depth: u8) -> Read<()> {
        match self.target.open(object, Text::EMPTY) {
            Ok(()) => Ok(()),
            Err(full) => Err(self.refuse_one_more(depth, full)),
        }
    }

    fn store_pair(&mut self, depth: u8) -> Read<()> {
        match self.target.store_pair(self.start, self.pair) {
            Ok(()) => Ok(()),
            Err(full) => Err(self.refuse_one_more(depth, full)),
        }
    }

    fn read_members<D: Deserializer<'a>>(&mut self, place: Place, deserializer: D) -> Read<()> {
        match deserializer.deserialize_map(Below { reader: self, place }) {
            Ok(()) => Ok(()),
            // A mistake further down has been noted before, and this changes nothing.
            Err(_) => Err(self.refuse(place.depth, "expected an object, not ")),
        }
    }

    fn read_elements<D: Deserializer<'a>>(&mut self, place: Place, deserializer: D) -> Read<()> {
        match deserializer.deserialize_seq(Below { reader: self, place }) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.refuse(place.depth, "expected an array, not ")),
        }
    }

    /// Reads a list of `kind` into the pool of `object`.
    fn read_list<D: Deserializer<'a>>(
        &mut self,
        place: Place,
        object: Object,
        kind: Kind,
        deserializer: D,
    ) -> Read<()> {
        self.target.clear(object);
        let start = self.target.start(object);
        self.read_elements(Place { object, kind, ..place }, deserializer)?;
        self.given.number = range(start, self.target.start(object));
        Ok(())
    }

    /// Reads a list of words.
    fn read_bits<D: Deserializer<'a>>(&mut self, place: Place, kind: Kind, deserializer: D) -> Read<()> {
        self.bits = 0;
        self.read_elements(Place { kind, ..place }, deserializer)?;
        self.given.number = self.bits;
        Ok(())
    }

    /// Reads a string and copies it.
    fn read_text<D: Deserializer<'a>>(&mut self, place: Place, rule: Rule, deserializer: D) -> Read<()> {
        let depth = place.depth;
        let word = self.read_word(place, deserializer)?;
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
    fn read_word<D: Deserializer<'a>>(&mut self, place: Place, deserializer: D) -> Read<&'a str> {
        self.scalar(place, Type::String, EXPECTED_STRING, deserializer)?;
        self.decode(place.depth, self.raw)
    }

    /// Reads a scalar.
    fn scalar<D: Deserializer<'a>>(
        &mut self,
        place: Place,
        kind: Type,
        expected: &'static str,
        deserializer: D,
    ) -> Read<()> {
        let taker = Below { reader: self, place };
        let taken = match kind {
            Type::String => deserializer.deserialize_str(taker),
            Type::Boolean => deserializer.deserialize_bool(taker),
            Type::Unsigned => deserializer.deserialize_u64(taker),
            Type::Signed => deserializer.deserialize_i64(taker),
        };
        taken.map_err(|_| self.refuse(place.depth, expected))
    }
}

/// The elements from `start` to before `end` of a pool, as [`Given::list`] finds them. No pool has more elements than a `u16`
/// counts.
fn range(start: usize, end: usize) -> u64 {
    start as u64 | ((end - start) as u64) << 16
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

/// The types of scalars that can be asked for.
#[derive(Clone, Copy)]
enum Type {
    String,
    Boolean,
    Unsigned,
    Signed,
}

/// serde asks visitors to say what they expect for error messages that we never show.
macro_rules! expecting_nothing {
    () => {
        fn expecting(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            Ok(())
        }
    };
}

/// Hands one value to the reader. What it gives says whether there was one.
struct Seed<'s, 'r, 'a> {
    reader: &'s mut Reader<'r, 'a>,
    place: Place,
    /// The number of an element. A member has none, and one that is `null` is passed over: Go's encoders write it for what
    /// is absent.
    element: Option<usize>,
}

impl<'a> Seed<'_, '_, 'a> {
    fn run<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.reader.read(self.place, deserializer) {
            Ok(()) => Ok(true),
            Err(Refused) => Err(D::Error::custom("")),
        }
    }
}

impl<'a> DeserializeSeed<'a> for Seed<'_, '_, 'a> {
    type Value = bool;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        let Some(number) = self.element else {
            return deserializer.deserialize_option(self);
        };
        // Until an element is known to be there, the path leads to the one before.
        self.reader.step(self.place.depth.wrapping_sub(1), number);
        self.run(deserializer)
    }
}

impl<'a> Visitor<'a> for Seed<'_, '_, 'a> {
    type Value = bool;
    expecting_nothing!();

    fn visit_none<E>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_some<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        self.run(deserializer)
    }
}

const EXPECTED_STRING: &str = "expected a string, not ";
/// Nothing but a number can be followed by something that the reader of numbers has left: a fraction or an exponent.
const EXPECTED_INTEGER: &str = "expected an integer, not ";

/// The visitor of every value: takes a scalar, and goes on below an object or a list, with the kind of its elements.
///
/// It is the only one, since serde's functions are compiled once for each.
struct Below<'s, 'r, 'a> {
    reader: &'s mut Reader<'r, 'a>,
    place: Place,
}

impl<'a> Below<'_, '_, 'a> {
    /// What the member `name` of an object is.
    fn member(&self, object: Object, name: &str) -> (u8, Kind) {
        match self.place.kind {
            Kind::Ignored => (0, Kind::Ignored),
            Kind::Pairs(rule) => (0, Kind::Pair(rule)),
            Kind::Map(entry) => (0, Kind::Entry(entry)),
            _ => object.member(name).unwrap_or(match object {
                // Ignoring a clock that was meant to be shifted would be no service.
                Object::TimeOffsets => (0, Kind::UnknownClock),
                _ => (0, Kind::Ignored),
            }),
        }
    }
}

impl<'a> Visitor<'a> for Below<'_, '_, 'a> {
    type Value = ();
    expecting_nothing!();

    fn visit_borrowed_str<E: SerdeError>(self, string: &'a str) -> Result<(), E> {
        self.reader.raw = string;
        Ok(())
    }

    fn visit_bool<E: SerdeError>(self, value: bool) -> Result<(), E> {
        self.visit_u64(value.into())
    }

    fn visit_u64<E: SerdeError>(self, number: u64) -> Result<(), E> {
        self.reader.given.number = number;
        Ok(())
    }

    fn visit_i64<E: SerdeError>(self, number: i64) -> Result<(), E> {
        self.visit_u64(number as u64)
    }

    /// Another scalar, which is ignored.
    fn visit_unit<E: SerdeError>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let Place { kind, depth, .. } = self.place;
        let object = match kind {
            Kind::Object(object) => {
                if self.reader.open(object, depth).is_err() {
                    return Err(A::Error::custom(""));
                }
                object
            }
            Kind::Entry(object) => object,
            _ => self.place.object,
        };
        let mut seen = 0;
        for number in 0.. {
            let name = Name(Below {
                reader: &mut *self.reader,
                place: self.place,
            });
            match map.next_key_seed(name) {
                Ok(Some(())) => {}
                Ok(None) => break,
                Err(error) => {
                    self.reader.refuse(depth + 1, EXPECTED_INTEGER);
                    return Err(error);
                }
            }
            let raw = self.reader.raw;
            self.reader.step(depth, number);
            let Ok(name) = self.reader.decode(depth + 1, raw) else {
                return Err(A::Error::custom(""));
            };
            let (member, kind) = self.member(object, name);
            self.reader.name = name;
            let place = Place {
                object,
                member,
                kind,
                depth: depth + 1,
            };
            let is_there = map.next_value_seed(Seed {
                reader: &mut *self.reader,
                place,
                element: None,
            })?;
            // A member that is ignored has no number, and is none that is required.
            if is_there && !matches!(kind, Kind::Ignored) {
                seen |= 1 << member;
            }
        }
        if let Kind::Object(_) = kind {
            if let Some(name) = object.missing(seen) {
                self.reader.refuse_for(depth, Some(name), Cause::Rule("missing"));
                return Err(A::Error::custom(""));
            }
            if let Err(wrong) = self.reader.target.close(object) {
                let (member, rule) = wrong.member_and_rule();
                let member = Some(member).filter(|member| !member.is_empty());
                self.reader.refuse_for(depth, member, Cause::Rule(rule));
                return Err(A::Error::custom(""));
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.place.depth + 1;
        for number in 0.. {
            let seed = Seed {
                reader: &mut *self.reader,
                place: Place { depth, ..self.place },
                element: Some(number),
            };
            match seq.next_element_seed(seed) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    self.reader.refuse(depth, EXPECTED_INTEGER);
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Takes the name of a member as it is spelt.
struct Name<'s, 'r, 'a>(Below<'s, 'r, 'a>);

impl<'a> DeserializeSeed<'a> for Name<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self.0)
    }
}
