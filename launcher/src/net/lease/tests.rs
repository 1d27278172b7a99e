//! Who has which address, as it stands in the hosts file.

use super::*;
use crate::harness::Directory;
use std::format;
use std::string::String;
use std::vec;
use std::vec::Vec as List;

fn subnets(texts: [&str; 2]) -> [Option<Subnet>; 2] {
    texts.map(Subnet::parse)
}

fn addresses(texts: [&str; 2]) -> [Option<Address>; 2] {
    texts.map(Address::parse)
}

fn table<'m>(directory: &Directory, memory: &'m mut [u8]) -> Table<'m> {
    Table::open(directory.open().as_fd(), "net0", OFlags::CREATE, memory).expect("the hosts file")
}

/// What `lease` makes of the file, and then is in it.
fn changed(text: &str, act: impl FnOnce(&mut Table<'_>)) -> String {
    let directory = Directory::new("leases");
    directory.write(".net0.hosts", text);
    let mut memory = vec![0; 4096];
    let mut table = table(&directory, &mut memory);
    act(&mut table);
    table.save_shorter().expect("to be written");
    directory.read(".net0.hosts")
}

const HEAD: &str = "# roci nat bridge 1500 10.1.2.1/24 fd00::1/64\n127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n";

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn the_first_line_describes_the_network() {
    for (status, status_word) in [(Status::New, "new"), (Status::Nat, "nat"), (Status::Raw, "raw")] {
        for (carrier, word) in [
            (Carrier::Bridge, "bridge"),
            (Carrier::Foreign, "foreign"),
            (Carrier::Macvlan, "macvlan"),
        ] {
            for (texts, written) in [
                (["10.1.2.1/24", "fd00::1/64"], " 10.1.2.1/24 fd00::1/64"),
                (["10.1.2.1/24", ""], " 10.1.2.1/24"),
                (["", "fd00::1/64"], " fd00::1/64"),
            ] {
                let description = Description {
                    status,
                    carrier,
                    mtu: 9000,
                    subnets: subnets(texts),
                };
                let text = changed("", |table| {
                    assert_eq!(table.description(), None);
                    table.describe(&description);
                    assert_eq!(table.description(), Some(description));
                    assert_eq!(table.count(), 0);
                });
                let start = format!("# roci {status_word} {word} 9000{written}\n127.0.0.1\tlocalhost\n");
                assert!(text.starts_with(&start), "{text}");
            }
        }
    }
    for line in [
        "",
        "# roci\n",
        "# docker nat bridge 1500\n",
        "roci nat bridge 1500\n",
        "# roci old bridge 1500\n",
        "# roci nat wire 1500\n",
        "# roci nat bridge many\n",
    ] {
        changed(line, |table| assert_eq!(table.description(), None, "{line}"));
    }
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_status_takes_the_place_of_another() {
    let text = changed(HEAD, |table| table.set_status(Status::Raw).expect("to be written"));
    assert_eq!(text, HEAD.replace(" nat ", " raw "));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn leases_are_lines() {
    let text = changed(HEAD, |table| {
        table.add(
            "web",
            "box",
            &addresses(["10.1.2.5", "fd00::5"]),
            &["80:8080", "53:53/udp"],
        );
        table.add("db", "", &addresses(["10.1.2.6", ""]), &[]);
        // A name that somebody has, one that is the id, and one that is none.
        table.add("x1", "box", &addresses(["10.1.2.7", ""]), &[]);
        table.add("x2", "x2", &addresses(["10.1.2.8", ""]), &["1:1"]);
        table.add("x3", "a b", &addresses(["", "fd00::9"]), &[]);
        table.add("x4", "web", &addresses(["10.1.2.10", ""]), &[]);
        table.add("x5", "a.b_c-1", &addresses(["10.1.2.11", ""]), &[]);
        assert_eq!(table.count(), 7);
    });
    let expected = "10.1.2.5 web box #80:8080,53:53/udp\nfd00::5 web box\n10.1.2.6 db\n10.1.2.7 x1\n\
        10.1.2.8 x2 #1:1\nfd00::9 x3\n10.1.2.10 x4\n10.1.2.11 x5 a.b_c-1\n";
    assert_eq!(text, format!("{HEAD}{expected}"));
    changed(&text, |table| {
        let owner = |text| table.owner_of(Address::parse(text).expect("an address"));
        assert_eq!([owner("fd00::5"), owner("10.1.2.6")], [Some("web"), Some("db")]);
        // What every machine has is nobody's.
        assert_eq!([owner("127.0.0.1"), owner("10.1.2.9")], [None; 2]);
        assert_eq!(table.find_owner(&|id| id.starts_with('x')), Some("x1"));
        assert_eq!(table.find_owner(&|id| id == "box"), None);
    });
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn what_somebody_had_is_taken_back() {
    let leases = "10.1.2.5 web box #80:8080,53:53/udp\n10.1.2.6 db\nfd00::5 web box\n10.1.2.7 webs\n";
    let mut had = None;
    let text = changed(&format!("{HEAD}{leases}"), |table| had = Some(table.remove("web")));
    let had = had.expect("what it had");
    assert_eq!(text, format!("{HEAD}10.1.2.6 db\n10.1.2.7 webs\n"));
    assert_eq!(had.addresses, addresses(["10.1.2.5", "fd00::5"]));
    let ports: List<_> = ["80:8080", "53:53/udp"].into_iter().filter_map(Port::parse).collect();
    assert_eq!(had.ports[..], ports[..]);
    let text = changed(&text, |table| {
        let had = table.remove("web");
        assert_eq!((had.addresses, had.ports.len()), ([None; 2], 0));
        assert_eq!(table.remove("webs").addresses, addresses(["10.1.2.7", ""]));
    });
    assert_eq!(text, format!("{HEAD}10.1.2.6 db\n"));
    // The last line may lack its end.
    assert_eq!(changed(text.trim_end(), |table| _ = table.remove("db")), HEAD);
}

fn chosen(text: &str, nets: [&str; 2], wanted: [&str; 2], id: &str) -> Option<[Option<Address>; 2]> {
    let mut chosen = None;
    changed(text, |table| {
        chosen = table.choose(&subnets(nets), &addresses(wanted), id)
    });
    chosen
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn addresses_are_chosen_where_none_is_wanted() {
    let both = ["10.1.2.0/24", "fd00::/64"];
    assert_eq!(
        chosen(HEAD, both, ["10.1.2.9", "fd00::7"], "web"),
        Some(addresses(["10.1.2.9", "fd00::7"]))
    );
    // The same number in both, the same for one id, and mostly another one for another.
    let [four, six] = chosen(HEAD, both, ["", ""], "web").expect("addresses");
    let [net4, net6] = subnets(both).map(|subnet| subnet.expect("a subnet"));
    let number = net4.number_of(four.expect("one")).expect("a number");
    assert_eq!(net6.number_of(six.expect("one")), Some(number));
    // Another release of roci must not choose another one. The hash of the id has 0x11b in its twelve bits from the 32nd
    // on, which is 28 more than the 255 numbers below the broadcast address.
    assert_eq!(number, 28);
    assert_eq!(chosen(HEAD, both, ["", ""], "web"), Some([four, six]));
    assert_ne!(chosen(HEAD, both, ["", ""], "db"), Some([four, six]));
    assert_eq!(chosen(HEAD, ["10.1.2.0/24", ""], ["", ""], "web"), Some([four, None]));
    // One that is wanted leaves the other.
    assert_eq!(
        chosen(HEAD, both, ["10.1.2.9", ""], "web"),
        Some([Address::parse("10.1.2.9"), six])
    );
    // Somebody has it: the next one.
    let taken = format!("{HEAD}10.1.2.{number} other\n");
    let next = if number == 254 { 2 } else { number + 1 };
    let expected = Address::parse(&format!("10.1.2.{next}"));
    assert_eq!(
        chosen(&taken, ["10.1.2.0/24", ""], ["", ""], "web"),
        Some([expected, None])
    );
    // One number for both: that of an address of the other kind counts too.
    let taken = format!("{HEAD}fd00::{number:x} other\n");
    assert_eq!(
        chosen(&taken, both, ["", ""], "web").map(|[four, _]| four),
        Some(expected)
    );
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_subnet_is_used_up_to_its_last_address() {
    // Sixteen: without the network's own, the gateway's and the broadcast address thirteen.
    let mut text = String::from(HEAD);
    let mut found = List::new();
    for index in 0..13 {
        let id = format!("c{index}");
        let [four, _] = chosen(&text, ["10.1.2.16/28", ""], ["", ""], &id).expect("an address");
        let four = four.expect("one of IPv4");
        text = changed(&text, |table| table.add(&id, "", &[Some(four), None], &[]));
        found.push(four.as_bytes()[3]);
    }
    found.sort_unstable();
    assert_eq!(found, (18..31).collect::<List<_>>());
    assert_eq!(chosen(&text, ["10.1.2.16/28", ""], ["", ""], "more"), None);
    // Who says which address needs none to be found.
    let wanted = ["10.1.2.20", ""];
    assert_eq!(
        chosen(&text, ["10.1.2.16/28", ""], wanted, "more"),
        Some(addresses(wanted))
    );
    // Of a large subnet not all are handed out.
    let large = subnets(["10.0.0.0/8", ""]);
    let [four, _] = chosen(HEAD, ["10.0.0.0/8", ""], ["", ""], "more").expect("an address");
    let number = large[0].and_then(|subnet| subnet.number_of(four?));
    assert!(number.is_some_and(|number| (2..LEASES_MAX).contains(&number)));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_file_has_its_bounds() {
    let directory = Directory::new("leases");
    let open = |flags, memory: &mut [u8]| Table::open(directory.open().as_fd(), "net0", flags, memory).err();
    assert_eq!(open(OFlags::empty(), &mut [0; 64]), Some(Errno::NOENT));
    directory.write(".net0.hosts", "10.1.2.5 web\n");
    assert_eq!(open(OFlags::CREATE, &mut [0; 13]), Some(Errno::FBIG));
    assert_eq!(open(OFlags::CREATE, &mut [0; 14]), None);
    let mut memory = [0; 26];
    let mut full = table(&directory, &mut memory);
    full.add("db", "", &addresses(["10.1.2.6", ""]), &[]);
    assert_eq!(full.save(), Ok(()));
    full.put("xx");
    assert_eq!(full.save(), Err(Errno::FBIG));
    assert_eq!(directory.read(".net0.hosts"), "10.1.2.5 web\n10.1.2.6 db\n");
}

#[test]
fn names_of_files() {
    assert_eq!(file_name("net0", "hosts").as_bytes(), b".net0.hosts");
    assert_eq!(network_of_file(c".net0.hosts"), Some("net0"));
    for name in [c"net0.hosts", c".net0.resolv", c"web", c".hosts"] {
        assert_eq!(network_of_file(name), None, "{name:?}");
    }
}
