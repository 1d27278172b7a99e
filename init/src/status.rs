//! From the end of the program to the exit status of `roci-init`.

use crate::arguments::Order;

/// A set of exit statuses.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Codes([u32; 8]);

impl Codes {
    /// Adds `code`.
    pub fn insert(&mut self, code: u8) {
        // The top three bits choose one of eight words, so the index is never out of bounds.
        self.0[usize::from(code >> 5)] |= 1 << (code & 31);
    }

    fn contains(self, code: u8) -> bool {
        self.0[usize::from(code >> 5)] & (1 << (code & 31)) != 0
    }
}

/// How the program ended.
#[derive(Clone, Copy)]
pub enum End {
    /// By itself, with a status of which the kernel keeps eight bits.
    Exited(u8),
    /// By a signal.
    Killed(u8),
}

/// The exit status that reports `end`.
pub fn report(end: End, order: &Order<'_>) -> u8 {
    let code = match end {
        End::Exited(code) => code,
        // As shells do it. The largest signal is 64, so this is no more than 192.
        End::Killed(signal) => 128_u8.wrapping_add(signal),
    };
    if order.successes.contains(code) { 0 } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_own_member() {
        for code in 0..=255 {
            let mut codes = Codes::default();
            codes.insert(code);
            assert!((0..=255).all(|other| codes.contains(other) == (other == code)));
        }
    }

    #[test]
    fn statuses_are_reported_and_mapped() {
        let mut order = Order::default();
        order.successes.insert(143);
        order.successes.insert(3);
        let check = |end, expect| assert_eq!(report(end, &order), expect);
        check(End::Exited(0), 0);
        check(End::Exited(3), 0);
        check(End::Exited(4), 4);
        check(End::Exited(255), 255);
        check(End::Exited(143), 0);
        check(End::Killed(15), 0);
        check(End::Killed(9), 137);
        check(End::Killed(64), 192);
    }
}
