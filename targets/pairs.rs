//! Byte pair encoding, which build scripts make texts shorter with: over and over, the pair of bytes that is found most often
//! gets a byte that no text has, until there is none left or no pair that pays. To unpack is to replace such a byte by its
//! pair, and that is a dozen lines.

use std::collections::BTreeMap;

/// Puts `codes`, bytes that no text has, into the places of pairs, and returns the pair of each; two NULs are none.
pub fn pack(texts: &mut [Vec<u8>], codes: impl Iterator<Item = u8>) -> [[u8; 2]; 256] {
    let mut pairs = [[0; 2]; 256];
    for code in codes {
        let mut counts = BTreeMap::<[u8; 2], usize>::new();
        for pair in texts.iter().flat_map(|text| text.windows(2)) {
            *counts.entry([pair[0], pair[1]]).or_default() += 1;
        }
        match counts.into_iter().max_by_key(|&(_, count)| count) {
            Some((pair, count)) if count > 1 => {
                for text in texts.iter_mut() {
                    *text = shorten(text, pair, code);
                }
                pairs[usize::from(code)] = pair;
            }
            _ => break,
        }
    }
    pairs
}

/// `text` with `code` in place of `pair`.
fn shorten(mut text: &[u8], pair: [u8; 2], code: u8) -> Vec<u8> {
    let mut shorter = Vec::new();
    while let [first, rest @ ..] = text {
        if text.starts_with(&pair) {
            shorter.push(code);
            text = &text[2..];
        } else {
            shorter.push(*first);
            text = rest;
        }
    }
    shorter
}
