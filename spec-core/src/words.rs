//! Closed vocabularies.

/// Words that the specification lists, with a space behind each of them.
#[derive(Clone, Copy)]
pub struct Words(&'static str);

/// For objects whose members have any name.
pub(crate) const NO_WORDS: Words = Words::new("");

impl Words {
    pub(crate) const fn new(words: &'static str) -> Self {
        Self(words)
    }

    /// The words in their order.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        self.0.split(' ').filter(|word| !word.is_empty())
    }

    /// The place of `word` among them, from 0.
    pub fn position(self, word: &str) -> Option<usize> {
        self.iter().position(|known| known == word)
    }
}
