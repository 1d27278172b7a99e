//! Rules that look at arguments.

use super::program::{Address, IF_EQUAL, IF_GREATER, IF_GREATER_OR_EQUAL, Writer};
use super::{Argument, Operator, Rule};
use crate::Spec;

/// A rule as far as it concerns one system call.
#[derive(Clone, Copy)]
pub(super) struct Condition {
    /// The architecture and the slot of the system call.
    pub(super) place: u16,
    /// The number of the rule.
    pub(super) rule: u16,
    /// Which of its arguments counts, or [`ALL`] of them.
    pub(super) only: u16,
    /// What the first argument has to be in place of what the rule says about it, if not 0.
    pub(super) multiplexed: u8,
}

/// Every argument of the rule counts.
pub(super) const ALL: u16 = u16::MAX;

/// What an argument is compared with, and how.
#[derive(Clone, Copy)]
struct Comparison {
    index: u8,
    /// One of the `IF_`.
    code: u16,
    /// Whether it must not hold.
    negated: bool,
    mask: u64,
    value: u64,
    /// Where libseccomp puts it among others: those that are greater come first.
    rank: (u8, u8, u64),
}

impl Comparison {
    fn new(argument: &Argument, wide: bool) -> Self {
        // Those that compare by size come behind the others, and "less" before "more".
        let (code, negated, order) = match argument.operator {
            Operator::Equal | Operator::MaskedEqual => (IF_EQUAL, false, 3),
            Operator::NotEqual => (IF_EQUAL, true, 3),
            Operator::GreaterOrEqual => (IF_GREATER_OR_EQUAL, false, 1),
            Operator::Less => (IF_GREATER_OR_EQUAL, true, 2),
            Operator::Greater => (IF_GREATER, false, 1),
            Operator::LessOrEqual => (IF_GREATER, true, 2),
        };
        let (mut mask, mut value) = match argument.operator {
            Operator::MaskedEqual => (argument.value, argument.value_two),
            _ => (u64::MAX, argument.value),
        };
        if !wide {
            mask &= u64::from(u32::MAX);
        }
        value &= mask;
        Self {
            index: argument.index,
            code,
            negated,
            mask,
            value,
            rank: (argument.index, order, if order == 2 { !value } else { value }),
        }
    }
}

impl Condition {
    /// What has to hold for argument `index`, if anything. On an architecture that is not
    /// `wide`, the upper halves of arguments do not count.
    #[inline(never)]
    fn comparison(&self, arguments: &[Argument], wide: bool, index: u8) -> Option<Comparison> {
        let comparison = if self.multiplexed > 0 && index == 0 {
            let number = Argument {
                index,
                value: self.multiplexed.into(),
                value_two: 0,
                operator: Operator::Equal,
            };
            Comparison::new(&number, wide)
        } else {
            let of_index = |(number, argument): &(usize, &Argument)| {
                argument.index == index && (self.only == ALL || usize::from(self.only) == *number)
            };
            Comparison::new(arguments.iter().enumerate().find(of_index)?.1, wide)
        };
        // Nothing is asked of an argument without bits.
        (comparison.mask != 0).then_some(comparison)
    }

    fn comparisons(self, arguments: &[Argument], wide: bool) -> impl DoubleEndedIterator<Item = Comparison> {
        (0..6).filter_map(move |index| self.comparison(arguments, wide, index))
    }

    /// Whether it holds for any arguments.
    #[inline(never)]
    pub(super) fn is_empty(self, arguments: &[Argument], wide: bool) -> bool {
        // Most rules look at no argument.
        arguments.is_empty() && self.multiplexed == 0 || self.comparisons(arguments, wide).next().is_none()
    }

    /// Whether libseccomp asks it before `other`, which was there first.
    pub(super) fn precedes(self, arguments: &[Argument], other: Self, others: &[Argument], wide: bool) -> bool {
        let mut others = other.comparisons(others, wide);
        for comparison in self.comparisons(arguments, wide) {
            let Some(other) = others.next() else {
                return false;
            };
            let order = comparison.rank.cmp(&other.rank);
            if order.is_ne() {
                return order.is_gt();
            }
            if (comparison.code, comparison.mask) != (other.code, other.mask) {
                return false;
            }
        }
        // What asks for less comes first.
        others.next().is_some()
    }

    /// Writes it.
    pub(super) fn write(
        self,
        writer: &mut Writer<'_>,
        arguments: &[Argument],
        layout: Layout,
        yes: Address,
        no: Address,
    ) -> Address {
        let mut at = yes;
        for comparison in self.comparisons(arguments, layout.wide).rev() {
            at = comparison.write(writer, layout, at, no);
        }
        at
    }
}

/// How arguments lie in `struct seccomp_data`.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) wide: bool,
    pub(super) big_endian: bool,
}

impl Layout {
    /// Where a half of an argument is.
    fn offset(self, index: u8, high: bool) -> u32 {
        16 + 8 * u32::from(index) + 4 * u32::from(high != self.big_endian)
    }
}

impl Comparison {
    fn write(self, writer: &mut Writer<'_>, layout: Layout, yes: Address, no: Address) -> Address {
        let (yes, no) = if self.negated { (no, yes) } else { (yes, no) };
        let low = self.half(writer, layout, false, self.code, (yes, no));
        if !layout.wide {
            return low;
        }
        if self.code == IF_EQUAL {
            return self.half(writer, layout, true, IF_EQUAL, (low, no));
        }
        // Only where the upper halves are the same, the lower ones matter.
        let high = (self.value >> 32) as u32;
        let same = writer.compare(IF_EQUAL, high, low, no);
        self.half(writer, layout, true, IF_GREATER, (yes, same))
    }

    /// Compares one half.
    fn half(
        self,
        writer: &mut Writer<'_>,
        layout: Layout,
        high: bool,
        code: u16,
        (yes, no): (Address, Address),
    ) -> Address {
        let half = |word: u64| (if high { word >> 32 } else { word }) as u32;
        let mask = half(self.mask);
        if mask == 0 {
            return yes;
        }
        let mut at = writer.compare(code, half(self.value), yes, no);
        if mask != u32::MAX {
            at = writer.and(mask, at);
        }
        writer.load(layout.offset(self.index, high), at)
    }
}

/// The arguments of the rule that `condition` comes from.
pub(super) fn arguments_of<'s, 'a>(spec: &'s Spec<'a>, rules: &[Rule<'a>], condition: Condition) -> &'s [Argument] {
    match rules.get(usize::from(condition.rule)) {
        Some(rule) => spec.list(rule.arguments),
        None => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_lie_as_the_machine_has_them() {
        for (big_endian, low, high) in [(false, 16, 20), (true, 20, 16)] {
            let layout = Layout { wide: true, big_endian };
            assert_eq!((layout.offset(0, false), layout.offset(0, true)), (low, high));
            assert_eq!((layout.offset(5, false), layout.offset(5, true)), (40 + low, 40 + high));
        }
    }
}
