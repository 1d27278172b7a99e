//! What is written by hand of the kernel's structures, against its headers: `linux-raw-sys` has been made of them for each
//! machine. A machine on which the two differ, be it for its words of 32 bits or for the order of its bytes, does not compile.

use core::mem::{offset_of, size_of};

use linux_raw_sys::{general as k, loop_device, net, ptrace};
use rustix::time::Timespec;
use static_assertions::{assert_eq_align, assert_eq_size, const_assert, const_assert_eq};

use crate::bpf::halves;
use crate::mount::MountAttributes;
use crate::poll::Watch;
use crate::process::SchedulerAttributes;
use crate::seccomp::Program;
use crate::signal::{Action, AlternateStack, FLAGS, HANDLER, Info, MASK, PROCESS, SET_BYTES, STACK_SIZE, Words};
use crate::socket::{Address, Credentials, Header, Part, Rights};
use crate::{device, directory, fd, file, loop_device as own, process};

const WORD: usize = size_of::<usize>();

// mount_setattr(2)
assert_eq_size!(MountAttributes, k::mount_attr);
const_assert_eq!(offset_of!(MountAttributes, set), offset_of!(k::mount_attr, attr_set));
const_assert_eq!(offset_of!(MountAttributes, clear), offset_of!(k::mount_attr, attr_clr));
const_assert_eq!(
    offset_of!(MountAttributes, propagation),
    offset_of!(k::mount_attr, propagation)
);
const_assert_eq!(
    offset_of!(MountAttributes, user_namespace),
    offset_of!(k::mount_attr, userns_fd)
);

// clone3(2), as numbers of 64 bits
assert_eq_size!(process::CloneArguments, k::clone_args);
const_assert_eq!(offset_of!(k::clone_args, flags), 0);
const_assert_eq!(offset_of!(k::clone_args, pidfd), 8);
const_assert_eq!(offset_of!(k::clone_args, exit_signal), 4 * 8);
// The first version of it ends there.
const_assert_eq!(offset_of!(k::clone_args, set_tid), 64);
const_assert_eq!(offset_of!(k::clone_args, cgroup), 10 * 8);

// openat2(2), as numbers of 64 bits
assert_eq_size!(fd::OpenHow, k::open_how);
const_assert_eq!(offset_of!(k::open_how, flags), 0);
const_assert_eq!(offset_of!(k::open_how, mode), 8);
const_assert_eq!(offset_of!(k::open_how, resolve), 2 * 8);

// prlimit64(2), as numbers of 64 bits
assert_eq_size!([u64; 2], k::rlimit64);
const_assert_eq!(offset_of!(k::rlimit64, rlim_cur), 0);
const_assert_eq!(offset_of!(k::rlimit64, rlim_max), 8);

// clock_gettime(2); clock_settime(2), as numbers of 64 bits
assert_eq_size!(Timespec, k::__kernel_timespec);
const_assert_eq!(offset_of!(Timespec, tv_sec), offset_of!(k::__kernel_timespec, tv_sec));
const_assert_eq!(offset_of!(Timespec, tv_nsec), offset_of!(k::__kernel_timespec, tv_nsec));
assert_eq_size!([i64; 2], k::__kernel_timespec);
const_assert_eq!(offset_of!(k::__kernel_timespec, tv_sec), 0);
const_assert_eq!(offset_of!(k::__kernel_timespec, tv_nsec), 8);

// rt_sigtimedwait(2), ppoll(2), and clock_gettime(2) of old kernels, as words
assert_eq_size!([usize; 2], k::__kernel_old_timespec);
const_assert_eq!(offset_of!(k::__kernel_old_timespec, tv_sec), 0);
const_assert_eq!(offset_of!(k::__kernel_old_timespec, tv_nsec), WORD);

// ppoll(2), poll(2)
assert_eq_size!(Watch, k::pollfd);
assert_eq_align!(Watch, k::pollfd);
const_assert_eq!(offset_of!(Watch, fd), offset_of!(k::pollfd, fd));
const_assert_eq!(offset_of!(Watch, events), offset_of!(k::pollfd, events));
const_assert_eq!(offset_of!(Watch, happened), offset_of!(k::pollfd, revents));

// rt_sigprocmask(2), rt_sigaction(2)
assert_eq_size!(Words, k::kernel_sigset_t);
const_assert_eq!(size_of::<k::kernel_sigset_t>(), SET_BYTES);
const_assert!(size_of::<k::kernel_sigaction>() <= size_of::<Action>());
#[cfg(not(target_arch = "mips"))]
const _: () = {
    use k::kernel_sigaction as theirs;
    assert!(offset_of!(theirs, sa_handler_kernel) == HANDLER * WORD);
    assert!(offset_of!(theirs, sa_flags) == FLAGS * WORD);
    assert!(offset_of!(theirs, sa_mask) == MASK * WORD);
    assert!(size_of::<theirs>() == MASK * WORD + SET_BYTES);
};
// The other one is not made of headers, and not as MIPS has it.
#[cfg(target_arch = "mips")]
const _: () = {
    use k::sigaction as theirs;
    assert!(offset_of!(theirs, sa_handler) == HANDLER * WORD);
    assert!(offset_of!(theirs, sa_flags) == FLAGS * WORD);
    assert!(offset_of!(theirs, sa_mask) == MASK * WORD);
};
const_assert!(MASK * WORD + SET_BYTES <= size_of::<Action>());

// rt_sigtimedwait(2)
assert_eq_size!(Info, k::siginfo_t);
const_assert_eq!(
    offset_of!(k::siginfo__bindgen_ty_1__bindgen_ty_1, _sifields) + offset_of!(k::__sifields__bindgen_ty_1, _pid),
    4 * PROCESS
);

// sigaltstack(2)
assert_eq_size!(AlternateStack, k::stack_t);
const_assert_eq!(offset_of!(k::stack_t, ss_sp), 0);
const_assert_eq!(offset_of!(k::stack_t, ss_size), STACK_SIZE * WORD);

// sched_setattr(2), which linux-raw-sys lacks. It is laid out alike everywhere.
const_assert_eq!(size_of::<SchedulerAttributes>(), 48);
const_assert_eq!(offset_of!(SchedulerAttributes, flags), 8);
const_assert_eq!(offset_of!(SchedulerAttributes, nice), 16);
const_assert_eq!(offset_of!(SchedulerAttributes, runtime), 24);

// getdents64(2)
const_assert_eq!(offset_of!(k::linux_dirent64, d_reclen), directory::HEAD - 3);
const_assert_eq!(offset_of!(k::linux_dirent64, d_type), directory::HEAD - 1);
const_assert_eq!(offset_of!(k::linux_dirent64, d_name), directory::HEAD);

// sendmsg(2), recvmsg(2), connect(2)
assert_eq_size!(Part, k::iovec);
const_assert_eq!(offset_of!(Part, start), offset_of!(k::iovec, iov_base));
const_assert_eq!(offset_of!(Part, len), offset_of!(k::iovec, iov_len));
assert_eq_size!(Header, net::msghdr);
assert_eq_align!(Header, net::msghdr);
const_assert_eq!(offset_of!(Header, name), offset_of!(net::msghdr, msg_name));
const_assert_eq!(offset_of!(Header, name_len), offset_of!(net::msghdr, msg_namelen));
const_assert_eq!(offset_of!(Header, parts), offset_of!(net::msghdr, msg_iov));
const_assert_eq!(offset_of!(Header, parts_len), offset_of!(net::msghdr, msg_iovlen));
const_assert_eq!(offset_of!(Header, control), offset_of!(net::msghdr, msg_control));
const_assert_eq!(offset_of!(Header, control_len), offset_of!(net::msghdr, msg_controllen));
const_assert_eq!(offset_of!(Header, flags), offset_of!(net::msghdr, msg_flags));
const_assert_eq!(offset_of!(Rights, len), offset_of!(net::cmsghdr, cmsg_len));
const_assert_eq!(offset_of!(Rights, level), offset_of!(net::cmsghdr, cmsg_level));
const_assert_eq!(offset_of!(Rights, kind), offset_of!(net::cmsghdr, cmsg_type));
const_assert_eq!(offset_of!(Rights, fd), size_of::<net::cmsghdr>());
assert_eq_size!(Address, net::sockaddr_un);
const_assert_eq!(offset_of!(Address, family), offset_of!(net::sockaddr_un, sun_family));
const_assert_eq!(offset_of!(Address, path), offset_of!(net::sockaddr_un, sun_path));

// SO_PEERCRED
assert_eq_size!(Credentials, net::ucred);
const_assert_eq!(offset_of!(net::ucred, uid), 4);

// SIOCSIFADDR and its likes
assert_eq_size!(device::Address, net::sockaddr_in);
const_assert_eq!(
    offset_of!(device::Address, family),
    offset_of!(net::sockaddr_in, sin_family)
);
const_assert_eq!(
    offset_of!(device::Address, port),
    offset_of!(net::sockaddr_in, sin_port)
);
const_assert_eq!(
    offset_of!(device::Address, address),
    offset_of!(net::sockaddr_in, sin_addr)
);
// The longest member of the kernel's union is this one (and, with as many bytes on 32-bit machines, an address; that of
// linux-raw-sys is longer, so its structure is too).
const IFREQ_BYTES: usize = offset_of!(net::ifreq, ifr_ifru) + size_of::<net::ifmap>();
const_assert_eq!(IFREQ_BYTES, if WORD == 8 { 40 } else { 32 });
const_assert!(IFREQ_BYTES <= size_of::<device::Request>());
const_assert!(IFREQ_BYTES <= file::REQUEST_BYTES);
const_assert_eq!(offset_of!(device::Request, name), offset_of!(net::ifreq, ifr_ifrn));
const_assert_eq!(offset_of!(device::Request, address), offset_of!(net::ifreq, ifr_ifru));

// SIOCADDRT, which linux-raw-sys lacks: what a compiler for C makes of the header
const_assert_eq!(size_of::<device::Route>(), if WORD == 8 { 120 } else { 84 });
const_assert_eq!(offset_of!(device::Route, to), WORD);
const_assert_eq!(offset_of!(device::Route, metric), if WORD == 8 { 80 } else { 64 });
const_assert_eq!(offset_of!(device::Route, device), if WORD == 8 { 88 } else { 68 });
const_assert_eq!(offset_of!(device::Route, irtt), if WORD == 8 { 112 } else { 80 });

// RNDADDENTROPY
const_assert_eq!(
    offset_of!(device::Pool, bits),
    offset_of!(k::rand_pool_info, entropy_count)
);
const_assert_eq!(offset_of!(device::Pool, size), offset_of!(k::rand_pool_info, buf_size));
const_assert_eq!(offset_of!(device::Pool, bytes), offset_of!(k::rand_pool_info, buf));

// seccomp(2)
type Filter = Program<'static, ptrace::sock_filter>;
assert_eq_size!(Filter, ptrace::sock_fprog);
const_assert_eq!(offset_of!(Filter, length), offset_of!(ptrace::sock_fprog, len));
const_assert_eq!(offset_of!(Filter, instructions), offset_of!(ptrace::sock_fprog, filter));

// LOOP_CONFIGURE
assert_eq_size!([u32; own::WORDS], loop_device::loop_config);
const_assert_eq!(offset_of!(loop_device::loop_config, fd), 0);
const_assert_eq!(4 * own::INFO, offset_of!(loop_device::loop_config, info));
const_assert_eq!(
    4 * own::FLAGS,
    offset_of!(loop_device::loop_config, info) + offset_of!(loop_device::loop_info64, lo_flags)
);

// LOOP_SET_STATUS64
const_assert!(4 * own::INFO + size_of::<loop_device::loop_info64>() <= 4 * own::WORDS);

// bpf(2) takes pointers as numbers of 64 bits.
const_assert!(matches!(
    (halves(1), cfg!(target_endian = "little")),
    ([1, 0], true) | ([0, 1], false)
));
