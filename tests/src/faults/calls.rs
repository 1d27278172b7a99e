//! The system calls that roci makes: their names, how each is told from its likes, and how each can fail.

use nix::libc::{self, c_long};

use super::tracer::read_text;

/// What the arguments are that tell a call from its likes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    Nothing,
    /// A descriptor, first.
    Fd,
    /// A path, first.
    Path,
    /// A descriptor and a path.
    FdPath,
    /// A number, first.
    Number,
    /// A descriptor and a number.
    FdNumber,
    /// Two paths.
    Paths,
    /// Two descriptors with a path each.
    FdsPaths,
}

/// One system call.
struct Known {
    number: c_long,
    name: &'static str,
    shows: Shows,
    /// The errors of its man page, the most telling ones first. A wrong pointer or descriptor (`EFAULT`, `EBADF`) is a mistake
    /// in the program and not a fault of the host, unless a descriptor of another kind is meant; so is
    /// a constant that no kernel refuses (`EINVAL` of `rt_sigprocmask` and `clock_gettime`).
    errnos: &'static [i32],
}

/// Short names for the table.
use libc::{
    E2BIG, EACCES, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EBUSY, ECANCELED, ECHILD, ECONNREFUSED, ECONNRESET,
    EDOM, EDQUOT, EEXIST, EFBIG, EINTR, EINVAL, EIO, EISDIR, ELOOP, EMFILE, EMLINK, EMSGSIZE, ENAMETOOLONG, ENFILE,
    ENOBUFS, ENODATA, ENODEV, ENOENT, ENOEXEC, ENOKEY, ENOLCK, ENOMEM, ENOSPC, ENOSYS, ENOTBLK, ENOTDIR, ENOTEMPTY,
    ENOTTY, ENXIO, EOPNOTSUPP, EOVERFLOW, EPERM, EPIPE, EPROTONOSUPPORT, EPROTOTYPE, EROFS, ESPIPE, ESRCH, ETXTBSY,
    EUSERS, EXDEV,
};

const OPEN: &[i32] = &[
    EACCES,
    ENOENT,
    EMFILE,
    EPERM,
    EINTR,
    ENOMEM,
    ENFILE,
    EBUSY,
    EDQUOT,
    EEXIST,
    EINVAL,
    EISDIR,
    ELOOP,
    ENAMETOOLONG,
    ENODEV,
    ENOSPC,
    ENOTDIR,
    ENXIO,
    EOPNOTSUPP,
    EOVERFLOW,
    EROFS,
    ETXTBSY,
    EAGAIN,
];
const PATHS: &[i32] = &[EACCES, ENOENT, EPERM, EROFS, EIO, ENOMEM, ELOOP, ENAMETOOLONG, ENOTDIR];
const MAKE: &[i32] = &[
    EACCES,
    ENOSPC,
    EROFS,
    EEXIST,
    EPERM,
    EDQUOT,
    ENOENT,
    ENOMEM,
    EMLINK,
    ELOOP,
    ENAMETOOLONG,
    ENOTDIR,
    EINVAL,
];
const REMOVE: &[i32] = &[
    EACCES,
    EBUSY,
    ENOENT,
    EPERM,
    EROFS,
    EIO,
    EISDIR,
    ENOTDIR,
    ENOTEMPTY,
    ENOMEM,
    ELOOP,
    ENAMETOOLONG,
    EINVAL,
];
const MOUNT: &[i32] = &[
    EPERM,
    ENODEV,
    EINVAL,
    EACCES,
    EBUSY,
    ELOOP,
    EMFILE,
    ENAMETOOLONG,
    ENOENT,
    ENOMEM,
    ENOSPC,
    ENOTBLK,
    ENOTDIR,
    ENXIO,
    EROFS,
];
const MOUNT_FD: &[i32] = &[
    ENOSYS, EPERM, EINVAL, EBUSY, EMFILE, ENFILE, ENODEV, ENOMEM, ENOSPC, EACCES, ELOOP, ENOENT, ENOTDIR, EOPNOTSUPP,
];
const SOCKET: &[i32] = &[
    EMFILE,
    EACCES,
    EAFNOSUPPORT,
    EINVAL,
    ENFILE,
    ENOBUFS,
    ENOMEM,
    EPROTONOSUPPORT,
    EPERM,
];
const SEND: &[i32] = &[
    ECONNRESET, EPIPE, ENOBUFS, ENOMEM, EINTR, EACCES, EAGAIN, EINVAL, EMSGSIZE, EOPNOTSUPP, EPERM,
];
const RECEIVE: &[i32] = &[ECONNRESET, EINTR, ENOMEM, EAGAIN, ECONNREFUSED, EINVAL, ENOBUFS];
const SPAWN: &[i32] = &[
    EAGAIN, ENOMEM, EPERM, ENOSPC, EINVAL, EUSERS, EBUSY, EEXIST, EOPNOTSUPP, EACCES, ENOSYS,
];
const CREDENTIALS: &[i32] = &[EPERM, EAGAIN, EINVAL];
const WAIT: &[i32] = &[ECHILD, EINTR, EINVAL];
const READ: &[i32] = &[EIO, EINTR, EAGAIN, EINVAL, EISDIR];
const WRITE: &[i32] = &[
    EIO, ENOSPC, EINTR, EPERM, EPIPE, EAGAIN, EDQUOT, EFBIG, EINVAL, EBUSY, EACCES, ESRCH,
];
const NONE: &[i32] = &[];

macro_rules! known {
    ($($number:ident $name:ident $shows:ident $errnos:expr;)*) => {
        &[$(Known { number: libc::$number, name: stringify!($name), shows: Shows::$shows, errnos: $errnos }),*]
    };
}

const KNOWN: &[Known] = known! {
    SYS_read read Fd READ;
    SYS_write write Fd WRITE;
    SYS_pwrite64 pwrite64 Fd WRITE;
    SYS_open open Path OPEN;
    SYS_openat openat FdPath OPEN;
    SYS_openat2 openat2 FdPath &[
        ENOSYS, EACCES, ENOENT, EAGAIN, EXDEV, EPERM, E2BIG, EINVAL, ELOOP, EMFILE, ENFILE, ENOMEM, ENOTDIR, EINTR, EROFS, ENXIO,
        ENOSPC, EEXIST, EISDIR,
    ];
    SYS_close close Fd &[EIO, EINTR, ENOSPC, EDQUOT];
    SYS_close_range close_range Number &[ENOSYS, EINVAL, EMFILE, ENOMEM];
    SYS_fstat fstat Fd &[EOVERFLOW, ENOMEM];
    SYS_newfstatat newfstatat FdPath PATHS;
    SYS_statx statx FdPath PATHS;
    SYS_fstatfs fstatfs Fd &[EINTR, EIO, ENOMEM, ENOSYS, EOVERFLOW];
    SYS_statfs statfs Path &[EACCES, ENOENT, EINTR, EIO, ELOOP, ENAMETOOLONG, ENOMEM, ENOSYS, ENOTDIR, EOVERFLOW];
    SYS_faccessat faccessat FdPath PATHS;
    SYS_faccessat2 faccessat2 FdPath &[ENOSYS, EACCES, ENOENT, EPERM, EROFS, EIO, ENOMEM, ELOOP, ENAMETOOLONG, ENOTDIR, ETXTBSY];
    SYS_readlinkat readlinkat FdPath &[EACCES, ENOENT, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOMEM, ENOTDIR];
    SYS_readlink readlink Path &[EACCES, ENOENT, EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOMEM, ENOTDIR];
    SYS_getdents64 getdents64 Fd &[EINVAL, ENOENT, ENOTDIR];
    SYS_lseek lseek Fd &[EINVAL, ENXIO, EOVERFLOW, ESPIPE];
    SYS_mkdirat mkdirat FdPath MAKE;
    SYS_mkdir mkdir Path MAKE;
    SYS_mknodat mknodat FdPath MAKE;
    SYS_symlinkat symlinkat Path MAKE;
    SYS_unlinkat unlinkat FdPath REMOVE;
    SYS_renameat renameat FdsPaths &[
        EACCES, ENOSPC, EBUSY, EDQUOT, EINVAL, EISDIR, ELOOP, EMLINK, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR, ENOTEMPTY, EPERM, EROFS, EXDEV,
    ];
    SYS_renameat2 renameat2 FdsPaths &[EACCES, ENOSPC, EINVAL, EPERM, EROFS, EEXIST];
    SYS_ftruncate ftruncate Fd &[EIO, EINTR, EINVAL, EPERM, EROFS, EFBIG, ETXTBSY];
    SYS_fchmod fchmod Fd &[EPERM, EROFS, EIO];
    SYS_fchmodat fchmodat FdPath PATHS;
    SYS_fchown fchown Fd &[EPERM, EROFS, EIO];
    SYS_fchownat fchownat FdPath PATHS;
    SYS_fcntl fcntl FdNumber &[EACCES, EAGAIN, EBUSY, EINTR, EINVAL, EMFILE, EPERM];
    SYS_flock flock Fd &[EINTR, EINVAL, ENOLCK, EAGAIN];
    SYS_ioctl ioctl FdNumber &[ENOTTY, EINVAL, EPERM, EIO, ENODEV];
    SYS_dup3 dup3 Fd &[EBUSY, EINTR, EINVAL, EMFILE];
    SYS_dup2 dup2 Fd &[EBUSY, EINTR, EMFILE];
    SYS_pipe2 pipe2 Nothing &[EINVAL, EMFILE, ENFILE];
    SYS_sendfile sendfile Fd &[EAGAIN, EINVAL, EIO, ENOMEM, EOVERFLOW];
    SYS_copy_file_range copy_file_range Fd &[ENOSYS, EXDEV, EINVAL, EIO, ENOSPC];
    SYS_memfd_create memfd_create Path &[ENOSYS, EINVAL, EMFILE, ENFILE, ENOMEM, EPERM];
    SYS_getxattr getxattr Path &[ENODATA, EOPNOTSUPP, EPERM];
    SYS_getcwd getcwd Nothing &[EACCES, EINVAL, ENAMETOOLONG, ENOENT, ENOMEM];
    SYS_chdir chdir Path &[EACCES, ENOENT, EIO, ELOOP, ENAMETOOLONG, ENOMEM, ENOTDIR];
    SYS_fchdir fchdir Fd &[EACCES, ENOTDIR];
    SYS_chroot chroot Path &[EPERM, EACCES, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOMEM, ENOTDIR];
    SYS_umask umask Nothing NONE;
    SYS_mount mount Paths MOUNT;
    SYS_umount2 umount2 Path &[EPERM, EBUSY, EINVAL, EAGAIN, ENAMETOOLONG, ENOENT, ENOMEM];
    SYS_pivot_root pivot_root Paths &[EPERM, EINVAL, EBUSY, ENOTDIR];
    SYS_open_tree open_tree FdPath MOUNT_FD;
    SYS_move_mount move_mount FdsPaths MOUNT_FD;
    SYS_fsopen fsopen Path MOUNT_FD;
    SYS_fsconfig fsconfig FdNumber MOUNT_FD;
    SYS_fsmount fsmount Fd MOUNT_FD;
    SYS_mount_setattr mount_setattr FdPath MOUNT_FD;
    SYS_unshare unshare Number &[EPERM, EINVAL, ENOMEM, ENOSPC, EUSERS];
    SYS_setns setns Fd &[EPERM, EINVAL, ENOMEM, ESRCH];
    SYS_sethostname sethostname Path &[EPERM, EINVAL];
    SYS_setdomainname setdomainname Path &[EPERM, EINVAL];
    SYS_clone clone Nothing SPAWN;
    SYS_clone3 clone3 Nothing SPAWN;
    SYS_fork fork Nothing &[EAGAIN, ENOMEM];
    SYS_vfork vfork Nothing &[EAGAIN, ENOMEM];
    SYS_execve execve Path &[
        EACCES, ENOENT, E2BIG, EAGAIN, EINVAL, EIO, EISDIR, ELOOP, EMFILE, ENAMETOOLONG, ENFILE, ENOEXEC, ENOMEM, ENOTDIR, EPERM, ETXTBSY,
    ];
    SYS_execveat execveat FdPath &[
        EACCES, ENOENT, E2BIG, EINVAL, EIO, ENOEXEC, ENOMEM, EPERM, ETXTBSY, ELOOP, ENOTDIR, ENOSYS,
    ];
    SYS_exit exit Nothing NONE;
    SYS_exit_group exit_group Nothing NONE;
    SYS_wait4 wait4 Nothing WAIT;
    SYS_waitid waitid Nothing WAIT;
    SYS_kill kill Nothing &[EPERM, ESRCH, EINVAL];
    SYS_tgkill tgkill Nothing &[EPERM, ESRCH, EINVAL, EAGAIN];
    SYS_pidfd_open pidfd_open Nothing &[ENOSYS, ESRCH, EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM, EPERM];
    SYS_pidfd_send_signal pidfd_send_signal Nothing &[ENOSYS, ESRCH, EPERM, EINVAL];
    SYS_pidfd_getfd pidfd_getfd Nothing &[ENOSYS, EPERM, EMFILE, ENFILE, ESRCH, EINVAL];
    SYS_getpid getpid Nothing NONE;
    SYS_getppid getppid Nothing NONE;
    SYS_gettid gettid Nothing NONE;
    SYS_getuid getuid Nothing NONE;
    SYS_geteuid geteuid Nothing NONE;
    SYS_getgid getgid Nothing NONE;
    SYS_getegid getegid Nothing NONE;
    SYS_setsid setsid Nothing &[EPERM];
    SYS_setuid setuid Nothing CREDENTIALS;
    SYS_setgid setgid Nothing CREDENTIALS;
    SYS_setresuid setresuid Nothing CREDENTIALS;
    SYS_setresgid setresgid Nothing CREDENTIALS;
    SYS_setgroups setgroups Nothing &[EPERM, EINVAL, ENOMEM];
    SYS_capset capset Nothing &[EPERM, EINVAL, ESRCH];
    SYS_capget capget Nothing &[EPERM, EINVAL, ESRCH];
    SYS_prctl prctl Number &[EPERM, EINVAL, EACCES, EBUSY];
    SYS_prlimit64 prlimit64 FdNumber &[EPERM, EINVAL, ESRCH];
    SYS_setrlimit setrlimit Number &[EPERM, EINVAL];
    SYS_getrlimit getrlimit Number &[EINVAL];
    SYS_sched_setaffinity sched_setaffinity Nothing &[EPERM, EINVAL, ESRCH];
    SYS_sched_setattr sched_setattr Nothing &[EPERM, EINVAL, EBUSY, E2BIG, ESRCH];
    SYS_ioprio_set ioprio_set Nothing &[EPERM, EINVAL, ESRCH];
    SYS_personality personality Nothing &[EINVAL];
    SYS_set_mempolicy set_mempolicy Nothing &[EINVAL, ENOMEM, EPERM];
    SYS_seccomp seccomp Number &[ENOSYS, EACCES, EINVAL, ENOMEM, ESRCH, EBUSY, ECANCELED, EOPNOTSUPP];
    SYS_bpf bpf Number &[EPERM, EINVAL, ENOMEM, E2BIG, EACCES, ENOSPC];
    SYS_keyctl keyctl Number &[ENOSYS, EDQUOT, EACCES, EINVAL, ENOKEY, ENOMEM, EPERM];
    SYS_rt_sigprocmask rt_sigprocmask Nothing NONE;
    SYS_rt_sigaction rt_sigaction Nothing NONE;
    SYS_rt_sigtimedwait rt_sigtimedwait Nothing &[EINTR, EAGAIN, EINVAL];
    SYS_signalfd4 signalfd4 Nothing &[EINVAL, EMFILE, ENFILE, ENODEV, ENOMEM];
    SYS_poll poll Nothing &[EINTR, EINVAL, ENOMEM];
    SYS_ppoll ppoll Nothing &[EINTR, EINVAL, ENOMEM];
    SYS_nanosleep nanosleep Nothing &[EINTR, EINVAL];
    SYS_clock_nanosleep clock_nanosleep Nothing &[EINTR, EINVAL];
    SYS_clock_gettime clock_gettime Nothing NONE;
    SYS_sysinfo sysinfo Nothing NONE;
    SYS_uname uname Nothing NONE;
    SYS_brk brk Nothing &[ENOMEM];
    SYS_mmap mmap Nothing &[ENOMEM, EACCES, EAGAIN, EINVAL, ENFILE, ENODEV, EPERM];
    SYS_munmap munmap Nothing &[EINVAL];
    SYS_mprotect mprotect Nothing &[ENOMEM, EACCES, EINVAL];
    SYS_madvise madvise Nothing &[EINVAL, EAGAIN, EIO, ENOMEM, EPERM];
    SYS_socket socket Number SOCKET;
    SYS_socketpair socketpair Number SOCKET;
    SYS_bind bind Fd &[EADDRINUSE, EACCES, EADDRNOTAVAIL, EINVAL, ENOMEM];
    SYS_connect connect Fd &[
        ECONNREFUSED, EACCES, EPERM, EADDRINUSE, EADDRNOTAVAIL, EAFNOSUPPORT, EAGAIN, EINTR, EPROTOTYPE, ENOENT,
    ];
    SYS_getsockname getsockname Fd &[EINVAL, ENOBUFS];
    SYS_setsockopt setsockopt Fd &[EINVAL, EDOM, ENOMEM];
    SYS_sendto sendto Fd SEND;
    SYS_sendmsg sendmsg Fd SEND;
    SYS_recvfrom recvfrom Fd RECEIVE;
    SYS_recvmsg recvmsg Fd RECEIVE;
    SYS_getrandom getrandom Nothing &[EAGAIN, EINTR, EINVAL, ENOSYS];
};

fn known(number: u64) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.number as u64 == number)
}

/// The name of a call.
pub fn name(number: u64) -> String {
    known(number).map_or_else(|| format!("call-{number}"), |known| known.name.to_owned())
}

/// Whether the table has it.
pub fn is_known(number: u64) -> bool {
    known(number).is_some()
}

/// How it can fail.
pub fn errnos(number: u64) -> &'static [i32] {
    known(number).map_or(NONE, |known| known.errnos)
}

/// As in `EPERM`.
pub fn errno_name(errno: i32) -> String {
    format!("{:?}", nix::errno::Errno::from_raw(errno))
}

/// The call with what tells it from its likes, as in `openat(/proc, "self/cgroup")`.
pub fn describe(pid: i32, number: u64, arguments: [u64; 4]) -> String {
    let [a, b, c, d] = arguments;
    let fd = |number: u64| {
        let number = number as i32;
        match std::fs::read_link(format!("/proc/{pid}/fd/{number}")) {
            Ok(path) => path.display().to_string(),
            Err(_) if number == libc::AT_FDCWD => ".".to_owned(),
            Err(_) => number.to_string(),
        }
    };
    let path = |address: u64| format!("\"{}\"", read_text(pid, address));
    let text = match known(number).map_or(Shows::Number, |known| known.shows) {
        Shows::Nothing => String::new(),
        Shows::Fd => fd(a),
        Shows::Path => path(a),
        Shows::FdPath => format!("{}, {}", fd(a), path(b)),
        Shows::Number => format!("{:#x}", a as u32),
        Shows::FdNumber => format!("{}, {:#x}", fd(a), b as u32),
        Shows::Paths => format!("{}, {}", path(a), path(b)),
        Shows::FdsPaths => format!("{}, {}, {}, {}", fd(a), path(b), fd(c), path(d)),
    };
    format!("{}({text})", name(number))
}
