//! Closed vocabularies.

/// Words that the specification lists, with a space behind each of them.
///
/// One string costs the executable less than a list of strings, each of which would take sixteen bytes more.
#[derive(Clone, Copy)]
pub struct Words(&'static str);

impl Words {
    pub(crate) const fn new(words: &'static str) -> Self {
        Self(words)
    }

    /// The words in their order.
    pub const fn iter(self) -> Iter {
        Iter(self.0.as_bytes())
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        let (bytes, mut count, mut at) = (self.0.as_bytes(), 0, 0);
        while at < bytes.len() {
            count += (bytes[at] == b' ') as usize;
            at += 1;
        }
        count
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The word at a place, from 0.
    pub fn get(self, place: usize) -> Option<&'static str> {
        self.iter().nth(place)
    }

    /// The place of `word` among them, from 0.
    pub fn position(self, word: &str) -> Option<usize> {
        self.iter().position(|known| known == word)
    }

    /// The place of the word that `is_it` picks.
    pub(crate) fn find(self, mut is_it: impl FnMut(&str) -> bool) -> Option<usize> {
        self.iter().position(&mut is_it)
    }
}

/// The words that are left of some.
#[derive(Clone)]
pub struct Iter(&'static [u8]);

impl Iterator for Iter {
    type Item = &'static str;

    #[inline(never)]
    fn next(&mut self) -> Option<&'static str> {
        let end = self.0.iter().position(|byte| *byte == b' ')?;
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        core::str::from_utf8(word).ok()
    }
}
