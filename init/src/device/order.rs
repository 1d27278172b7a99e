//! Which container is started after which, and stopped before which. No system call is made here.

pub use spec_core::device::protocol::CONTAINERS_MAX;

/// A set of containers: bit n is container n.
pub type Set = u16;

/// For each container those that it comes after.
pub type After = [Set; CONTAINERS_MAX];

/// The set of the first `count`.
pub fn first(count: usize) -> Set {
    1_u16.checked_shl(count as u32).unwrap_or(0).wrapping_sub(1)
}

/// Whether `index` is in `set`.
pub fn has(set: Set, index: usize) -> bool {
    set.checked_shr(index as u32).is_some_and(|rest| rest & 1 == 1)
}

/// The set of `index` alone.
pub fn only(index: usize) -> Set {
    1_u16.checked_shl(index as u32).unwrap_or(0)
}

fn of(after: &After, index: usize) -> Set {
    after.get(index).copied().unwrap_or(0)
}

/// Those of the first `count` that can never be started, because they come after themselves, or after one that does.
pub fn impossible(after: &After, count: usize) -> Set {
    let mut rest = first(count);
    loop {
        let mut left = rest;
        for index in 0..count {
            if has(rest, index) && of(after, index) & left == 0 {
                left &= !only(index);
            }
        }
        if left == rest {
            return rest;
        }
        rest = left;
    }
}

/// The circle into which `index`, which is impossible, leads: each comes after the next, and the last after the first. It
/// begins with `index`, where that is one of them. The value is how many there are.
pub fn circle(after: &After, impossible: Set, index: usize, circle: &mut [usize; CONTAINERS_MAX]) -> usize {
    let mut at = index;
    // Whoever is met after as many steps as there are containers lies on the circle.
    for _ in 0..CONTAINERS_MAX {
        at = next(after, impossible, at);
    }
    let mut first = at;
    for _ in 0..CONTAINERS_MAX {
        at = next(after, impossible, at);
        if at == index {
            first = index;
        }
    }
    let mut count = 0;
    at = first;
    for place in circle {
        *place = at;
        count += 1;
        at = next(after, impossible, at);
        if at == first {
            break;
        }
    }
    count
}

fn next(after: &After, impossible: Set, index: usize) -> usize {
    (of(after, index) & impossible).trailing_zeros() as usize
}

/// For each container all that it comes after, by way of others as well, of an order without circles.
pub fn all_before(after: &After, count: usize) -> After {
    let mut all = *after;
    // In each round what was found goes one further.
    for _ in 0..count {
        for index in 0..count {
            let mut set = of(&all, index);
            for before in (0..count).filter(|before| has(of(&all, index), *before)) {
                set |= of(&all, before);
            }
            if let Some(place) = all.get_mut(index) {
                *place = set;
            }
        }
    }
    all
}

/// Those of the first `count` that nobody in `running` comes after, so that they may be stopped now.
pub fn last(after: &After, count: usize, running: Set) -> Set {
    let mut last = running;
    for index in (0..count).filter(|index| has(running, *index)) {
        last &= !of(after, index);
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    fn after(edges: &[(usize, usize)]) -> After {
        let mut after = [0; CONTAINERS_MAX];
        for (index, before) in edges {
            after[*index] |= only(*before);
        }
        after
    }

    #[test]
    fn circles_are_found_and_named() {
        let check = |edges: &[(usize, usize)], expected: Set, from: usize, circle_expected: &[usize]| {
            let after = after(edges);
            let impossible = impossible(&after, 5);
            assert_eq!(impossible, expected, "{edges:?}");
            if impossible != 0 {
                let mut found = [0; CONTAINERS_MAX];
                let count = circle(&after, impossible, from, &mut found);
                assert_eq!(found[..count], *circle_expected, "{edges:?}");
            }
        };
        check(&[], 0, 0, &[]);
        check(&[(1, 0), (2, 1), (3, 0), (4, 3), (4, 2)], 0, 0, &[]);
        check(&[(1, 1)], 0b10, 1, &[1]);
        check(&[(0, 1), (1, 0)], 0b11, 0, &[0, 1]);
        // 3 is behind the circle of 0, 1, 2, and 4 is not concerned.
        check(&[(0, 1), (1, 2), (2, 0), (3, 1), (1, 4)], 0b1111, 2, &[2, 0, 1]);
    }

    #[test]
    fn who_is_after_is_stopped_first() {
        let after = after(&[(1, 0), (2, 1), (3, 0)]);
        assert_eq!(last(&after, 4, 0b1111), 0b1100);
        assert_eq!(last(&after, 4, 0b1011), 0b1010);
        assert_eq!(last(&after, 4, 0b0011), 0b0010);
        assert_eq!(last(&after, 4, 0b0001), 0b0001);
        assert_eq!(last(&after, 4, 0), 0);
    }

    #[test]
    fn what_lies_between_does_not_part_them() {
        let after = after(&[(1, 0), (2, 1), (3, 2), (4, 0)]);
        let all = all_before(&after, 5);
        assert_eq!(all[..5], [0, 0b1, 0b11, 0b111, 0b1]);
        // 1 and 2 have ended before, and 3 is stopped before 0 all the same.
        assert_eq!(last(&all, 5, 0b01001), 0b01000);
        assert_eq!(last(&after, 5, 0b01001), 0b01001);
    }

    /// Of every order without circles somebody can be stopped, however it looks, until nobody is left.
    #[test]
    fn every_order_comes_to_an_end() {
        let mut random = 1_u32;
        for _ in 0..1000 {
            let mut edges = Vec::new();
            for index in 1..CONTAINERS_MAX {
                for before in 0..index {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    if random >> 30 == 0 {
                        edges.push((index, before));
                    }
                }
            }
            let after = after(&edges);
            assert_eq!(impossible(&after, CONTAINERS_MAX), 0);
            let mut running = first(CONTAINERS_MAX);
            while running != 0 {
                let now = last(&after, CONTAINERS_MAX, running);
                assert_ne!(now, 0);
                running &= !now;
            }
        }
        assert_eq!((first(0), first(1), first(16)), (0, 1, 0xffff));
    }
}
