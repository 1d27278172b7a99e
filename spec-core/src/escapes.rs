//! Strings with escapes, decoded.

/// Writes what the string `raw` stands for, and tells how long that is. It has passed the grammar, where its escapes are
/// known to be complete. `None` is no room.
pub(crate) fn decode(raw: &[u8], out: &mut [u8]) -> Option<usize> {
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
