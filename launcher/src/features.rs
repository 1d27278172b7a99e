//! `features`: what this executable supports (features.md), whatever the host.

use spec_core::linux::NamespaceKind;
use spec_core::mounts::MOUNT_OPTIONS;
use spec_core::process::CAPABILITY_NAMES;
use spec_core::seccomp::{ACTIONS, ARCHITECTURE_NAMES, FLAGS, Machine, OPERATORS};
use spec_core::words::Words;

use crate::error::Result;
use crate::output::Output;
use crate::text::{Pieces, cut};

/// What is printed, with a `@` in place of each list.
const TEMPLATE: &str = concat!(
    r#"{
  "ociVersionMin": "1.0.0",
  "ociVersionMax": "@",
  "hooks": [
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop"
  ],
  "mountOptions": @,
  "linux": {
    "namespaces": @,
    "capabilities": @,
    "cgroup": {
      "v1": true,
      "v2": true,
      "systemd": false,
      "systemdUser": false,
      "rdma": true
    },
    "seccomp": {
      "enabled": true,
      "actions": @,
      "operators": @,
      "archs": @,
      "knownFlags": @,
      "supportedFlags": @
    },
    "apparmor": {
      "enabled": false
    },
    "selinux": {
      "enabled": false
    },
    "intelRdt": {
      "enabled": false
    },
    "mountExtensions": {
      "idmap": {
        "enabled": true
      }
    },
    "netDevices": {
      "enabled": false
    }
  },
  "annotations": {
    "io.roci.version": ""#,
    env!("CARGO_PKG_VERSION"),
    r#""
  }
}
"#
);

/// `features`
pub fn features() -> Result<()> {
    let mut document = Document {
        out: Output::new(),
        rest: TEMPLATE,
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
    for name in CAPABILITY_NAMES {
        document.item("    ", "CAP_", name);
    }
    document.end("    ");
    document.words("      ", ACTIONS);
    document.words("      ", OPERATORS);
    for number in Machine::HOST.architecture_numbers() {
        document.item(
            "      ",
            "",
            ARCHITECTURE_NAMES.get(number).copied().unwrap_or_default(),
        );
    }
    document.end("      ");
    document.words("      ", FLAGS);
    document.words("      ", FLAGS);
    document.out.finish()
}

/// The template, as far as it was not printed, and the list in it that is being printed.
struct Document {
    out: Output,
    rest: &'static str,
    is_first: bool,
}

impl Document {
    /// Prints what stands before the next list.
    fn go_on(&mut self) {
        self.out.str(cut(&mut self.rest, b'@'));
    }

    #[inline(never)]
    fn item(&mut self, indent: &str, prefix: &str, name: &str) {
        self.out.str(if self.is_first { "[\n" } else { ",\n" });
        self.is_first = false;
        self.out.str(indent).str("  \"").str(prefix).str(name).str("\"");
    }

    #[inline(never)]
    fn end(&mut self, indent: &str) {
        self.out.str("\n").str(indent).str("]");
        self.is_first = true;
        self.go_on();
    }

    #[inline(never)]
    fn words(&mut self, indent: &str, words: Words) {
        for word in words.iter() {
            // Nobody can be notified: that needs a process that stays.
            if word != "SCMP_ACT_NOTIFY" {
                self.item(indent, "", word);
            }
        }
        self.end(indent);
    }
}
