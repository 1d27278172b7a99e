//! Messages of a bus that says anything: reading them ends, and reads nothing that was not received.

#![no_main]

use launcher::cgroup::dbus::{MESSAGE_BYTES, Message, receive};
use rustix::io::Errno;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    let mut memory = [0; MESSAGE_BYTES];
    let mut read = |part: &mut [u8]| {
        if rest.is_empty() {
            return Err(Errno::TIMEDOUT);
        }
        // In parts of some lengths.
        let n = part.len().min(rest.len()).min(1 + usize::from(rest[0]) % 97);
        part[..n].copy_from_slice(&rest[..n]);
        rest = &rest[n..];
        Ok(n)
    };
    while let Ok(length) = receive(&mut memory, &mut read) {
        let Some(message) = Message::parse(&memory[..length]) else {
            continue;
        };
        let mut body = message.body;
        let mut seen = message.member.len() + message.error.len();
        let _ = body.word();
        while let Some(text) = body.text() {
            seen += text.len();
        }
        let mut body = message.body;
        seen += body.signature().map_or(0, str::len);
        assert!(seen <= 3 * length);
    }
});
