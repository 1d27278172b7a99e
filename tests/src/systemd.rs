//! A systemd that is a thread, for `--systemd-cgroup`: what it is asked byte by byte is noted, and it answers as it is told
//! to. It makes the cgroups of its units, and removes them as soon as they are empty, as the real one does.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

/// What it answers to the first call of `StartTransientUnit`.
#[derive(Clone, Copy, PartialEq)]
pub enum Mood {
    /// It does what it is asked for.
    Willing,
    /// It refuses with the error of that name.
    Refuses(&'static str),
    /// The job ends with that result.
    Fails(&'static str),
    /// What it was to put into a unit has ended before the job is done.
    ComesTooLate,
    /// It says something that is not D-Bus.
    Garbage,
    /// It ends the connection.
    Hangup,
    /// It says nothing.
    Silence,
    /// It does not even let anybody in.
    Rejects,
}

/// A systemd behind a bus.
pub struct Systemd {
    /// For `DBUS_SYSTEM_BUS_ADDRESS`.
    pub address: String,
    inside: Arc<Inside>,
}

struct Inside {
    mood: Mutex<Mood>,
    /// The calls that it got, with their arguments.
    calls: Mutex<Vec<(String, Value)>>,
    /// The hierarchy with its cgroups.
    cgroups: PathBuf,
}

impl Systemd {
    /// One that answers at `socket`, and makes cgroups in the hierarchy that is mounted at `cgroups`.
    pub fn start(socket: &Path, mood: Mood, cgroups: PathBuf) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let inside = Arc::new(Inside {
            mood: Mutex::new(mood),
            calls: Mutex::default(),
            cgroups,
        });
        let shared = inside.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, inside) = (stream.expect("a client"), shared.clone());
                // Whoever hangs up has had enough.
                std::thread::spawn(move || inside.serve(stream));
            }
        });
        Self {
            address: format!("unix:path={},guid=0123456789abcdef", socket.display()),
            inside,
        }
    }

    /// The arguments of the calls of `method`.
    pub fn asked(&self, method: &str) -> Vec<Value> {
        let calls = self.inside.calls.lock().expect("calls");
        let calls = calls.iter().filter(|(name, _)| name == method);
        calls.map(|(_, arguments)| arguments.clone()).collect()
    }

    /// The order of the calls.
    pub fn methods(&self) -> Vec<String> {
        let calls = self.inside.calls.lock().expect("calls");
        calls.iter().map(|(name, _)| name.clone()).collect()
    }
}

/// Where systemd has its cgroups here.
pub fn hierarchy() -> Option<PathBuf> {
    let mounts = crate::cgroup_mounts();
    let own = mounts.iter().find(|mount| mount.ends_with("systemd"));
    own.or_else(|| mounts.iter().find(|mount| *mount == Path::new("/sys/fs/cgroup")))
        .cloned()
}

impl Inside {
    fn serve(&self, mut stream: UnixStream) -> std::io::Result<()> {
        let mut greeting = [0; 22];
        stream.read_exact(&mut greeting)?;
        assert_eq!(&greeting, b"\0AUTH EXTERNAL\r\nDATA\r\n");
        if *self.mood.lock().expect("mood") == Mood::Rejects {
            return stream.write_all(b"REJECTED EXTERNAL\r\n");
        }
        stream.write_all(b"DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n")?;
        let mut begin = [0; 7];
        stream.read_exact(&mut begin)?;
        assert_eq!(&begin, b"BEGIN\r\n");
        loop {
            let (serial, method, arguments) = receive(&mut stream)?;
            self.note(&method, &arguments);
            match &*method {
                "Hello" => {
                    answer(&mut stream, serial, "s", &string(":1.7"))?;
                    signal(&mut stream, "NameAcquired", "s", &string(":1.7"))?;
                }
                "StartTransientUnit" | "StopUnit" => {
                    let unit = arguments[0].as_str().expect("a unit").to_owned();
                    let now = std::mem::replace(&mut *self.mood.lock().expect("mood"), Mood::Willing);
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
                        Mood::Willing | Mood::ComesTooLate | Mood::Rejects => {}
                    }
                    let scope = Scope(self.cgroups.join(&unit));
                    let done = match &*method {
                        "StartTransientUnit" if result == "done" => scope.begin(&arguments[2]),
                        "StopUnit" => scope.end(),
                        _ => Ok(result),
                    };
                    match done {
                        Ok(how) => result = how,
                        Err(name) => {
                            refuse(&mut stream, serial, name)?;
                            continue;
                        }
                    }
                    if now == Mood::ComesTooLate {
                        let _ = scope.end();
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

    fn note(&self, method: &str, arguments: &Value) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        // Who makes many scopes does not look at them.
        if calls.len() < 1000 {
            calls.push((method.to_owned(), arguments.clone()));
        }
    }
}

/// The cgroup of a unit below the root, in the one hierarchy that systemd cares for.
#[derive(Clone)]
struct Scope(PathBuf);

impl Scope {
    fn processes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Whether there is none any more.
    fn is_removed(&self) -> bool {
        let result = std::fs::remove_dir(&self.0);
        result.is_ok() || !self.0.exists()
    }

    /// Makes it with the processes among the properties; how the job ends, or the error that refuses it.
    fn begin(&self, list: &Value) -> Result<&'static str, &'static str> {
        let properties = properties(list);
        assert_eq!(properties["Slice"], "-.slice", "there are no other slices here");
        if std::fs::create_dir(&self.0).is_err() {
            return Err("org.freedesktop.systemd1.UnitExists");
        }
        let pids = properties["PIDs"].as_array().expect("processes").iter();
        let mut moved = pids.map(|pid| std::fs::write(self.0.join("cgroup.procs"), pid.to_string()));
        let result = if moved.all(|moved| moved.is_ok()) {
            "done"
        } else {
            "failed"
        };
        let scope = self.clone();
        std::thread::spawn(move || {
            while !scope.processes().is_empty() || !scope.is_removed() {
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Ok(result)
    }

    /// Kills all that is in it.
    fn end(&self) -> Result<&'static str, &'static str> {
        if !self.0.exists() {
            return Err("org.freedesktop.systemd1.NoSuchUnit");
        }
        while self.0.exists() {
            for pid in self.processes().iter().filter_map(|pid| pid.parse().ok()) {
                if let Some(pid) = rustix::process::Pid::from_raw(pid) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok("done")
    }
}

/// A list of properties as an object.
pub fn properties(list: &Value) -> Value {
    let pairs = list.as_array().expect("properties").iter();
    let pairs = pairs.map(|pair| (pair[0].as_str().expect("a name").to_owned(), pair[1].clone()));
    Value::Object(pairs.collect())
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
