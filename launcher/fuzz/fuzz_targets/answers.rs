//! Answers of a kernel that says anything: reading them ends, and reads nothing that was not received.

#![no_main]

use embedded_io::{ErrorType, Read, Write};
use launcher::net::netlink::{Failure, RTM_GETLINK, Request, attribute, exchange, number_at};
use rustix::io::Errno;

/// A socket that receives the bytes, part after part, each as long as its first byte says.
struct Kernel<'a>(&'a [u8]);

impl ErrorType for Kernel<'_> {
    type Error = Failure;
}

impl Read for Kernel<'_> {
    fn read(&mut self, memory: &mut [u8]) -> Result<usize, Failure> {
        let (length, rest) = self.0.split_first().ok_or(Failure(Errno::AGAIN))?;
        let (part, rest) = rest.split_at(rest.len().min(usize::from(*length)));
        self.0 = rest;
        let n = part.len().min(memory.len());
        memory[..n].copy_from_slice(&part[..n]);
        Ok(n)
    }
}

impl Write for Kernel<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Failure> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    let mut request = Request::new(RTM_GETLINK, 0, &[[0; 4]; 4]);
    if kind & 1 == 0 {
        request.acknowledge();
    }
    // The number of a request is not for the kernel to choose, so the answers are made to fit.
    let number = request.number_of_message().to_ne_bytes();
    let mut bytes = bytes.to_vec();
    for at in (1..bytes.len()).step_by(1 + usize::from(*kind)) {
        if let Some(place) = bytes.get_mut(at + 8..at + 12) {
            place.copy_from_slice(&number);
        }
    }
    let mut seen = 0;
    let _ = exchange(&mut Kernel(&bytes), &mut request, &mut [0; 128], &mut |payload| {
        seen += payload.len();
        for kind in 0..4 {
            let value = attribute(payload, 16, kind).unwrap_or_default();
            let _ = number_at(attribute(value, 0, kind).unwrap_or_default(), 0);
        }
    });
    assert!(seen <= bytes.len());
});
