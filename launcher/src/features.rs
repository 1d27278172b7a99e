//! `features`: what this executable supports (features.md), whatever the host.

use spec_core::linux::{MEMORY_POLICY_FLAGS, MEMORY_POLICY_MODES, NamespaceKind};
use spec_core::mounts::MOUNT_OPTIONS;
use spec_core::process::CAPABILITY_NAMES;
use spec_core::words::Family;

use crate::error::Result;
use crate::output::Output;
use crate::seccomp;
use crate::text::{Pieces, cut};
use crate::texts::Text;

/// `features`
pub fn features() -> Result<()> {
    let mut document = Document {
        out: Output::new(),
        // With a `@` in place of each list and of the versions.
        rest: Text::Features.get(),
        is_first: true,
    };
    document.go_on();
    document.out.str(crate::SPEC_VERSION);
    document.go_on();
    document.words("  ", MOUNT_OPTIONS);
    for kind in NamespaceKind::ALL {
        document.item("    ", "", kind.name());
    }
    document.end("    ");
    document.words("    ", CAPABILITY_NAMES);
    seccomp::write_features(&mut document);
    document.words("      ", MEMORY_POLICY_MODES);
    document.words("      ", MEMORY_POLICY_FLAGS);
    document.out.str(env!("CARGO_PKG_VERSION"));
    document.go_on();
    document.out.finish()
}

/// The template, as far as it was not printed, and the list in it that is being printed.
pub struct Document {
    out: Output,
    rest: &'static str,
    is_first: bool,
}

impl Document {
    /// Prints what stands before the next list.
    fn go_on(&mut self) {
        self.out.str(cut(&mut self.rest, b'@'));
    }

    /// Prints an element of the list.
    #[inline(never)]
    pub fn item(&mut self, indent: &str, prefix: &str, name: &str) {
        self.out.str(if self.is_first { "[\n" } else { ",\n" });
        self.is_first = false;
        self.out.str(indent).str("  \"").str(prefix).str(name).str("\"");
    }

    /// Prints the end of the list, and what stands before the next one.
    #[inline(never)]
    pub fn end(&mut self, indent: &str) {
        self.out.str("\n").str(indent).str("]");
        self.is_first = true;
        self.go_on();
    }

    /// Prints a list of words.
    #[inline(never)]
    pub fn words(&mut self, indent: &str, words: Family) {
        let (prefix, rests) = words.split();
        for rest in rests.iter() {
            self.item(indent, prefix, rest);
        }
        self.end(indent);
    }
}
