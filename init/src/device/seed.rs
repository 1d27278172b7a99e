//! What a device remembers from one run to the next, on its data partition: random bytes, and by their file's date a time
//! that has passed.

use core::ffi::CStr;

use rustix::fd::AsFd;
use rustix::fs::{CWD, Mode, OFlags, fstat, rename, sync};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use sys::device::{SEED_BYTES, add_entropy, set_clock};
use sys::directory::make;
use sys::fd::{create_in, open, read};
use sys::process::{Clock, now};

use super::say::{complain, say};
use crate::message::words;
use crate::text::number;

const DIRECTORY: &CStr = c"/data/roci";
const FILE: &CStr = c"/data/roci/seed";
const NEW: &CStr = c"/data/roci/seed.new";

/// The day on which this was written, 2026-11-28, where the build does not say when it was: it is not earlier.
const WRITTEN: i64 = 1_795_824_000;

/// Gives the kernel the random bytes of the last run, and replaces them, so that no two runs begin with the same. Sets a
/// clock that has stood still to the last time that is known.
pub fn restore(has_data: bool) {
    let built = option_env!("SOURCE_DATE_EPOCH").and_then(|text| number(text.as_bytes(), u32::MAX));
    let mut earliest = built.map_or(WRITTEN, i64::from);
    if has_data {
        match use_seed() {
            Ok(date) => earliest = earliest.max(date),
            // It is the first run.
            Err(Errno::NOENT) => {}
            Err(errno) => complain(FILE.to_bytes(), words(errno)),
        }
    }
    if now(Clock::Realtime).tv_sec < earliest {
        match set_clock(earliest) {
            Ok(()) => say(
                b"clock",
                &[b"it had stood still, and is set to the last time that is known"],
            ),
            Err(errno) => complain(b"clock", words(errno)),
        }
    }
    if has_data {
        save();
    }
}

fn use_seed() -> Result<i64, Errno> {
    let file = open(FILE, OFlags::RDONLY)?;
    let mut seed = [0; SEED_BYTES];
    let is_whole = read(file.as_fd(), &mut seed)?.len() == SEED_BYTES;
    let date = fstat(&file)?.st_mtime;
    file.close();
    if is_whole {
        let random = open(c"/dev/urandom", OFlags::WRONLY)?;
        let added = add_entropy(random.as_fd(), &seed);
        random.close();
        added?;
    }
    Ok(date as i64)
}

/// Writes new random bytes. What cannot be written is told, and no reason not to go on.
pub fn save() {
    if let Err(errno) = try_save() {
        complain(FILE.to_bytes(), words(errno));
    }
}

fn try_save() -> Result<(), Errno> {
    let mut seed = [0; SEED_BYTES];
    if getrandom(&mut seed, GetRandomFlags::NONBLOCK)? != SEED_BYTES {
        return Err(Errno::AGAIN);
    }
    make(CWD, DIRECTORY, Mode::from_raw_mode(0o700))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
    let file = create_in(CWD, NEW, flags, Mode::from_raw_mode(0o600))?;
    let written = rustix::io::write(&file, &seed).map(drop);
    file.close();
    written?;
    rename(NEW, FILE)?;
    sync();
    Ok(())
}
