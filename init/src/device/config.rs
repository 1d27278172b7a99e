//! A bounded reader of `config.json` and of `state.json`: the texts and words of the outermost object and of the objects
//! in it, as they go by. What is wrong with the document is for `roci` to say.

use crate::text::Text;

/// The longest name, with its NUL; longer ones are none that is asked for.
const NAME_BYTES_MAX: usize = 64;
/// The longest value, with its NUL.
pub const VALUE_BYTES_MAX: usize = 512;
/// How deep a document is followed; deeper ones are refused by `roci`.
const DEPTH_MAX: u32 = 60;

/// Where a byte stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum In {
    /// Between texts and words.
    Space,
    /// A text.
    Text,
    /// A text, behind a `\`.
    Escape,
    /// A text, in so many digits of a `\u`, and their number so far.
    Digits(u8, u32),
    /// A word: `true`, a number.
    Word,
}

/// Reads a document byte by byte.
pub struct Reader {
    state: In,
    depth: u32,
    /// For each depth whether it is an object.
    objects: u64,
    /// Whether the next text is a name.
    is_name: bool,
    /// The name of the object at depth 2.
    outer: Text<NAME_BYTES_MAX>,
    name: Text<NAME_BYTES_MAX>,
    value: Text<VALUE_BYTES_MAX>,
}

/// A member of an object.
pub struct Member<'r> {
    /// The name of the object, which is empty for the outermost.
    pub object: &'r [u8],
    /// Its own.
    pub name: &'r [u8],
    /// Its value, or `None` where it is longer than there is room for.
    pub value: Option<&'r str>,
}

impl Reader {
    /// Nothing was read.
    pub const fn new() -> Self {
        Self {
            state: In::Space,
            depth: 0,
            objects: 0,
            is_name: false,
            outer: Text::new(),
            name: Text::new(),
            value: Text::new(),
        }
    }

    fn is_in_object(&self) -> bool {
        self.objects >> self.depth & 1 == 1
    }

    /// Takes the next byte; the member that is complete with it.
    pub fn feed(&mut self, byte: u8) -> Option<Member<'_>> {
        match self.state {
            In::Text => match byte {
                b'"' => {
                    self.state = In::Space;
                    return self.close();
                }
                b'\\' => self.state = In::Escape,
                _ => self.push(&[byte]),
            },
            In::Escape => {
                self.state = In::Text;
                let byte = match byte {
                    b'u' => {
                        self.state = In::Digits(0, 0);
                        return None;
                    }
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    byte => byte,
                };
                self.push(&[byte]);
            }
            In::Digits(count, number) => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                let number = number << 4 | digit;
                self.state = In::Digits(count + 1, number);
                if count == 3 {
                    self.state = In::Text;
                    // No name and no value that is asked for has half of a pair in it.
                    let letter = char::from_u32(number).unwrap_or('\u{fffd}');
                    self.push(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
            In::Word if !matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n') => self.push(&[byte]),
            In::Word => {
                self.state = In::Space;
                let is_last = self.depth;
                // What ends the word counts by itself, but what the word was is told first.
                self.between(byte);
                if is_last >= self.depth && self.tells(is_last) {
                    return Some(self.member(is_last));
                }
            }
            In::Space => self.between(byte),
        }
        None
    }

    /// Takes a byte that is in no text and in no word.
    fn between(&mut self, byte: u8) {
        match byte {
            b'{' | b'[' => {
                if self.depth == 1 {
                    self.outer = Text::new();
                    self.outer.push(self.name.as_bytes());
                }
                self.depth += 1;
                self.depth = self.depth.min(DEPTH_MAX);
                self.objects &= !(1 << self.depth);
                self.objects |= u64::from(byte == b'{') << self.depth;
                self.is_name = byte == b'{';
            }
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                self.is_name = false;
            }
            b',' => self.is_name = self.is_in_object(),
            b':' => self.is_name = false,
            b'"' => {
                self.state = In::Text;
                self.begin();
            }
            b' ' | b'\t' | b'\r' | b'\n' => {}
            byte => {
                self.state = In::Word;
                self.begin();
                self.push(&[byte]);
            }
        }
    }

    fn begin(&mut self) {
        if self.is_name {
            self.name = Text::new();
        } else {
            self.value = Text::new();
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        if self.is_name {
            self.name.push(bytes);
        } else {
            self.value.push(bytes);
        }
    }

    fn close(&mut self) -> Option<Member<'_>> {
        let depth = self.depth;
        (!self.is_name && self.tells(depth)).then(|| self.member(depth))
    }

    /// Whether a value at this depth is told of.
    fn tells(&self, depth: u32) -> bool {
        matches!(depth, 1 | 2) && self.objects >> depth & 1 == 1
    }

    fn member(&self, depth: u32) -> Member<'_> {
        let value = self.value.as_c_str();
        Member {
            object: if depth == 1 { b"" } else { self.outer.as_bytes() },
            name: self.name.as_bytes(),
            value: value.and_then(|value| value.to_str().ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::{String, ToString};
    use std::vec::Vec;

    fn members(document: &str) -> Vec<(String, String, Option<String>)> {
        let mut reader = Reader::new();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut found = Vec::new();
        for byte in document.bytes() {
            if let Some(member) = reader.feed(byte) {
                found.push((
                    text(member.object),
                    text(member.name),
                    member.value.map(ToString::to_string),
                ));
            }
        }
        found
    }

    #[track_caller]
    fn check(document: &str, expected: &[(&str, &str, &str)]) {
        let found = members(document);
        let found: Vec<_> = found
            .iter()
            .map(|(object, name, value)| (&**object, &**name, value.as_deref().unwrap_or("?")))
            .collect();
        assert_eq!(found, expected, "{document}");
    }

    #[test]
    fn members_are_found_at_two_depths() {
        check(
            r#"{"ociVersion": "1.2.0", "process": {"terminal": true, "user": {"uid": 0}, "cwd": "/", "args": ["a", "b"]},
               "annotations": {"io.roci.kind": "oneshot", "io.roci.after":"a,b"}, "cgroup": "/x"}"#,
            &[
                ("", "ociVersion", "1.2.0"),
                ("process", "terminal", "true"),
                ("process", "cwd", "/"),
                ("annotations", "io.roci.kind", "oneshot"),
                ("annotations", "io.roci.after", "a,b"),
                ("", "cgroup", "/x"),
            ],
        );
        check(
            r#"{"a":{"b":1},"c":2,"d":[3,{"e":"f"}],"g":{"h":null}}"#,
            &[("a", "b", "1"), ("", "c", "2"), ("g", "h", "null")],
        );
        check(r#"{"a":1}"#, &[("", "a", "1")]);
        check(r#"["a", {"b": "c"}]"#, &[("", "b", "c")]);
    }

    #[test]
    fn escapes_are_resolved() {
        check(
            r#"{"\u0061": "\"\\\/\n\u00e9{", "b": "}"}"#,
            &[("", "a", "\"\\/\né{"), ("", "b", "}")],
        );
        check(r#"{"a": "\ud83d"}"#, &[("", "a", "\u{fffd}")]);
    }

    #[test]
    fn what_is_too_long_has_no_value() {
        let long = "v".repeat(VALUE_BYTES_MAX);
        check(
            &std::format!(r#"{{"a": "{long}", "b": "c"}}"#),
            &[("", "a", "?"), ("", "b", "c")],
        );
        let fits = "v".repeat(VALUE_BYTES_MAX - 1);
        check(&std::format!(r#"{{"a": "{fits}"}}"#), &[("", "a", &fits)]);
    }

    #[test]
    fn nonsense_does_no_harm() {
        for document in [
            "",
            "}}}]]]",
            "{{{{\"a\"",
            &"[".repeat(200),
            "\"\\u12",
            "{\"a\":tru",
            ":::,,,",
        ] {
            members(document);
        }
        let mut random = 5_u32;
        let letters = br#"{}[]":,\u1a "#;
        for _ in 0..20_000 {
            let mut reader = Reader::new();
            for _ in 0..60 {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                reader.feed(letters[(random >> 20) as usize % letters.len()]);
            }
        }
    }
}
