//! The test harness of roci.
//!
//! This crate is the one place that knows how the runtime is started: a test says what it wants of a container and
//! never spells a path, a flag of the harness or a time limit. The runtime under test is the executable that the
//! environment variable `ROCI` names, or else the release build of this workspace; `ROCI=/usr/sbin/runc` runs the same
//! tests on runc, which is how a new test is shown to test the specification and not our reading of it.
//!
//! Every test runs in a process of its own ([`runner`]), with its own state directory and a token that is part of every
//! name it makes, so that what it leaves behind can be found and is a failure ([`leaks`]).

mod bundle;
mod console;
mod container;
#[cfg(target_arch = "x86_64")]
pub mod faults;
pub mod leaks;
mod machine;
mod runner;
mod runtime;
pub mod systemd;
mod test;
pub mod tidy;

pub use bundle::{busybox, default_config, make_rootfs};
pub use console::{ConsoleSocket, Terminal};
pub use container::Container;
pub use machine::{apt_install, cgroup_mounts, have, kernel_version, proc_status, start_time, user_namespaces};
pub use runner::{Case, main};
pub use runtime::{Invocation, Outcome, Running, Runtime};
pub use targets as products;
pub use test::{Test, eventually, field, patience};

/// Names the tests of a file for the runner. A test that is not listed is dead code, which the compiler reports.
#[macro_export]
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The tests of this file.
        pub fn cases() -> Vec<$crate::Case> {
            vec![$($crate::Case::new(module_path!(), stringify!($name), $name)),*]
        }
    };
}
