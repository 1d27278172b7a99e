//! `features`: what this executable supports (features.md), whatever the host.

use core::fmt::Write;

use spec_core::linux::NamespaceKind;
use spec_core::mounts::MOUNT_OPTIONS;
use spec_core::process::CAPABILITY_NAMES;
use spec_core::seccomp::{ACTIONS, ARCHITECTURE_NAMES, FLAGS, Machine, OPERATORS};

use crate::error::Result;
use crate::output::Output;

/// `features`
pub fn features() -> Result<()> {
    let mut out = Output::new();
    let _ = write_features(&mut out);
    out.finish()
}

fn write_features(out: &mut Output) -> core::fmt::Result {
    let hooks = [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ];
    out.write_str("{\n  \"ociVersionMin\": \"1.0.0\",\n  \"ociVersionMax\": \"")?;
    out.write_str(crate::SPEC_VERSION)?;
    out.write_str("\",\n  \"hooks\": ")?;
    write_list(out, "  ", "", hooks.into_iter())?;
    out.write_str(",\n  \"mountOptions\": ")?;
    write_list(out, "  ", "", MOUNT_OPTIONS.iter())?;
    out.write_str(",\n  \"linux\": {\n    \"namespaces\": ")?;
    write_list(out, "    ", "", NamespaceKind::ALL.into_iter().map(NamespaceKind::name))?;
    out.write_str(",\n    \"capabilities\": ")?;
    write_list(out, "    ", "CAP_", CAPABILITY_NAMES.iter())?;
    out.write_str(concat!(
        ",\n    \"cgroup\": {\n      \"v1\": true,\n      \"v2\": true,\n      \"systemd\": false,\n      ",
        "\"systemdUser\": false,\n      \"rdma\": true\n    },\n",
        "    \"seccomp\": {\n      \"enabled\": true,\n      \"actions\": ",
    ))?;
    write_list(
        out,
        "      ",
        "",
        ACTIONS.iter().filter(|action| *action != "SCMP_ACT_NOTIFY"),
    )?;
    out.write_str(",\n      \"operators\": ")?;
    write_list(out, "      ", "", OPERATORS.iter())?;
    out.write_str(",\n      \"archs\": ")?;
    let machine = Machine::HOST;
    write_list(
        out,
        "      ",
        "",
        machine
            .architecture_numbers()
            .filter_map(|number| ARCHITECTURE_NAMES.get(number)),
    )?;
    out.write_str(",\n      \"knownFlags\": ")?;
    write_list(out, "      ", "", FLAGS.iter())?;
    out.write_str(",\n      \"supportedFlags\": ")?;
    write_list(out, "      ", "", FLAGS.iter())?;
    out.write_str(concat!(
        "\n    },\n",
        "    \"apparmor\": {\n      \"enabled\": false\n    },\n",
        "    \"selinux\": {\n      \"enabled\": false\n    },\n",
        "    \"intelRdt\": {\n      \"enabled\": false\n    },\n",
        "    \"mountExtensions\": {\n      \"idmap\": {\n        \"enabled\": true\n      }\n    },\n",
        "    \"netDevices\": {\n      \"enabled\": false\n    }\n",
        "  },\n  \"annotations\": {\n    \"io.roci.version\": \"",
        env!("CARGO_PKG_VERSION"),
        "\"\n  }\n}\n"
    ))
}

fn write_list<'a>(
    out: &mut Output,
    indent: &str,
    prefix: &str,
    items: impl Iterator<Item = &'a str>,
) -> core::fmt::Result {
    let mut separator = "[\n";
    for item in items {
        write!(out, "{separator}{indent}  \"{prefix}{item}\"")?;
        separator = ",\n";
    }
    write!(out, "\n{indent}]")
}
