//! What the rows of system calls are made of, for the build script that packs them and for who looks into them.

/// What a row has where an architecture does not have the system call.
pub const NONE: u16 = 0x3ff;
/// System calls have numbers below this one. Those that are private to ARM (`__ARM_NR_BASE` on) come from here on.
pub const PRIVATE: u16 = 1008;
/// From here on the third architecture has numbers of its own, less one.
pub const OWN: u16 = 510;

/// What a name is found by: FNV-1a with 32 bits.
pub fn hash(name: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    name.iter().fold(0x811c_9dc5, step)
}
