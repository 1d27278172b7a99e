//! Rules about the source that a compiler does not check.

use std::fs;
use std::path::{Path, PathBuf};
use targets::workspace;

/// Longer than this, a file has a second noun in it.
const LINES_MAX: usize = 600;
/// The crates that make up the products.
const PRODUCTS: [&str; 4] = ["spec-core", "sys", "launcher", "init"];
/// The table of limits in the README stands between these.
const MARKERS: (&str, &str) = ("<!-- limits:begin -->", "<!-- limits:end -->");

/// One rule: its name, and a function that gives the places where it is broken.
pub struct Rule {
    /// What holds when the rule does.
    pub name: &'static str,
    check: fn() -> Vec<String>,
}

impl Rule {
    /// The places where the rule is broken.
    pub fn check(&self) -> Vec<String> {
        (self.check)()
    }
}

/// All rules.
pub const RULES: [Rule; 4] = [
    Rule {
        name: "unsafe and asm! stand in sys only",
        check: unsafe_outside_sys,
    },
    Rule {
        name: "no source file of the products has more than 600 lines",
        check: long_files,
    },
    Rule {
        name: "nothing is left to be done in comments",
        check: unfinished,
    },
    Rule {
        name: "the README's table of limits is current",
        check: stale_limits,
    },
];

/// The Rust files below some directories of the workspace, with their text.
fn sources(directories: &[&str]) -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for path in crate::leaks::entries(directory) {
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(&path).unwrap_or_default()));
            }
        }
    }
    let mut found = Vec::new();
    directories
        .iter()
        .for_each(|directory| walk(&workspace().join(directory), &mut found));
    found
}

fn place(path: &Path, line: usize) -> String {
    let path = path.strip_prefix(workspace()).unwrap_or(path);
    format!("{}:{}", path.display(), line + 1)
}

/// The code of a line, without its comment; good enough for words that do not occur in strings.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

fn unsafe_outside_sys() -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in sources(&["spec-core", "launcher", "init", "tests/src", "tests/tests", "qemu"]) {
        for (number, line) in text.lines().enumerate() {
            let words = code(line).split(|c: char| !c.is_alphanumeric() && c != '_' && c != '!');
            // A raw entry point's attribute is `#[unsafe(no_mangle)]`, which no crate but sys needs either; this file
            // and the lint levels name the word.
            let named = line.contains("unsafe_code") || line.contains('"');
            if !named
                && words
                    .clone()
                    .any(|word| ["unsafe", "asm!", "global_asm!", "naked_asm!"].contains(&word))
            {
                found.push(place(&path, number));
            }
        }
    }
    found
}

fn long_files() -> Vec<String> {
    let long = sources(&PRODUCTS)
        .into_iter()
        .filter(|(_, text)| text.lines().count() > LINES_MAX);
    long.map(|(path, text)| format!("{} has {}", place(&path, 0), text.lines().count()))
        .collect()
}

fn unfinished() -> Vec<String> {
    // Spelled so that this line does not find itself.
    let words = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("HA", "CK"),
    ];
    let mut found = Vec::new();
    for (path, text) in sources(&["spec-core", "sys", "launcher", "init", "tests", "qemu"]) {
        for (number, line) in text.lines().enumerate() {
            let mut tokens = line.split(|c: char| !c.is_alphanumeric());
            if tokens.any(|token| words.contains(&token)) {
                found.push(place(&path, number));
            }
        }
    }
    found
}

/// The table of limits as the README has to have it, from the constants and their doc comments.
fn limits_table() -> String {
    let text = fs::read_to_string(workspace().join("spec-core/src/limits.rs")).unwrap_or_default();
    let mut table = String::from("| limit | value | what it bounds |\n|---|--:|---|\n");
    let mut comment = String::new();
    for line in text.lines() {
        if let Some(words) = line.strip_prefix("/// ") {
            comment.push_str(if comment.is_empty() { "" } else { " " });
            comment.push_str(words);
        } else if let Some(constant) = line.strip_prefix("pub const ") {
            let (name, rest) = constant.split_once(':').unwrap_or((constant, ""));
            let value = rest
                .split_once('=')
                .map_or("", |(_, value)| value.trim().trim_end_matches(';'));
            // The first sentence says what is bounded; why it is that number is for those who read the source.
            let sentence = comment
                .split_once(". ")
                .map_or(comment.as_str(), |(first, _)| first)
                .trim_end_matches('.');
            table.push_str(&format!("| `{name}` | {value} | {sentence} |\n"));
            comment.clear();
        } else {
            comment.clear();
        }
    }
    table
}

/// The README with the table put in; `None` when there is no place for it.
fn readme_with_limits(readme: &str) -> Option<String> {
    let (before, rest) = readme.split_once(MARKERS.0)?;
    let (_, after) = rest.split_once(MARKERS.1)?;
    Some(format!("{before}{}\n{}{}{after}", MARKERS.0, limits_table(), MARKERS.1))
}

fn stale_limits() -> Vec<String> {
    let readme = fs::read_to_string(workspace().join("README.md")).unwrap_or_default();
    match readme_with_limits(&readme) {
        None => vec![format!("README.md has no {} and {}", MARKERS.0, MARKERS.1)],
        Some(current) if current != readme => vec!["README.md: `cargo suite --bless` writes the table anew".to_owned()],
        Some(_) => Vec::new(),
    }
}

/// Writes the generated parts of the README anew.
pub fn bless() -> Result<(), String> {
    let path = workspace().join("README.md");
    let readme = fs::read_to_string(&path).map_err(|error| format!("README.md: {error}"))?;
    let current = readme_with_limits(&readme).ok_or("README.md has no markers for the table of limits")?;
    fs::write(path, current).map_err(|error| format!("README.md: {error}"))
}
