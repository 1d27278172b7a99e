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
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        // What lies between two spaces of a string is one, too.
        self.spelt().filter_map(|word| core::str::from_utf8(word).ok())
    }

    /// The bytes of the words in their order.
    fn spelt(self) -> Spelt {
        Spelt(self.0.as_bytes())
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
        self.find(|known| known == word.as_bytes())
    }

    /// The place of the word that `is_it` picks.
    pub(crate) fn find(self, is_it: impl FnMut(&[u8]) -> bool) -> Option<usize> {
        self.spelt().position(is_it)
    }
}

/// The bytes of the words that are left of some.
struct Spelt(&'static [u8]);

impl Iterator for Spelt {
    type Item = &'static [u8];

    fn next(&mut self) -> Option<&'static [u8]> {
        let end = self.0.iter().position(|byte| *byte == b' ')?;
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        Some(word)
    }
}
