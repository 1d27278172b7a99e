//! How build scripts find the texts that stand in the sources, in the calls of a macro that names them by their places.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The texts in `NAME!("…")` in the sources below `directory` that are not left out, those that stand there most often first:
/// small numbers are short instructions.
pub fn messages(directory: &str, name: &str, is_left_out: impl Fn(&Path) -> bool) -> Vec<String> {
    println!("cargo::rerun-if-changed={directory}");
    let mut counts = BTreeMap::<String, usize>::new();
    let mut directories = vec![PathBuf::from(directory)];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("src").flatten() {
            let path = entry.path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            if is_left_out(&path) {
                continue;
            }
            let source = std::fs::read_to_string(&path).expect("a source");
            for literal in source
                .split(&format!("{name}!("))
                .skip(1)
                .filter_map(|rest| rest.trim_start().strip_prefix('"'))
            {
                *counts.entry(text_of(literal)).or_default() += 1;
            }
        }
    }
    let mut messages: Vec<_> = counts.into_iter().collect();
    messages.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    messages.into_iter().map(|(text, _)| text).collect()
}

/// The text of a literal, of which `rest` is what stands behind the first quotation mark.
fn text_of(rest: &str) -> String {
    let mut text = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next().expect("the end of a literal") {
            '"' => return text,
            '\\' => text.extend(
                characters
                    .next()
                    .map(|escaped| if escaped == 'n' { '\n' } else { escaped }),
            ),
            character => text.push(character),
        }
    }
}
