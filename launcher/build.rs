//! Packs the texts that are printed when somebody asks for them, which are a tenth of the program, into a third of their
//! bytes (`targets/pack.rs` says how).

#[path = "../targets/link.rs"]
mod link;
#[path = "../targets/messages.rs"]
mod messages;
#[path = "../targets/pack.rs"]
mod pack;

/// The texts, in the order of `texts::Text`.
const TEXTS: [&str; 12] = [
    "commands.txt",
    "options.txt",
    "exit.txt",
    "check.txt",
    "controllers.txt",
    "errno.txt",
    "hints.txt",
    "features.json",
    "config.json",
    "rootless.json",
    "events.txt",
    "nat.txt",
];

/// The texts whose lines are known by their places: of a line that is left out, the end stays.
const COUNTED: [&str; 2] = ["commands.txt", "options.txt"];

/// What belongs to a feature, and is not packed without it.
struct Part {
    feature: &'static str,
    /// The sources in which no texts are looked for without it, by the beginnings of their names.
    sources: &'static [&'static str],
    /// The source that stands in for them.
    stand_in: &'static str,
    /// What is cut out of the texts.
    cuts: &'static [Cut],
}

/// A piece of a text.
struct Cut {
    text: &'static str,
    /// How it begins.
    first: &'static str,
    /// How it ends; where nothing is said, with the text.
    last: &'static str,
    /// What is put in its place.
    by: &'static str,
}

const fn cut(text: &'static str, first: &'static str, last: &'static str) -> Cut {
    Cut {
        text,
        first,
        last,
        by: "",
    }
}

const PARTS: [Part; 7] = [
    Part {
        feature: "CGROUPS",
        sources: &["cgroup/", "events", "pause", "update"],
        stand_in: "no_cgroup",
        cuts: &[
            cut("commands.txt", "stop all processes", "uses, as JSON"),
            cut("options.txt", "the resources object", "between two lines (5s)"),
            cut("check.txt", "+;g;", "without a cgroup\n"),
            cut("hints.txt", "mount cgroup2", "CONFIG_CGROUPS\n"),
            cut("events.txt", ",\"data\"", ""),
            // It is for who has them.
            cut(
                "config.json",
                ",\n\t\t{\n\t\t\t\"destination\": \"/sys/fs/cgroup\"",
                "\"ro\"\n\t\t\t]\n\t\t}",
            ),
            cut("config.json", "\t\t\"resources\"", "\t\t},\n"),
            Cut {
                by: "\"v1\": false,\n      \"v2\": false",
                ..cut("features.json", "\"v1\"", "\"v2\": true")
            },
            Cut {
                by: "\"rdma\": false",
                ..cut("features.json", "\"rdma\"", "true")
            },
        ],
    },
    Part {
        feature: "NET_DEVICES",
        sources: &["net/devices", "net/netlink"],
        stand_in: "no_net_devices",
        cuts: &[Cut {
            by: "\"netDevices\": {\n      \"enabled\": false",
            ..cut("features.json", "\"netDevices\"", "true")
        }],
    },
    Part {
        feature: "NETWORK",
        sources: &[
            "net/command",
            "net/lease",
            "net/mod",
            "net/names",
            "net/nat",
            "net/settings",
        ],
        stand_in: "no_network",
        cuts: &[
            cut("commands.txt", "list the networks", "or all of those"),
            cut("options.txt", "bridge[:NAME]", "for other machines"),
            cut("check.txt", "+;lbridge", "no --publish\n"),
            cut("hints.txt", "make bridge", ""),
            cut("nat.txt", "S ", ""),
        ],
    },
    Part {
        feature: "OVERLAY",
        sources: &["overlay/"],
        stand_in: "no_overlay",
        cuts: &[
            cut("commands.txt", "print what a container changed", "of its overlay"),
            cut("options.txt", "make the root file system", "read-only root"),
            cut("check.txt", "+;foverlay", "as layers\n"),
            cut("check.txt", "+;ferofs", "as layers\n"),
        ],
    },
    Part {
        feature: "SECCOMP",
        sources: &["seccomp"],
        stand_in: "no_seccomp",
        cuts: &[
            cut("check.txt", "+;s;", "are refused\n"),
            Cut {
                by: "false",
                ..cut("features.json", "true,\n      \"actions\"", "\"supportedFlags\": @")
            },
        ],
    },
    Part {
        feature: "SUPERVISOR",
        sources: &["supervisor"],
        stand_in: "no_supervisor",
        cuts: &[
            cut("commands.txt", "stop a container of", "start the device again"),
            cut("options.txt", "and what it says", "from now on"),
        ],
    },
    Part {
        feature: "SYSTEMD",
        sources: &["cgroup/dbus", "cgroup/systemd", "cgroup/unit"],
        stand_in: "no_systemd",
        cuts: &[cut("options.txt", "let systemd make", "a scope")],
    },
];

impl Part {
    fn is_left_out(&self) -> bool {
        std::env::var_os(format!("CARGO_FEATURE_{}", self.feature)).is_none()
    }

    /// Whether the texts of the source `name` are not looked for.
    fn leaves_out(&self, name: &str) -> bool {
        if self.is_left_out() {
            self.sources.iter().any(|source| name.starts_with(source))
        } else {
            name.starts_with(&format!("{}.", self.stand_in))
        }
    }
}

impl Cut {
    fn apply(&self, text: &mut String) {
        let found = text.find(self.first).and_then(|start| {
            let end = match self.last {
                "" => text.len(),
                last => start + text[start..].find(last)? + last.len(),
            };
            Some((start, end))
        });
        let Some((start, end)) = found else {
            panic!(
                "{}: there is no {:?} with {:?} behind it",
                self.text, self.first, self.last
            );
        };
        let by = if COUNTED.contains(&self.text) {
            "\n".repeat(text[start..end].matches('\n').count())
        } else {
            self.by.to_owned()
        };
        text.replace_range(start..end, &by);
    }
}

fn main() {
    link::main();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=../targets/messages.rs");
    println!("cargo::rerun-if-changed=../targets/pack.rs");
    let mut whole = String::new();
    for name in TEXTS {
        println!("cargo::rerun-if-changed=texts/{name}");
        let mut text =
            std::fs::read_to_string(format!("texts/{name}")).unwrap_or_else(|error| panic!("texts/{name}: {error}"));
        for part in PARTS.iter().filter(|part| part.is_left_out()) {
            for cut in part.cuts.iter().filter(|cut| cut.text == name) {
                cut.apply(&mut text);
            }
        }
        whole += &text;
        // Parts the texts.
        whole.push('\0');
    }
    let messages = messages::messages("src", "msg", |path| {
        let name = path.strip_prefix("src").unwrap_or(path).to_string_lossy();
        PARTS.iter().any(|part| part.leaves_out(&name))
    });
    whole += &messages.join("\u{1}");
    whole.push('\0');
    let source = pack::source(&whole, &messages);
    let directory = std::env::var("OUT_DIR").unwrap_or_default();
    if let Err(error) = std::fs::write(format!("{directory}/texts.rs"), source) {
        panic!("texts.rs: {error}");
    }
}
