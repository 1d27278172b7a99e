//! The choices that whoever packs a text and whoever unpacks it make together, by their numbers.

/// Bits of the largest number.
pub const BITS: usize = 16;
/// Whether a copy follows: one chance for after a letter, one for after a copy.
pub const COPY: usize = 0;
/// Whether the copy is from as far back as the one before it.
pub const AGAIN: usize = 2;
/// How far back it is from.
pub const DISTANCE: usize = 3;
/// How long it is.
pub const LENGTH: usize = DISTANCE + 2 * BITS;
/// Which letter follows: for each letter before it, a tree of 128.
pub const LETTER: usize = LENGTH + 2 * BITS;
/// How many choices there are.
pub const CHOICES: usize = LETTER + 128 * 128;
