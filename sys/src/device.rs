//! What the first process of a device says to the kernel: the watchdog, entropy, the clock, addresses of the network.

use core::ffi::CStr;

use linux_raw_sys::general as k;
use linux_raw_sys::ioctl as operations;
use rustix::fd::BorrowedFd;
use rustix::io::Result;

use crate::call::{call, ioctl};

/// Tells the watchdog that all is well.
pub fn feed_watchdog(fd: BorrowedFd<'_>) -> Result<()> {
    let mut unused = 0_i32;
    // SAFETY: no driver looks at more than an int here, and most at nothing.
    unsafe { ioctl(fd, operations::WDIOC_KEEPALIVE, (&raw mut unused).expose_provenance()) }.map(drop)
}

/// Asks the watchdog to wait for so many seconds; the value is what it has taken.
pub fn set_watchdog(fd: BorrowedFd<'_>, seconds: u32) -> Result<u32> {
    let mut seconds = seconds as i32;
    // SAFETY: this operation reads an int, and writes what the watchdog has taken into the same place.
    unsafe { ioctl(fd, operations::WDIOC_SETTIMEOUT, (&raw mut seconds).expose_provenance()) }?;
    Ok(seconds as u32)
}

/// For how many seconds the watchdog waits.
pub fn watchdog_seconds(fd: BorrowedFd<'_>) -> Result<u32> {
    let mut seconds = 0_i32;
    // SAFETY: this operation writes an int.
    unsafe { ioctl(fd, operations::WDIOC_GETTIMEOUT, (&raw mut seconds).expose_provenance()) }?;
    Ok(seconds as u32)
}

/// Whether it was the watchdog that restarted the machine.
pub fn has_watchdog_fired(fd: BorrowedFd<'_>) -> bool {
    const WDIOF_CARDRESET: i32 = 0x20;
    let mut flags = 0_i32;
    // SAFETY: this operation writes an int.
    let told = unsafe {
        ioctl(
            fd,
            operations::WDIOC_GETBOOTSTATUS,
            (&raw mut flags).expose_provenance(),
        )
    };
    told.is_ok() && flags & WDIOF_CARDRESET != 0
}

/// Bytes of a seed of the kernel's random numbers.
pub const SEED_BYTES: usize = 256;

/// `struct rand_pool_info`.
#[repr(C)]
pub(crate) struct Pool {
    pub(crate) bits: i32,
    pub(crate) size: i32,
    pub(crate) bytes: [u8; SEED_BYTES],
}

/// Gives the kernel random bytes that nobody knows, and that count as such. `random` is its device.
pub fn add_entropy(random: BorrowedFd<'_>, seed: &[u8; SEED_BYTES]) -> Result<()> {
    let pool = Pool {
        bits: SEED_BYTES as i32 * 8,
        size: SEED_BYTES as i32,
        bytes: *seed,
    };
    // SAFETY: this operation reads two ints and, behind them, as many bytes as the second one says, all of which `pool` has.
    unsafe { ioctl(random, operations::RNDADDENTROPY, (&raw const pool).expose_provenance()) }.map(drop)
}

/// Sets the time of day.
pub fn set_clock(seconds: i64) -> Result<()> {
    let time: [i64; 2] = [seconds, 0];
    #[cfg(target_pointer_width = "64")]
    let number = k::__NR_clock_settime;
    #[cfg(target_pointer_width = "32")]
    let number = k::__NR_clock_settime64;
    // SAFETY: the kernel reads a `struct __kernel_timespec`, two 64-bit numbers. Clock 0 is the time of day.
    unsafe { call(number, [0, time.as_ptr().expose_provenance(), 0, 0, 0, 0]) }.map(drop)
}

/// `struct sockaddr_in`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct Address {
    pub(crate) family: u16,
    pub(crate) port: u16,
    pub(crate) address: [u8; 4],
    zero: [u8; 8],
}

impl Address {
    const fn of(address: [u8; 4]) -> Self {
        Self {
            family: 2,
            port: 0,
            address,
            zero: [0; 8],
        }
    }
}

/// `struct ifreq` with an address, padded to its size on 64-bit machines.
#[repr(C)]
pub(crate) struct Request {
    pub(crate) name: [u8; 16],
    pub(crate) address: Address,
    zero: [u8; 8],
}

/// Gives the network device `name` an address of IPv4 and the mask of its network, and turns it on. `socket` is any socket
/// of that family.
pub fn set_address(socket: BorrowedFd<'_>, name: &CStr, address: [u8; 4], mask: [u8; 4]) -> Result<()> {
    const IFF_UP: u16 = 1;
    let mut request = Request {
        name: [0; 16],
        address: Address::of(address),
        zero: [0; 8],
    };
    // The last byte stays a NUL.
    crate::copy(request.name.get_mut(..15).unwrap_or_default(), name.to_bytes());
    let mut ask = |operation, address: Address| {
        request.address = address;
        // SAFETY: these operations read a `struct ifreq`, which is no longer than this, and which nobody changes meanwhile; they
        // write nothing back.
        unsafe { ioctl(socket, operation, (&raw const request).expose_provenance()) }.map(drop)
    };
    ask(operations::SIOCSIFADDR, Address::of(address))?;
    ask(operations::SIOCSIFNETMASK, Address::of(mask))?;
    // The flags lie where the family of an address does.
    let flags = Address {
        family: IFF_UP,
        ..Address::default()
    };
    ask(operations::SIOCSIFFLAGS, flags)
}

/// `struct rtentry`.
#[repr(C)]
pub(crate) struct Route {
    pad: usize,
    pub(crate) to: Address,
    gateway: Address,
    mask: Address,
    flags: u16,
    pad2: i16,
    pad3: usize,
    pad4: usize,
    pub(crate) metric: i16,
    pub(crate) device: usize,
    mtu: usize,
    window: usize,
    pub(crate) irtt: u16,
}

/// Lets everything that has no other way go by way of `gateway`.
pub fn set_gateway(socket: BorrowedFd<'_>, gateway: [u8; 4]) -> Result<()> {
    const RTF_UP: u16 = 1;
    const RTF_GATEWAY: u16 = 2;
    let any = Address::of([0; 4]);
    let route = Route {
        pad: 0,
        to: any,
        gateway: Address::of(gateway),
        mask: any,
        flags: RTF_UP | RTF_GATEWAY,
        pad2: 0,
        pad3: 0,
        pad4: 0,
        metric: 0,
        device: 0,
        mtu: 0,
        window: 0,
        irtt: 0,
    };
    // SAFETY: this operation reads a `struct rtentry`, and the name of a device where there is an address of one: here it is
    // null. What lies in the gaps between the members is nothing to the kernel.
    unsafe { ioctl(socket, operations::SIOCADDRT, (&raw const route).expose_provenance()) }.map(drop)
}
