//! What a container has printed: the last of it, in memory of a fixed size.

/// Bytes that are kept of each container.
pub const RING_BYTES: usize = 8192;

/// The last bytes of a stream. A place in it is told by the bytes that came before, from the stream's beginning.
pub struct Ring {
    bytes: [u8; RING_BYTES],
    /// How many bytes have come.
    end: u64,
}

impl Ring {
    /// Nothing yet. It is all zeros, so that it takes no room in the executable.
    pub const fn new() -> Self {
        Self {
            bytes: [0; RING_BYTES],
            end: 0,
        }
    }

    /// Where the stream ends now.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// The first place that is still there.
    pub fn start(&self) -> u64 {
        self.end.saturating_sub(RING_BYTES as u64)
    }

    /// Appends.
    pub fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.bytes[self.end as usize % RING_BYTES] = *byte;
            self.end += 1;
        }
    }

    /// The byte at a place that is there.
    pub fn at(&self, place: u64) -> u8 {
        self.bytes[place as usize % RING_BYTES]
    }

    /// Fills `memory` from `place` on, or from the first place that is still there; the values are how many bytes that
    /// were, and the place behind them.
    pub fn read(&self, place: u64, memory: &mut [u8]) -> (usize, u64) {
        let mut place = place.max(self.start());
        let mut count = 0;
        for slot in memory {
            if place >= self.end {
                break;
            }
            *slot = self.at(place);
            place += 1;
            count += 1;
        }
        (count, place)
    }

    /// The next whole line from `place` on, or what there is of it where `to_end` is set or `memory` is full; the values are
    /// how many bytes that are, without the end of the line, and the place behind them. `None` where there is none.
    pub fn line(&self, place: u64, memory: &mut [u8], to_end: bool) -> Option<(usize, u64)> {
        let first = place.max(self.start());
        let (mut place, mut count) = (first, 0);
        for slot in memory {
            if place >= self.end {
                return (to_end && count > 0).then_some((count, place));
            }
            *slot = self.at(place);
            place += 1;
            if *slot == b'\n' {
                return Some((count, place));
            }
            count += 1;
        }
        Some((count, place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn the_last_bytes_stay() {
        let mut ring = Ring::new();
        let all: Vec<u8> = (0..20_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        for part in all.chunks(377) {
            ring.push(part);
            let mut memory = [0; RING_BYTES + 10];
            let (count, place) = ring.read(0, &mut memory);
            let end = ring.end() as usize;
            assert_eq!(place as usize, end);
            assert_eq!(memory[..count], all[end.saturating_sub(RING_BYTES)..end]);
        }
        let mut memory = [0; 10];
        let (count, place) = ring.read(ring.end() - 15, &mut memory);
        assert_eq!((count, place), (10, ring.end() - 5));
        assert_eq!(ring.read(place, &mut memory).0, 5);
        assert_eq!(ring.read(ring.end(), &mut memory).0, 0);
    }

    #[test]
    fn lines_come_whole() {
        let mut ring = Ring::new();
        let mut memory = [0; 8];
        assert_eq!(ring.line(0, &mut memory, false), None);
        ring.push(b"one\ntw");
        assert_eq!(ring.line(0, &mut memory, false), Some((3, 4)));
        assert_eq!(ring.line(4, &mut memory, false), None);
        assert_eq!(ring.line(4, &mut memory, true), Some((2, 6)));
        assert_eq!(ring.line(6, &mut memory, true), None);
        ring.push(b"o\n\nlonger than memory");
        assert_eq!(ring.line(4, &mut memory, false), Some((3, 8)));
        assert_eq!(ring.line(8, &mut memory, false), Some((0, 9)));
        assert_eq!(ring.line(9, &mut memory, false), Some((8, 17)));
        assert_eq!(&memory, b"longer t");
    }
}
