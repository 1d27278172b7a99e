//! `cargo dist`: the executables for every machine that roci runs on, in `target/dist/TRIPLE/`, with their checksums.
//!
//! `cargo dist TRIPLE...` builds those, and `cargo dist --bless` writes the table of sizes in the README anew.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use lexopt::{Arg, Parser};
use sha2::{Digest, Sha256};
use targets::{EXECUTABLES, TARGETS, Target, build, check_executable, target_directory, workspace};

const USAGE: &str = "usage: cargo dist [--bless] [TRIPLE...]";
/// The table of sizes in the README stands between these.
const MARKERS: (&str, &str) = ("<!-- sizes:begin -->\n", "<!-- sizes:end -->");

fn main() -> ExitCode {
    let (wanted, bless) = match parse() {
        Ok(parsed) => parsed,
        Err(error) => {
            eprintln!("{error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut rows = String::from("| target | `roci` | `roci-init` | `roci-boot` |\n|---|--:|--:|--:|\n");
    let mut failed = false;
    for target in &wanted {
        match pack(target) {
            Ok([roci, init, boot]) => {
                println!(
                    "{}: roci {roci} bytes, roci-init {init}, roci-boot {boot}",
                    target.triple
                );
                let mark = if target.is_experimental { " (experimental)" } else { "" };
                rows += &format!("| `{}`{mark} | {roci} | {init} | {boot} |\n", target.triple);
            }
            Err(why) => {
                eprintln!("{}: {why}", target.triple);
                failed |= !target.is_experimental;
            }
        }
    }
    if bless
        && !failed
        && let Err(why) = write_table(&rows)
    {
        eprintln!("README.md: {why}");
        failed = true;
    }
    ExitCode::from(u8::from(failed))
}

fn parse() -> Result<(Vec<&'static Target>, bool), lexopt::Error> {
    let mut parser = Parser::from_env();
    let (mut wanted, mut bless) = (Vec::new(), false);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("bless") => bless = true,
            Arg::Value(triple) => {
                let known = TARGETS.iter().find(|target| triple == target.triple);
                wanted.push(known.ok_or_else(|| format!("no target {}", triple.to_string_lossy()))?);
            }
            other => return Err(other.unexpected()),
        }
    }
    if wanted.is_empty() {
        wanted = TARGETS.iter().collect();
    }
    Ok((wanted, bless))
}

/// Builds the executables for a machine and lays them where they are looked for; their sizes.
fn pack(target: &Target) -> Result<[u64; 3], String> {
    let release = build(Some(target.triple))?;
    let directory = target_directory().join("dist").join(target.triple);
    let failed = |error: std::io::Error| format!("{}: {error}", directory.display());
    fs::create_dir_all(&directory).map_err(failed)?;
    let mut sums = String::new();
    let mut sizes = [0; 3];
    for ((name, limit), size) in EXECUTABLES.into_iter().zip(target.limits).zip(&mut sizes) {
        let path = release.join(name);
        *size = check_executable(&path, limit).map_err(|why| format!("{name}: {why}"))?;
        fs::copy(&path, directory.join(name)).map_err(failed)?;
        sums += &format!("{}  {name}\n", checksum(&path).map_err(failed)?);
    }
    fs::write(directory.join("SHA256SUMS"), sums).map_err(failed)?;
    Ok(sizes)
}

fn checksum(path: &Path) -> std::io::Result<String> {
    let digest = Sha256::digest(fs::read(path)?);
    Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn write_table(rows: &str) -> Result<(), String> {
    let path = workspace().join("README.md");
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let (before, rest) = text.split_once(MARKERS.0).ok_or("it has no place for sizes")?;
    let (_, after) = rest.split_once(MARKERS.1).ok_or("the place for sizes has no end")?;
    let text = format!("{before}{}{rows}{}{after}", MARKERS.0, MARKERS.1);
    fs::write(&path, text).map_err(|error| error.to_string())
}
