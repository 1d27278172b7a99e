//! Closed vocabularies.

/// Words that the specification lists, each with its length before it.
///
/// One string costs the executable less than a list of strings, each of which would take sixteen bytes more; and who looks for
/// a word need not look at the letters of those before it.
#[derive(Clone, Copy)]
pub struct Words(&'static str);

/// [`Words`] from a text that has a space behind each of them.
macro_rules! words {
    ($words:expr $(,)?) => {{
        const PACKED: [u8; $words.len()] = $crate::words::pack($words);
        const { $crate::words::Words::new(&PACKED) }
    }};
}
pub(crate) use words;

/// Words of which each begins with `$prefix`, which is left out of them.
macro_rules! family {
    ($prefix:expr, $($words:expr),* $(,)?) => {
        $crate::words::Family($crate::words::words!(concat!($prefix, " ", $($words),*)))
    };
}
pub(crate) use family;

/// The words of `words`, which has a space behind each of them, with their lengths before them.
pub(crate) const fn pack<const N: usize>(words: &str) -> [u8; N] {
    let (bytes, mut packed) = (words.as_bytes(), [0; N]);
    let (mut start, mut at) = (0, 0);
    while at < N {
        if bytes[at] == b' ' {
            // A length is a letter among letters.
            assert!(at - start < 0x80);
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
        match core::str::from_utf8(packed) {
            Ok(packed) => Self(packed),
            Err(_) => panic!("words have letters and lengths below 128"),
        }
    }

    /// Those that are packed between two places.
    pub(crate) fn between(self, start: usize, end: usize) -> Self {
        Self(self.0.get(start..end).unwrap_or_default())
    }

    /// The words in their order.
    pub fn iter(self) -> impl Iterator<Item = &'static str> {
        Rest(self.0)
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        let (mut count, mut at) = (0, 0);
        while at < self.0.len() {
            (count, at) = (count + 1, at + 1 + self.0.as_bytes()[at] as usize);
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
}

/// What is left of words.
struct Rest(&'static str);

impl Iterator for Rest {
    type Item = &'static str;

    fn next(&mut self) -> Option<&'static str> {
        let length = *self.0.as_bytes().first()?;
        let (word, rest) = self.0.get(1..)?.split_at_checked(length.into())?;
        self.0 = rest;
        Some(word)
    }
}

/// Words that begin alike: first how, and then the rest of each.
#[derive(Clone, Copy)]
pub struct Family(pub(crate) Words);

impl Family {
    /// What all of them begin with, and what follows it in each.
    pub fn split(self) -> (&'static str, Words) {
        let mut words = Rest(self.0.0);
        (words.next().unwrap_or_default(), Words(words.0))
    }

    /// How many there are.
    pub const fn len(self) -> usize {
        self.0.len() - 1
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The place of `word` among them, from 0.
    pub fn position(self, word: &str) -> Option<usize> {
        let (prefix, rests) = self.split();
        rests.position(word.strip_prefix(prefix)?)
    }

    /// The words as they are spelt.
    #[cfg(test)]
    pub(crate) fn whole(self) -> std::vec::Vec<std::string::String> {
        let (prefix, rests) = self.split();
        rests.iter().map(|rest| [prefix, rest].concat()).collect()
    }
}
