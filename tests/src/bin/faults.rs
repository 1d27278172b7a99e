//! `cargo suite --faults` in short: makes every system call of roci fail once. See `tests/src/faults`.

#[cfg(target_arch = "x86_64")]
fn main() -> std::process::ExitCode {
    use tests::faults::{TRACED, become_traced, sweep, work};
    let mut args = std::env::args_os().skip(1).peekable();
    if args.next_if(|arg| arg == TRACED).is_some() {
        become_traced(args);
    }
    let mut words: Vec<String> = args.map(|arg| arg.to_string_lossy().into_owned()).collect();
    if words.first().is_some_and(|word| word == "--work") {
        words.remove(0);
        return work(words);
    }
    sweep(words)
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    eprintln!("the registers of this machine are not known here: the sweep runs on x86_64");
}
