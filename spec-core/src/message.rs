//! The texts of errors. The build script packs them, and whoever writes one names it by its place among them: that is told in
//! fewer bytes than an address and a length, and the texts, which few documents ever need, take a third of theirs.

use crate::packed::{CHOICES, place_of, unpack};
use crate::sink::Sink;

include!(concat!(env!("OUT_DIR"), "/messages.rs"));

/// A text of an error, by its place.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message(u16);

impl Message {
    /// The place of `text`; [`text!`] asks while the program is compiled.
    pub(crate) const fn of(text: &str) -> Self {
        Self(place_of(&MESSAGES, text))
    }

    /// Writes the text; whether it ends in a space, and so wants to be followed by something.
    #[inline(never)]
    pub fn write_to(self, out: &mut dyn Sink) -> bool {
        #[cfg(all(miri, test))]
        if !tests::IS_UNPACKED.get() {
            out.put(self.text());
            return self.text().ends_with(' ');
        }
        let (mut memory, mut leans) = ([0; UNPACKED_BYTES], [0; CHOICES]);
        unpack(&PACKED, &mut memory, &mut leans);
        let mut texts = memory.split(|byte| *byte == 0);
        let text = texts.nth(self.0.into()).unwrap_or_default();
        out.put(core::str::from_utf8(text).unwrap_or_default());
        text.ends_with(b" ")
    }

    /// The text, as the source has it.
    #[cfg(test)]
    pub(crate) fn text(self) -> &'static str {
        MESSAGES[usize::from(self.0)]
    }
}

/// For tests that fail.
impl core::fmt::Debug for Message {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("text!(\"")?;
        self.write_to(f);
        f.write_str("\")")
    }
}

/// A text of an error. The build script finds it here, in the source.
macro_rules! text {
    ($text:literal) => {
        const { $crate::message::Message::of($text) }
    };
}
pub(crate) use text;

#[cfg(test)]
mod tests {
    use std::string::String;

    use super::*;

    #[cfg(miri)]
    std::thread_local! {
        /// Miri takes ten seconds to unpack the texts: only the test that is about it does, for the first and the last.
        pub static IS_UNPACKED: core::cell::Cell<bool> = const { core::cell::Cell::new(false) };
    }

    #[test]
    fn texts_are_as_they_were() {
        #[cfg(miri)]
        IS_UNPACKED.set(true);
        let step = if cfg!(miri) { MESSAGES.len() - 1 } else { 1 };
        for (place, text) in MESSAGES.iter().enumerate().step_by(step) {
            let mut written = String::new();
            let wants_more = Message(place as u16).write_to(&mut written);
            assert_eq!(written, *text);
            assert_eq!(wants_more, text.ends_with(' '));
        }
    }
}
