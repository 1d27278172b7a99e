//! On which processors and in which memory a process runs.

use rustix::io::Errno;
use spec_core::Text;
use spec_core::linux::MemoryPolicy;

use crate::error::{Error, Result, keep};
use crate::msg;
use crate::policy::{Feature, is_off, is_preferred};
use crate::text::{parse_number, parts, split_once};

/// Processors or memory nodes that a list can name: twice what the largest kernel is built for (`NR_CPUS`, `MAX_NUMNODES`).
const PLACES_MAX: usize = 16384;
const WORD_BITS: usize = usize::BITS as usize;
/// A bit for each.
type Places = [usize; PLACES_MAX / WORD_BITS];

/// `execCPUAffinity`: restricts the process `pid`, 0 for this one, to the processors of `list`.
pub fn set_affinity(pid: i32, field: &'static str, list: Option<Text<'static>>) -> Result<()> {
    let Some(list) = list.filter(|list| !list.is_empty()) else {
        return Ok(());
    };
    let result = parse(list.as_str()).and_then(|places| sys::process::set_affinity(pid, &places));
    result.map_err(|errno| refused(field, list, errno))
}

/// `memoryPolicy`, which what this process becomes inherits.
pub fn set_memory_policy(policy: &MemoryPolicy<'static>) -> Result<()> {
    if is_off(Feature::MemoryPolicy) {
        return Ok(());
    }
    let nodes = policy.nodes.unwrap_or(Text::EMPTY);
    // A bit more than there are: the kernel takes one off the number.
    let result =
        parse(nodes.as_str()).and_then(|places| sys::process::set_memory_policy(policy.mode | policy.flags, &places));
    match result {
        Err(Errno::NOSYS) if is_preferred(Feature::MemoryPolicy) => Ok(()),
        Err(Errno::NOSYS) => Err(Error::said(msg!("linux.memoryPolicy: the kernel needs CONFIG_NUMA"))),
        result => result.map_err(|errno| refused("linux.memoryPolicy", nodes, errno)),
    }
}

fn refused(field: &'static str, list: Text<'static>, errno: Errno) -> Error {
    Error::new(keep(msg!("#: set \"#\""), &[field, list.as_str()]), errno)
}

/// `0-3,7`, as the kernel writes such lists (cpuset(7), List format).
fn parse(list: &str) -> core::result::Result<Places, Errno> {
    let mut places = [0; PLACES_MAX / WORD_BITS];
    for part in parts(list, b',').map(str::trim_ascii).filter(|part| !part.is_empty()) {
        let (first, last) = split_once(part, b'-');
        let last = last.unwrap_or(first);
        let number = |digits: &str| parse_number(digits.trim_ascii()).map_or(Err(Errno::INVAL), |n| Ok(n as usize));
        let (first, last) = (number(first)?, number(last)?);
        if first > last || last >= PLACES_MAX {
            return Err(Errno::INVAL);
        }
        for place in first..=last {
            if let Some(word) = places.get_mut(place / WORD_BITS) {
                *word |= 1 << (place % WORD_BITS);
            }
        }
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_places() {
        let first_word = |list: &str| parse(list).map(|places| places[0]).ok();
        assert_eq!(first_word("0"), Some(1));
        assert_eq!(first_word("0-3,5"), Some(0b10_1111));
        assert_eq!(first_word(" 1 - 2 , 4,"), Some(0b1_0110));
        assert_eq!(first_word("0-1,1,0"), Some(0b11));
        assert_eq!(first_word(""), Some(0));
        for list in ["a", "3-1", "-", "1-", "16384", "0-99999999999999999999"] {
            assert_eq!(first_word(list), None, "{list}");
        }
        assert_eq!(
            parse("16383").map(|places| places[PLACES_MAX / WORD_BITS - 1]),
            Ok(1 << (WORD_BITS - 1))
        );
    }
}
