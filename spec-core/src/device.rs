//! What `roci-boot`, the first process of a device, and `roci` say to each other: by annotations of a bundle and over a
//! socket. Both sides are made of this, so neither can be wrong about the other.

pub mod protocol;
pub mod settings;
