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

/// What belongs to a feature: without it, the text is empty, and what stands in those sources is not looked for.
struct Part {
    feature: &'static str,
    text: &'static str,
    sources: &'static [&'static str],
}

const PARTS: [Part; 4] = [
    Part {
        feature: "NETWORK",
        text: "nat.txt",
        sources: &[
            "net/command",
            "net/lease",
            "net/mod",
            "net/names",
            "net/nat",
            "net/settings",
        ],
    },
    Part {
        feature: "OVERLAY",
        text: "",
        sources: &["overlay/"],
    },
    Part {
        feature: "SUPERVISOR",
        text: "",
        sources: &["supervisor"],
    },
    Part {
        feature: "SYSTEMD",
        text: "",
        sources: &["cgroup/dbus", "cgroup/systemd", "cgroup/unit"],
    },
];

impl Part {
    fn is_left_out(&self) -> bool {
        std::env::var_os(format!("CARGO_FEATURE_{}", self.feature)).is_none()
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
        if !PARTS.iter().any(|part| part.text == name && part.is_left_out()) {
            let text = std::fs::read_to_string(format!("texts/{name}"));
            whole += &text.unwrap_or_else(|error| panic!("texts/{name}: {error}"));
        }
        // Parts the texts.
        whole.push('\0');
    }
    let messages = messages::messages("src", "msg", |path| {
        let name = path.to_string_lossy();
        let is_of = |part: &Part| {
            part.sources
                .iter()
                .any(|source| name.starts_with(&format!("src/{source}")))
        };
        PARTS.iter().any(|part| is_of(part) && part.is_left_out())
    });
    whole += &messages.join("\u{1}");
    whole.push('\0');
    let source = pack::source(&whole, &messages);
    let directory = std::env::var("OUT_DIR").unwrap_or_default();
    if let Err(error) = std::fs::write(format!("{directory}/texts.rs"), source) {
        panic!("texts.rs: {error}");
    }
}
