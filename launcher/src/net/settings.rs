//! What network a container is to have: options of the command line, or annotations of the same meaning, which the options
//! override.

use core::ffi::CStr;

use heapless::Vec;
use spec_core::linux::{Namespace, NamespaceKind};
use spec_core::spec::NETWORK_ANNOTATIONS;
use spec_core::state::{State, Status};
use spec_core::{Spec, Text};

use super::address::{Address, Port, Subnet};
use super::network_of;
use crate::cli::{Invocation, Opt, as_text};
use crate::error::{Error, Result};
use crate::msg;
use crate::path::Path;
use crate::state::{self, Access};
use crate::text::{parts, split_once};
use crate::texts::Message;

/// How many ports of one container are published at most.
pub const PORTS_MAX: usize = 32;

/// What connects the container.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A pair of devices, and a bridge that the network has its name from.
    Bridge,
    /// A device on top of another one, which the network has its name from.
    Macvlan,
    /// Nothing of ours; the files in `/etc` may be those of the container that it shares the network with.
    Other,
}

/// The network of a container that is to be made.
pub struct Settings {
    /// What connects it.
    pub kind: Kind,
    /// The network's name, or nothing.
    pub name: &'static str,
    /// The network's subnets, as far as somebody named them: one of IPv4 and one of IPv6.
    pub subnets: [Option<Subnet>; 2],
    /// The container's addresses, as far as somebody named them.
    pub addresses: [Option<Address>; 2],
    /// The ports that are published, as they are written.
    pub ports: Vec<&'static str, PORTS_MAX>,
    /// Whether the host is to forward packets of IPv4.
    pub ip_forward: bool,
}

/// The options, in the order of their annotations.
const OPTIONS: [Opt; 5] = [Opt::Network, Opt::Subnet, Opt::Ip, Opt::Publish, Opt::IpForward];

/// Reads the settings; `None` where the bundle alone says what the network is. What of them is about namespaces is put into
/// the configuration.
pub fn read(invocation: &Invocation, spec: &mut Spec<'static>) -> Result<Option<Settings>> {
    if spec.annotations.is_empty() && !OPTIONS.iter().any(|option| invocation.value(*option).is_some()) {
        return Ok(None);
    }
    let mut settings = Settings {
        kind: Kind::Other,
        name: "",
        subnets: [None; 2],
        addresses: [None; 2],
        ports: Vec::new(),
        ip_forward: false,
    };
    let mut network = None;
    let mut is_any = false;
    for (option, annotation) in OPTIONS.into_iter().zip(NETWORK_ANNOTATIONS.iter()) {
        if invocation.value(option).is_some() {
            for word in invocation.values(option) {
                settings.take(option, as_text(word)?, &mut network)?;
                is_any = true;
            }
        } else if let Some(list) = spec.annotation(annotation) {
            for word in parts(list.as_str(), b',') {
                settings.take(option, word, &mut network)?;
                is_any = true;
            }
        }
    }
    let Some(network) = network else {
        return if !is_any {
            Ok(None)
        } else {
            Err(Error::said(msg!(
                "--subnet, --ip, --publish and --ip-forward need --network"
            )))
        };
    };
    settings.choose(network, invocation, spec)?;
    Ok(Some(settings))
}

impl Settings {
    /// Takes one value of an option.
    fn take(&mut self, option: Opt, word: &'static str, network: &mut Option<&'static str>) -> Result<()> {
        match option {
            Opt::Network => *network = Some(word),
            Opt::Subnet => {
                let subnet = Subnet::parse(word).ok_or_else(|| wrong(msg!("--subnet: not a subnet: #"), word))?;
                let place = self.subnets.get_mut(subnet.gateway.version());
                if place.map(|place| place.replace(subnet)) != Some(None) {
                    return Err(wrong(msg!("--subnet: a second one of its kind: #"), word));
                }
            }
            Opt::Ip => {
                let address = Address::parse(word).ok_or_else(|| wrong(msg!("--ip: not an address: #"), word))?;
                let place = self.addresses.get_mut(address.version());
                if place.map(|place| place.replace(address)) != Some(None) {
                    return Err(wrong(msg!("--ip: a second one of its kind: #"), word));
                }
            }
            Opt::Publish => {
                if Port::parse(word).is_none() {
                    return Err(wrong(msg!("--publish: not [HOSTIP:]HOSTPORT:PORT[/tcp|/udp]: #"), word));
                }
                if self.ports.push(word).is_err() {
                    return Err(wrong(msg!("--publish: more than 32: #"), word));
                }
            }
            _ => self.ip_forward = word.is_empty() || word == "true",
        }
        Ok(())
    }

    /// Decides what connects the container, and looks whether the rest goes with it.
    fn choose(&mut self, network: &'static str, invocation: &Invocation, spec: &mut Spec<'static>) -> Result<()> {
        let (word, name) = split_once(network, b':');
        match (word, name) {
            ("bridge", name) => {
                self.kind = Kind::Bridge;
                self.name = name.unwrap_or("roci0");
            }
            ("macvlan", Some(parent)) => {
                self.kind = Kind::Macvlan;
                self.name = parent;
            }
            ("container", Some(id)) => self.name = join(id, invocation, spec)?,
            ("host", None) => spec.linux.namespaces.retain(|of| of.kind != NamespaceKind::Network),
            ("none", None) => {}
            _ => {
                return Err(wrong(
                    msg!("--network: neither bridge[:NAME], macvlan:PARENT, container:ID, host nor none: #"),
                    network,
                ));
            }
        }
        let (is_bridge, is_ours) = (self.kind == Kind::Bridge, self.kind != Kind::Other);
        let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if is_ours
            && (!(1..=15).contains(&self.name.len()) || self.name.starts_with('.') || !self.name.bytes().all(is_letter))
        {
            return Err(wrong(msg!("--network: not the name of a device: #"), self.name));
        }
        if (is_ours || word == "none") && !spec.linux.has_new_namespace(NamespaceKind::Network) {
            return Err(wrong(
                msg!("--network #: the bundle needs a new network namespace, without a path"),
                word,
            ));
        }
        if !is_bridge && (!self.ports.is_empty() || self.ip_forward) {
            return Err(wrong(
                msg!("--publish and --ip-forward do not go with --network #"),
                word,
            ));
        }
        if !is_ours && (self.subnets != [None; 2] || self.addresses != [None; 2]) {
            return Err(wrong(msg!("--subnet and --ip do not go with --network #"), word));
        }
        Ok(())
    }
}

fn wrong(text: Message, word: &str) -> Error {
    Error::says(text, word)
}

/// Puts the network namespace of the container `id` into the configuration; the name of that container's network.
fn join(id: &'static str, invocation: &Invocation, spec: &mut Spec<'static>) -> Result<&'static str> {
    spec_core::state::check_id(id).map_err(|_| wrong(msg!("--network: not a container id: #"), id))?;
    let name: &'static CStr = Path::new(id.as_bytes()).leak();
    let mut state = State::new();
    let found = state::find_by_id(invocation, name, id, Access::Shared, &mut state)?;
    if found.status == Status::Stopped {
        return Err(wrong(msg!("--network container:#: it is not running"), id));
    }
    let path = Path::of(&[b"/proc/", Path::of_process(state.pid, "ns/net").as_bytes()]).leak();
    let path = core::str::from_utf8(path.to_bytes_with_nul())
        .ok()
        .and_then(Text::from_str_with_nul);
    let namespaces = &mut spec.linux.namespaces;
    namespaces.retain(|of| of.kind != NamespaceKind::Network);
    // There is room: there is one kind fewer now than there was or could be.
    let _ = namespaces.push(Namespace {
        kind: NamespaceKind::Network,
        path,
    });
    Ok(network_of(&found.container).map_or("", |(_, name)| name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::understood;
    use crate::harness::{refusal, spec};
    use std::format;

    const NEW: &str = r#", "linux": {"namespaces": [{"type": "network"}]}"#;

    fn of(options: &str, members: &str) -> Option<Settings> {
        let invocation = understood(&format!("roci run {options}web"));
        read(&invocation, spec(members)).unwrap_or_else(|error| error.never())
    }

    #[track_caller]
    fn refused(options: &str, members: &str, expected: &str) {
        let text = refusal(|| of(options, members));
        assert_eq!(text, expected, "{options}");
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn a_bundle_alone_has_no_settings() {
        assert!(of("", NEW).is_none());
        assert!(of("", r#", "annotations": {"a": "b"}"#).is_none());
        for options in [
            "--subnet 10.1.2.0/24 ",
            "--ip 10.1.2.3 ",
            "--publish 80:80 ",
            "--ip-forward ",
        ] {
            refused(
                options,
                NEW,
                "--subnet, --ip, --publish and --ip-forward need --network",
            );
        }
        let annotation = format!(r#"{NEW}, "annotations": {{"io.roci.network.ip": "10.1.2.3"}}"#);
        refused(
            "",
            &annotation,
            "--subnet, --ip, --publish and --ip-forward need --network",
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn networks_have_kinds_and_names() {
        for (options, kind, name) in [
            ("--network bridge ", Kind::Bridge, "roci0"),
            ("--network bridge:a.b_c-1 ", Kind::Bridge, "a.b_c-1"),
            ("--network bridge:fifteen-letters ", Kind::Bridge, "fifteen-letters"),
            ("--network macvlan:eth0 ", Kind::Macvlan, "eth0"),
            ("--network none ", Kind::Other, ""),
        ] {
            let settings = of(options, NEW).expect("settings");
            assert_eq!((settings.kind, settings.name), (kind, name), "{options}");
            assert!(settings.subnets == [None; 2] && settings.addresses == [None; 2]);
            assert!(settings.ports.is_empty() && !settings.ip_forward);
        }
        for network in [
            "bridge:",
            "bridge:sixteen-letters.",
            "bridge:.a",
            "macvlan:",
            "bridge:a/b",
            "macvlan:a%d",
        ] {
            let (_, name) = split_once(network, b':');
            refused(
                &format!("--network {network} "),
                NEW,
                &format!("--network: not the name of a device: {}", name.unwrap_or_default()),
            );
        }
        for network in ["", "bridges", "macvlan", "host:", "none:", "container", "slirp4netns"] {
            let text = refusal(|| of(&format!("--network={network} "), NEW));
            assert!(
                text.starts_with("--network: neither bridge[:NAME], macvlan:PARENT"),
                "{text}"
            );
            assert!(text.ends_with(&format!(": {network}")), "{text}");
        }
        refused("--network container:a/b ", NEW, "--network: not a container id: a/b");
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn a_network_is_made_for_a_new_namespace() {
        let joined = r#", "linux": {"namespaces": [{"type": "network", "path": "/proc/1/ns/net"}]}"#;
        for (options, word) in [("bridge", "bridge"), ("macvlan:eth0", "macvlan"), ("none", "none")] {
            for members in ["", joined] {
                refused(
                    &format!("--network {options} "),
                    members,
                    &format!("--network {word}: the bundle needs a new network namespace, without a path"),
                );
            }
        }
        // The host's is that of who calls, whatever the bundle says.
        let spec = spec(r#", "linux": {"namespaces": [{"type": "network"}, {"type": "pid"}]}"#);
        let settings = read(&understood("roci run --network host web"), spec).unwrap_or_else(|error| error.never());
        assert!(settings.is_some_and(|settings| settings.kind == Kind::Other && settings.name.is_empty()));
        let kinds: std::vec::Vec<_> = spec.linux.namespaces.iter().map(|of| of.kind).collect();
        assert_eq!(kinds, [NamespaceKind::Pid]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn the_rest_belongs_to_a_kind() {
        let all = "--network bridge --subnet 10.1.2.0/24 --subnet fd00::/64 --ip fd00::5 --ip 10.1.2.5 \
            --publish 80:8080 --publish 53:53/udp --ip-forward ";
        let settings = of(all, NEW).expect("settings");
        assert_eq!(settings.subnets, ["10.1.2.0/24", "fd00::/64"].map(Subnet::parse));
        assert_eq!(settings.addresses, ["10.1.2.5", "fd00::5"].map(Address::parse));
        assert_eq!(settings.ports[..], ["80:8080", "53:53/udp"]);
        assert!(settings.ip_forward);
        for network in ["macvlan:eth0", "none"] {
            let (word, _) = split_once(network, b':');
            for option in ["--publish 80:80", "--ip-forward"] {
                refused(
                    &format!("--network {network} {option} "),
                    NEW,
                    &format!("--publish and --ip-forward do not go with --network {word}"),
                );
            }
        }
        for option in ["--subnet 10.1.2.0/24", "--ip 10.1.2.5"] {
            refused(
                &format!("--network none {option} "),
                NEW,
                "--subnet and --ip do not go with --network none",
            );
            assert!(of(&format!("--network macvlan:eth0 {option} "), NEW).is_some());
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn wrong_values_are_refused() {
        for (option, expected) in [
            ("--subnet 10.1.2.0", "--subnet: not a subnet: 10.1.2.0"),
            (
                "--subnet 10.1.2.0/24 --subnet 10.1.3.0/24",
                "--subnet: a second one of its kind: 10.1.3.0/24",
            ),
            ("--ip web", "--ip: not an address: web"),
            ("--ip fd00::1 --ip fd00::2", "--ip: a second one of its kind: fd00::2"),
            ("--publish 80", "--publish: not [HOSTIP:]HOSTPORT:PORT[/tcp|/udp]: 80"),
        ] {
            refused(&format!("--network bridge {option} "), NEW, expected);
        }
        let ports = |count| {
            let list: std::vec::Vec<_> = (1..=count).map(|port| format!("{port}:{port}")).collect();
            format!(
                r#"{NEW}, "annotations": {{"io.roci.network": "bridge", "io.roci.network.publish": "{}"}}"#,
                list.join(",")
            )
        };
        assert_eq!(of("", &ports(32)).map(|settings| settings.ports.len()), Some(32));
        refused("", &ports(33), "--publish: more than 32: 33:33");
    }

    /// Options come before annotations, each for itself.
    #[test]
    #[cfg_attr(miri, ignore = "system calls")]
    fn annotations_are_what_no_option_says() {
        let members = format!(
            r#"{NEW}, "annotations": {{"io.roci.network": "bridge:br1", "io.roci.network.ip": "10.1.2.5,fd00::5",
            "io.roci.network.publish": "80:80", "io.roci.network.ip-forward": "true"}}"#
        );
        let settings = of("", &members).expect("settings");
        assert_eq!((settings.kind, settings.name), (Kind::Bridge, "br1"));
        assert_eq!(settings.addresses, ["10.1.2.5", "fd00::5"].map(Address::parse));
        assert!(settings.ip_forward);
        let settings = of("--network bridge:br2 --publish 81:81 ", &members).expect("settings");
        assert_eq!((settings.name, &settings.ports[..]), ("br2", &["81:81"][..]));
        assert_eq!(settings.addresses, ["10.1.2.5", "fd00::5"].map(Address::parse));
        let off = members.replace("true", "false");
        assert!(of("", &off).is_some_and(|settings| !settings.ip_forward));
        assert!(of("--ip-forward ", &off).is_some_and(|settings| settings.ip_forward));
        assert!(of("--ip-forward=false ", &members).is_some_and(|settings| !settings.ip_forward));
    }
}
