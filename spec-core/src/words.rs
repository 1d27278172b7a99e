//! Closed vocabularies.

/// Words that the specification lists, each with its length before it.
///
/// One string costs the executable less than a list of strings, each of which would take sixteen bytes more; and who looks for
/// a word need not look at the letters of those before it.
#[derive(Clone, Copy)]
pub struct Words(&'static [u8]);

/// [`Words`] from a text that has a space behind each of them.
macro_rules! words {
    ($words:expr $(,)?) => {{
        const PACKED: [u8; $words.len()] = $crate::words::pack($words);
        $crate::words::Words::new(&PACKED)
    }};
}
pub(crate) use words;

/// The words of `words`, which has a space behind each of them, with their lengths before them.
pub(crate) const fn pack<const N: usize>(words: &str) -> [u8; N] {
    let (bytes, mut packed) = (words.as_bytes(), [0; N]);
    let (mut start, mut at) = (0, 0);
    while at < N {
        if bytes[at] == b' ' {
            assert!(at - start <= u8::MAX as usize);
            packed[start] = (at - start) as u8;
            start = at + 1;
        } else {
            packed[at + 1] = bytes[at];
        }
        at += 1;
    }
    packed
}

impl Words {
    /// Words that are packed already.
    pub(crate) const fn new(packed: &'static [u8]) -> Self {
        Self(packed)
    }

    /// The words in their order.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        // They were words of a string.
        self.spelt().filter_map(|word| core::str::from_utf8(word).ok())
    }

    /// The bytes of the words in their order.
    fn spelt(self) -> Spelt {
        Spelt(self.0)
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        let (mut count, mut at) = (0, 0);
        while at < self.0.len() {
            (count, at) = (count + 1, at + 1 + self.0[at] as usize);
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
        let (length, rest) = self.0.split_first()?;
        let (word, rest) = rest.split_at_checked(usize::from(*length))?;
        self.0 = rest;
        Some(word)
    }
}
