//! The integration tests: every one runs the real executable.

mod bridge;
mod cgroups;
mod cgroups2;
mod concurrency;
mod console;
mod contract;
mod cve;
mod delete;
mod device;
mod errors;
mod exec;
mod fallbacks;
mod hooks;
mod init_program;
mod kill;
mod lifecycle;
mod list;
mod log;
mod mounts;
mod namespaces;
mod network;
mod overlay;
mod policy;
mod process;
mod recovery;
mod rootless;
mod run;
mod seccomp;
mod smallest;
mod state;
mod stdio;
mod systemd;

fn main() -> std::process::ExitCode {
    let mut cases = Vec::new();
    cases.extend(bridge::cases());
    cases.extend(bridge::errors::cases());
    cases.extend(bridge::host::cases());
    cases.extend(bridge::many::cases());
    cases.extend(bridge::others::cases());
    cases.extend(cgroups::cases());
    cases.extend(cgroups2::cases());
    cases.extend(concurrency::cases());
    cases.extend(console::cases());
    cases.extend(contract::cases());
    cases.extend(cve::cases());
    cases.extend(cve::paths::cases());
    cases.extend(cve::processes::cases());
    cases.extend(delete::cases());
    cases.extend(errors::cases());
    cases.extend(exec::cases());
    cases.extend(fallbacks::cases());
    cases.extend(hooks::cases());
    cases.extend(device::cases());
    cases.extend(init_program::cases());
    cases.extend(kill::cases());
    cases.extend(lifecycle::cases());
    cases.extend(list::cases());
    cases.extend(log::cases());
    cases.extend(mounts::cases());
    cases.extend(namespaces::cases());
    cases.extend(network::cases());
    cases.extend(overlay::cases());
    cases.extend(policy::cases());
    cases.extend(process::cases());
    cases.extend(recovery::cases());
    cases.extend(rootless::cases());
    cases.extend(run::cases());
    cases.extend(seccomp::cases());
    if smallest::is_tested() {
        cases.extend(smallest::cases());
    }
    cases.extend(state::cases());
    cases.extend(stdio::cases());
    cases.extend(systemd::cases());
    tests::main(cases)
}
