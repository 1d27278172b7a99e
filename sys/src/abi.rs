//! What is written by hand of the kernel's structures, against its headers: `linux-raw-sys` has been made of them for each
//! machine. A machine on which the two differ, be it for its words of 32 bits or for the order of its bytes, does not compile.

use core::mem::{offset_of, size_of};

use linux_raw_sys::{general as k, loop_device, net, ptrace};
use rustix::time::Timespec;
use static_assertions::{assert_eq_align, assert_eq_size, const_assert, const_assert_eq};

use crate::bpf::halves;
use crate::mount::MountAttributes;
use crate::seccomp::Program;
use crate::signal::{Action, HANDLER, SET_BYTES, Words};
use crate::socket::{Address, Header, Part, Rights};
use crate::{directory, loop_device as own, process};

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
const_assert_eq!(offset_of!(k::clone_args, set_tid), 64);
const_assert_eq!(offset_of!(k::clone_args, cgroup), 10 * 8);

// prlimit64(2), clock_gettime(2)
assert_eq_size!([u64; 2], k::rlimit64);
assert_eq_size!(Timespec, k::__kernel_timespec);

// rt_sigprocmask(2), rt_sigaction(2)
assert_eq_size!(Words, k::kernel_sigset_t);
const_assert_eq!(size_of::<k::kernel_sigset_t>(), SET_BYTES);
const_assert!(size_of::<k::kernel_sigaction>() <= size_of::<Action>());
#[cfg(not(target_arch = "mips"))]
const_assert_eq!(
    offset_of!(k::kernel_sigaction, sa_handler_kernel),
    HANDLER * size_of::<usize>()
);
// The other one is not made of headers, and not as MIPS has it.
#[cfg(target_arch = "mips")]
const_assert_eq!(offset_of!(k::sigaction, sa_handler), HANDLER * size_of::<usize>());

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

// seccomp(2)
type Filter = Program<ptrace::sock_filter>;
assert_eq_size!(Filter, ptrace::sock_fprog);
const_assert_eq!(offset_of!(Filter, length), offset_of!(ptrace::sock_fprog, len));
const_assert_eq!(offset_of!(Filter, instructions), offset_of!(ptrace::sock_fprog, filter));

// LOOP_CONFIGURE
assert_eq_size!([u32; own::WORDS], loop_device::loop_config);
const_assert_eq!(4 * own::INFO, offset_of!(loop_device::loop_config, info));
const_assert_eq!(
    4 * own::FLAGS,
    offset_of!(loop_device::loop_config, info) + offset_of!(loop_device::loop_info64, lo_flags)
);

// bpf(2) takes pointers as numbers of 64 bits.
const_assert!(matches!(
    (halves(1), cfg!(target_endian = "little")),
    ([1, 0], true) | ([0, 1], false)
));
