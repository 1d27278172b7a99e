//! The integration tests: every one runs the real executable.

mod delete;
mod errors;
mod kill;
mod lifecycle;
mod mounts;
mod namespaces;
mod state;

fn main() -> std::process::ExitCode {
    let mut cases = Vec::new();
    cases.extend(delete::cases());
    cases.extend(errors::cases());
    cases.extend(kill::cases());
    cases.extend(lifecycle::cases());
    cases.extend(mounts::cases());
    cases.extend(namespaces::cases());
    cases.extend(state::cases());
    tests::main(cases)
}
