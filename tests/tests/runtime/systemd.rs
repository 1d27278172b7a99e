//! `--systemd-cgroup`, with a systemd that is a thread of the test: what it is asked byte by byte, and what comes of each
//! thing that it may answer. `tests/vm/systemd` does the same with a real one.

use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tests::{Container, Invocation, Test};

tests::cases![
    a_scope_is_asked_for_with_its_properties,
    limits_are_told_when_they_change,
    delete_ends_the_scope,
    run_needs_a_scope_too,
    annotations_are_properties,
    the_cgroup_has_a_name_without_a_path,
    a_refusal_is_told_and_leaves_nothing,
    a_job_that_fails_is_told_and_leaves_nothing,
    a_unit_that_has_just_ended_is_waited_for,
    what_is_not_d_bus_is_told,
    silence_is_told,
    without_systemd_there_is_one_clear_error,
    paths_of_one_kind_are_not_taken_for_the_other,
];

fn only_roci(t: &Test) {
    if !t.is_roci() {
        t.skip("the peers need a real systemd");
    }
}

/// What the thread answers to the first call of `StartTransientUnit`.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Willing,
    /// It refuses with the error of that name.
    Refuses(&'static str),
    /// The job ends with that result.
    Fails(&'static str),
    Garbage,
    Hangup,
    Silence,
    /// It does not even let anybody in.
    Rejects,
}

/// A systemd behind a bus. The calls that it gets are noted with their arguments.
struct Systemd {
    address: String,
    calls: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Systemd {
    fn start(t: &Test, mood: Mood) -> Self {
        let path = t.path("bus");
        let listener = UnixListener::bind(&path).expect("a socket");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = calls.clone();
        std::thread::spawn(move || {
            let mut mood = mood;
            for stream in listener.incoming() {
                // Whoever hangs up has had enough.
                let _ = serve(stream.expect("a client"), &mut mood, &noted);
            }
        });
        Self {
            address: format!("unix:path={},guid=0123456789abcdef", path.display()),
            calls,
        }
    }

    fn call(&self, t: &Test, args: &[&str]) -> Invocation {
        t.runtime
            .global(&["--systemd-cgroup"], args)
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
    }

    fn create(&self, t: &Test, c: &Container) -> Invocation {
        c.write_config();
        self.call(t, &["create", "--bundle", c.bundle.to_str().expect("path"), &c.id])
    }

    /// The arguments of the calls of `method`.
    fn asked(&self, method: &str) -> Vec<Value> {
        let calls = self.calls.lock().expect("calls");
        let calls = calls.iter().filter(|(name, _)| name == method);
        calls.map(|(_, arguments)| arguments.clone()).collect()
    }

    /// The order of the calls.
    fn methods(&self) -> Vec<String> {
        let calls = self.calls.lock().expect("calls");
        calls.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// A container whose cgroup is a scope below the root.
fn scoped(t: &Test) -> Container<'_> {
    only_roci(t);
    t.needs_v1_controller("freezer");
    let mut c = t.server();
    c.config["linux"]["cgroupsPath"] = json!(format!("-.slice:test:{}", c.id));
    c
}

/// What systemd would remove once it is empty.
fn directory(c: &Container) -> PathBuf {
    let name = format!("test-{}.scope", c.id);
    let mounts = tests::cgroup_mounts();
    let mount = mounts.iter().find(|mount| mount.ends_with("systemd"));
    mount.expect("the hierarchy of systemd").join(name)
}

fn clear_away(c: &Container) {
    let directory = directory(c);
    tests::eventually("the scope is empty", || {
        !directory.exists() || std::fs::remove_dir(&directory).is_ok()
    });
}

// --- the other side of the socket -------------------------------------

fn serve(mut stream: UnixStream, mood: &mut Mood, calls: &Mutex<Vec<(String, Value)>>) -> std::io::Result<()> {
    let mut greeting = [0; 22];
    stream.read_exact(&mut greeting)?;
    assert_eq!(&greeting, b"\0AUTH EXTERNAL\r\nDATA\r\n");
    if *mood == Mood::Rejects {
        return stream.write_all(b"REJECTED EXTERNAL\r\n");
    }
    stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n")?;
    let mut begin = [0; 7];
    stream.read_exact(&mut begin)?;
    assert_eq!(&begin, b"BEGIN\r\n");
    loop {
        let (serial, method, arguments) = receive(&mut stream)?;
        calls.lock().expect("calls").push((method.clone(), arguments.clone()));
        match &*method {
            "Hello" => {
                answer(&mut stream, serial, "s", &string(":1.7"))?;
                signal(&mut stream, "NameAcquired", "s", &string(":1.7"))?;
            }
            "StartTransientUnit" | "StopUnit" => {
                let unit = arguments[0].as_str().expect("a unit").to_owned();
                let now = std::mem::replace(mood, Mood::Willing);
                let mut result = "done";
                match now {
                    Mood::Refuses(name) => {
                        refuse(&mut stream, serial, name)?;
                        continue;
                    }
                    Mood::Garbage => stream.write_all(&[0x55; 64])?,
                    Mood::Hangup => return Ok(()),
                    Mood::Silence => continue,
                    Mood::Fails(how) => result = how,
                    Mood::Willing | Mood::Rejects => {}
                }
                answer(&mut stream, serial, "o", &string("/org/freedesktop/systemd1/job/5"))?;
                // Other things happen at the same time, some of them at length.
                signal(&mut stream, "JobRemoved", "uoss", &removed("other.service", "failed"))?;
                signal(&mut stream, "UnitNew", "s", &string(&"x".repeat(10_000)))?;
                signal(&mut stream, "JobRemoved", "uoss", &removed(&unit, result))?;
            }
            "AddMatch" | "SetUnitProperties" | "ResetFailedUnit" => answer(&mut stream, serial, "", &[])?,
            other => panic!("nobody should call {other}"),
        }
    }
}

fn pad(bytes: &mut Vec<u8>, align: usize) {
    bytes.resize(bytes.len().next_multiple_of(align), 0);
}

fn push_string(bytes: &mut Vec<u8>, text: &str) {
    pad(bytes, 4);
    bytes.extend((text.len() as u32).to_ne_bytes());
    bytes.extend(text.bytes().chain([0]));
}

fn string(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_string(&mut bytes, text);
    bytes
}

fn removed(unit: &str, result: &str) -> Vec<u8> {
    let mut bytes = 5_u32.to_ne_bytes().to_vec();
    for text in ["/org/freedesktop/systemd1/job/5", unit, result] {
        push_string(&mut bytes, text);
    }
    bytes
}

fn send(
    stream: &mut UnixStream,
    kind: u8,
    fields: &[(u8, &str, &str)],
    answers: u32,
    body: &[u8],
) -> std::io::Result<()> {
    let order = if cfg!(target_endian = "little") { b'l' } else { b'B' };
    let mut bytes = vec![order, kind, 1, 1];
    for number in [body.len() as u32, 99, 0] {
        bytes.extend(number.to_ne_bytes());
    }
    for (number, signature, value) in fields {
        if *signature == "g" && value.is_empty() {
            continue;
        }
        pad(&mut bytes, 8);
        bytes.extend([*number, 1, signature.as_bytes()[0], 0]);
        if *signature == "g" {
            bytes.push(value.len() as u8);
            bytes.extend(value.bytes().chain([0]));
        } else {
            push_string(&mut bytes, value);
        }
    }
    if answers > 0 {
        pad(&mut bytes, 8);
        bytes.extend([5, 1, b'u', 0]);
        bytes.extend(answers.to_ne_bytes());
    }
    let length = (bytes.len() - 16) as u32;
    bytes[12..16].copy_from_slice(&length.to_ne_bytes());
    pad(&mut bytes, 8);
    bytes.extend(body);
    stream.write_all(&bytes)
}

fn answer(stream: &mut UnixStream, serial: u32, signature: &str, body: &[u8]) -> std::io::Result<()> {
    send(stream, 2, &[(8, "g", signature), (7, "s", ":1.1")], serial, body)
}

fn refuse(stream: &mut UnixStream, serial: u32, name: &str) -> std::io::Result<()> {
    let body = string("No, not this one.");
    send(stream, 3, &[(4, "s", name), (8, "g", "s")], serial, &body)
}

fn signal(stream: &mut UnixStream, member: &str, signature: &str, body: &[u8]) -> std::io::Result<()> {
    let fields = [
        (1, "o", "/org/freedesktop/systemd1"),
        (2, "s", "org.freedesktop.systemd1.Manager"),
        (3, "s", member),
        (8, "g", signature),
    ];
    send(stream, 4, &fields, 0, body)
}

/// The number of the next call, its method, and its arguments.
fn receive(stream: &mut UnixStream) -> std::io::Result<(u32, String, Value)> {
    let mut bytes = vec![0; 16];
    stream.read_exact(&mut bytes)?;
    let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let (body, serial, fields) = (word(4) as usize, word(8), word(12) as usize);
    assert_eq!(bytes[1..4], [1, 0, 1], "a call of version 1");
    let start = 16 + fields.next_multiple_of(8);
    bytes.resize(start + body, 0);
    stream.read_exact(&mut bytes[16..])?;
    let mut reader = Decoder {
        bytes: &bytes[..16 + fields],
        at: 12,
    };
    let list = reader.value(&mut "a(yv)".chars().peekable());
    let field = |number: u8| {
        let fields = list.as_array().expect("fields").iter();
        let mut found = fields.filter(|field| field[0] == json!(number));
        let field = found.next().expect("a field that must be there")[1].clone();
        assert!(found.next().is_none(), "a field twice");
        field.as_str().expect("text").to_owned()
    };
    let method = field(3);
    let (path, interface, name) = (field(1), field(2), field(6));
    if ["Hello", "AddMatch"].contains(&&*method) {
        assert_eq!((&*path, &*interface), ("/org/freedesktop/DBus", "org.freedesktop.DBus"));
    } else {
        assert_eq!(path, "/org/freedesktop/systemd1");
        assert_eq!(interface, "org.freedesktop.systemd1.Manager");
        assert_eq!(name, "org.freedesktop.systemd1");
    }
    // The body begins where eight bytes are aligned.
    let mut reader = Decoder {
        bytes: &bytes[start..],
        at: 0,
    };
    let signature = field(8);
    let mut types = signature.chars().peekable();
    let mut arguments = Vec::new();
    while types.peek().is_some() {
        arguments.push(reader.value(&mut types));
    }
    assert_eq!(reader.at, body, "nothing is behind the arguments");
    Ok((serial, method, Value::Array(arguments)))
}

/// Reads values as their types say, whatever they are.
struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Types<'a> = std::iter::Peekable<std::str::Chars<'a>>;

impl Decoder<'_> {
    fn align(&mut self, align: usize) {
        while !self.at.is_multiple_of(align) {
            assert_eq!(self.bytes[self.at], 0, "what fills a gap is 0");
            self.at += 1;
        }
    }

    fn take(&mut self, n: usize) -> &[u8] {
        self.at += n;
        &self.bytes[self.at - n..self.at]
    }

    fn word(&mut self) -> u32 {
        self.align(4);
        u32::from_ne_bytes(self.take(4).try_into().expect("four bytes"))
    }

    fn text(&mut self, length: usize) -> String {
        let text = String::from_utf8(self.take(length).to_vec()).expect("UTF-8");
        assert_eq!(self.take(1), [0]);
        text
    }

    fn value(&mut self, types: &mut Types<'_>) -> Value {
        match types.next().expect("a type") {
            'y' => json!(self.take(1)[0]),
            'b' => json!(self.word() == 1),
            'u' => json!(self.word()),
            'i' => json!(self.word().cast_signed()),
            't' => {
                self.align(8);
                json!(u64::from_ne_bytes(self.take(8).try_into().expect("eight bytes")))
            }
            's' | 'o' => {
                let length = self.word() as usize;
                json!(self.text(length))
            }
            'g' => {
                let length = self.take(1)[0].into();
                json!(self.text(length))
            }
            'v' => {
                let length = self.take(1)[0].into();
                let signature = self.text(length);
                self.value(&mut signature.chars().peekable())
            }
            '(' => {
                self.align(8);
                let mut fields = Vec::new();
                while types.peek() != Some(&')') {
                    fields.push(self.value(types));
                }
                types.next();
                json!(fields)
            }
            'a' => {
                let length = self.word() as usize;
                let kind = *types.peek().expect("a type");
                self.align(if "(tx".contains(kind) {
                    8
                } else if "yg".contains(kind) {
                    1
                } else {
                    4
                });
                let end = self.at + length;
                let mut rest = types.clone();
                let mut elements = Vec::new();
                while self.at < end {
                    rest = types.clone();
                    elements.push(self.value(&mut rest));
                }
                assert_eq!(self.at, end, "the list is as long as it says");
                if elements.is_empty() {
                    // What one would be still has to be passed over.
                    let mut depth = 0;
                    loop {
                        match rest.next().expect("a type") {
                            '(' => depth += 1,
                            ')' => depth -= 1,
                            'a' => continue,
                            _ => {}
                        }
                        if depth == 0 {
                            break;
                        }
                    }
                }
                *types = rest;
                json!(elements)
            }
            other => panic!("an unexpected type {other}"),
        }
    }
}

/// A list of properties as an object.
fn properties(list: &Value) -> Value {
    let pairs = list.as_array().expect("properties").iter();
    let pairs = pairs.map(|pair| (pair[0].as_str().expect("a name").to_owned(), pair[1].clone()));
    Value::Object(pairs.collect())
}

// --- the tests ---------------------------------------------------------

fn a_scope_is_asked_for_with_its_properties(t: &Test) {
    let mut c = scoped(t);
    c.config["linux"]["resources"] = json!({
        "memory": {"limit": 67_108_864}, "pids": {"limit": 99},
        "cpu": {"shares": 512, "quota": 30_000, "period": 50_000, "cpus": "0"},
    });
    let systemd = Systemd::start(t, Mood::Willing);
    systemd.create(t, &c).run().ok();
    let unit = format!("test-{}.scope", c.id);
    let calls = [
        "Hello",
        "AddMatch",
        "StartTransientUnit",
        "SetUnitProperties",
        "SetUnitProperties",
    ];
    assert_eq!(systemd.methods(), calls);
    let start = &systemd.asked("StartTransientUnit")[0];
    assert_eq!((&start[0], &start[1]), (&json!(unit), &json!("replace")));
    assert_eq!(start[3], json!([]));
    assert_eq!(
        properties(&start[2]),
        json!({
            "Description": format!("OCI container {}", c.id), "Slice": "-.slice", "PIDs": [c.pid()],
            "CollectMode": "inactive-or-failed", "Delegate": true, "DefaultDependencies": false,
            "MemoryAccounting": true, "CPUAccounting": true, "IOAccounting": true, "TasksAccounting": true,
        })
    );
    let limits = systemd.asked("SetUnitProperties");
    assert_eq!((&limits[0][0], &limits[0][1]), (&json!(unit), &json!(true)));
    assert_eq!(
        properties(&limits[0][2]),
        json!({"MemoryLimit": 67_108_864, "CPUShares": 512, "CPUQuotaPerSecUSec": 600_000, "TasksMax": 99})
    );
    assert_eq!(
        properties(&limits[1][2]),
        json!({"CPUQuotaPeriodUSec": 50_000, "AllowedCPUs": [1]})
    );
    // And the process is there, with the limits that systemd does not know.
    let cgroup = std::fs::read_to_string(format!("/proc/{}/cgroup", c.pid())).expect("cgroup");
    for line in cgroup.lines().filter(|line| !line.starts_with("0::")) {
        assert!(line.ends_with(&format!("/{unit}")), "{cgroup}");
    }
    let quota = t.needs_v1_controller("cpu").join(&unit).join("cpu.cfs_quota_us");
    assert_eq!(std::fs::read_to_string(quota).expect("quota").trim(), "30000");
    c.start().ok();
    c.exec(&["/bin/true"]).ok();
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
}

fn limits_are_told_when_they_change(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Willing);
    systemd.create(t, &c).run().ok();
    let before = systemd.asked("SetUnitProperties").len();
    // podman does not repeat the option.
    let update = |options: &[&str]| {
        let args: Vec<_> = ["update"].iter().chain(options).chain(&[&*c.id]).copied().collect();
        let call = t.call(&args).env("DBUS_SYSTEM_BUS_ADDRESS", &systemd.address);
        call.run().ok();
        let asked = systemd.asked("SetUnitProperties");
        asked[before..].last().map(|last| properties(&last[2]))
    };
    assert_eq!(
        update(&["--memory", "33554432", "--pids-limit=-1"]),
        Some(json!({"MemoryLimit": 33_554_432, "TasksMax": u64::MAX}))
    );
    assert_eq!(update(&["--cpu-share", "77"]), Some(json!({"CPUShares": 77})));
    let count = systemd.asked("SetUnitProperties").len();
    update(&["--pids-limit=0"]);
    assert_eq!(systemd.asked("SetUnitProperties").len(), count, "0 leaves it alone");
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
}

fn delete_ends_the_scope(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Willing);
    let unit = json!(format!("test-{}.scope", c.id));
    systemd.create(t, &c).run().ok();
    let delete = t.call(&["delete", "--force", &c.id]);
    delete.env("DBUS_SYSTEM_BUS_ADDRESS", &systemd.address).run().ok();
    assert_eq!(systemd.asked("StopUnit"), [json!([unit, "replace"])]);
    assert_eq!(systemd.asked("ResetFailedUnit"), [json!([unit])]);
    clear_away(&c);
    // When it has gone for good, delete does all by itself.
    systemd.create(t, &c).run().ok();
    let delete = t.call(&["delete", "--force", &c.id]);
    delete
        .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/no/such/bus")
        .run()
        .ok();
    assert!(!directory(&c).exists());
}

fn run_needs_a_scope_too(t: &Test) {
    let mut c = scoped(t);
    c.config["process"]["args"] = json!(["/bin/sh", "-c", "cat /proc/self/cgroup; exit 3"]);
    c.write_config();
    let systemd = Systemd::start(t, Mood::Willing);
    let outcome = systemd
        .call(t, &["run", "--bundle", c.bundle.to_str().expect("path"), &c.id])
        .run()
        .code(3);
    assert!(outcome.stdout.contains(&format!("/test-{}.scope", c.id)), "{outcome}");
    clear_away(&c);
}

fn annotations_are_properties(t: &Test) {
    let mut c = scoped(t);
    let prefix = "org.systemd.property";
    c.config["annotations"] = json!({
        format!("{prefix}.TimeoutStopUSec"): "uint64 123456789",
        format!("{prefix}.KillMode"): "'mixed'",
        format!("{prefix}.SendSIGHUP"): "true",
        format!("{prefix}.OOMScoreAdjust"): "-5",
        format!("{prefix}.After"): "['a.service', \"b.service\"]",
        "other": "thing",
    });
    let systemd = Systemd::start(t, Mood::Willing);
    systemd.create(t, &c).run().ok();
    let asked = properties(&systemd.asked("StartTransientUnit")[0][2]);
    for (name, value) in [
        ("TimeoutStopUSec", json!(123_456_789)),
        ("KillMode", json!("mixed")),
        ("SendSIGHUP", json!(true)),
        ("OOMScoreAdjust", json!(-5)),
        ("After", json!(["a.service", "b.service"])),
    ] {
        assert_eq!(asked[name], value, "{name}: {asked}");
    }
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
    for value in [
        "",
        "uint64",
        "uint64 x",
        "'a",
        "[a]",
        "{'a': 1}",
        "['a' 'b']",
        "12x",
        "nothing",
    ] {
        c.config["annotations"] = json!({format!("{prefix}.KillMode"): value});
        let outcome = systemd.create(t, &c).run().fails();
        outcome.says("org.systemd.property.KillMode");
    }
}

fn the_cgroup_has_a_name_without_a_path(t: &Test) {
    let mut c = scoped(t);
    let systemd = Systemd::start(t, Mood::Refuses("org.freedesktop.DBus.Error.AccessDenied"));
    c.config["linux"].as_object_mut().expect("linux").remove("cgroupsPath");
    systemd.create(t, &c).run().fails();
    let asked = &systemd.asked("StartTransientUnit")[0];
    assert_eq!(asked[0], json!(format!("roci-{}.scope", c.id)));
    assert_eq!(properties(&asked[2])["Slice"], "system.slice");
}

#[track_caller]
fn leaves_nothing(t: &Test, c: &Container) {
    c.state_call().fails().says("does not exist");
    let left = tests::leaks::Leftovers::settle(&t.runtime.token, &t.runtime.root);
    assert!(left.is_empty(), "left behind:\n{left}");
}

fn a_refusal_is_told_and_leaves_nothing(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Refuses("org.freedesktop.DBus.Error.AccessDenied"));
    let outcome = systemd.create(t, &c).run().fails().code(1);
    outcome.says(&format!(
        "test-{}.scope: No, not this one. (org.freedesktop.DBus.Error.AccessDenied)",
        c.id
    ));
    leaves_nothing(t, &c);
    // It changes its mind.
    systemd.create(t, &c).run().ok();
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
}

fn a_job_that_fails_is_told_and_leaves_nothing(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Fails("dependency"));
    systemd.create(t, &c).run().fails().says("its job ended as dependency");
    leaves_nothing(t, &c);
}

fn a_unit_that_has_just_ended_is_waited_for(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Refuses("org.freedesktop.systemd1.UnitExists"));
    systemd.create(t, &c).run().ok();
    let calls = [
        "Hello",
        "AddMatch",
        "StartTransientUnit",
        "ResetFailedUnit",
        "StartTransientUnit",
    ];
    assert_eq!(systemd.methods()[..5], calls);
    systemd.call(t, &["delete", "--force", &c.id]).run().ok();
    clear_away(&c);
}

fn what_is_not_d_bus_is_told(t: &Test) {
    for (mood, words) in [
        (Mood::Garbage, "not D-Bus"),
        (Mood::Hangup, "hung up"),
        (Mood::Rejects, "does not let us in: REJECTED EXTERNAL"),
    ] {
        let c = scoped(t);
        let systemd = Systemd::start(t, mood);
        systemd.create(t, &c).run().fails().code(1).says(words);
        leaves_nothing(t, &c);
        std::fs::remove_file(t.path("bus")).expect("the socket");
    }
}

fn silence_is_told(t: &Test) {
    let c = scoped(t);
    let systemd = Systemd::start(t, Mood::Silence);
    let create = systemd.create(t, &c).limit(Duration::from_secs(60));
    create.run().fails().says("does not answer");
    leaves_nothing(t, &c);
}

fn without_systemd_there_is_one_clear_error(t: &Test) {
    let c = scoped(t);
    c.write_config();
    let bundle = c.bundle.to_str().expect("path");
    for address in [
        "unix:path=/no/such/bus",
        "unix:path=/no/such/bus,guid=1;unix:path=/other",
    ] {
        let create = ["create", "--bundle", bundle, &c.id];
        let create = t.runtime.global(&["--systemd-cgroup"], &create);
        let outcome = create.env("DBUS_SYSTEM_BUS_ADDRESS", address).run().fails().code(1);
        outcome.says("no systemd to talk to: connect to /no/such/bus: no such file or directory");
        leaves_nothing(t, &c);
    }
}

fn paths_of_one_kind_are_not_taken_for_the_other(t: &Test) {
    let mut c = scoped(t);
    c.create().fails().says("--systemd-cgroup is missing");
    leaves_nothing(t, &c);
    let systemd = Systemd::start(t, Mood::Willing);
    for path in [
        "/a/b",
        "a/b",
        "a:b",
        "system.slice:a/b:c",
        "no-slice:a:b",
        "a/b.slice:a:b",
        "a.slice:b:",
    ] {
        c.config["linux"]["cgroupsPath"] = json!(path);
        systemd.create(t, &c).run().fails().says("linux.cgroupsPath");
    }
    assert_eq!(systemd.methods(), Vec::<String>::new());
    leaves_nothing(t, &c);
}
