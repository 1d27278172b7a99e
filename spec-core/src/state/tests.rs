use std::boxed::Box;
use std::format;
use std::string::{String, ToString};
use std::vec;

use super::*;

fn text(with_nul: &str) -> Text<'_> {
    Text::from_str_with_nul(with_nul).unwrap()
}

const VIEW: StateView<'static> = StateView {
    oci_version: "1.3.0",
    id: "web",
    pid: 42,
    start_time: 7,
    bundle: "/b",
    rootfs: "/b/rootfs",
    created: "2026-01-02T03:04:05.000000006Z",
    owner: "root",
    cgroup: None,
    annotations: &[],
};

#[test]
fn state_json_is_written_on_one_line() {
    let mut out = String::new();
    write_state(&mut out, &VIEW);
    let expected = r#"{"ociVersion":"1.3.0","id":"web","pid":42,"startTime":7,"bundle":"/b","rootfs":"/b/rootfs","created":"2026-01-02T03:04:05.000000006Z","owner":"root"}"#;
    assert_eq!(out, expected);
}

#[test]
fn the_state_of_the_specification_is_written_as_runc_does() {
    let annotations = [
        Pair {
            key: text("a\0"),
            value: text("1\0"),
        },
        Pair {
            key: text("b\0"),
            value: text("\"\u{1}é\0"),
        },
    ];
    let mut out = String::new();
    write_oci_state(
        &mut out,
        &StateView {
            annotations: &annotations,
            ..VIEW
        },
        Status::Running,
        Style::Pretty,
    );
    let expected = r#"{
  "ociVersion": "1.3.0",
  "id": "web",
  "pid": 42,
  "status": "running",
  "bundle": "/b",
  "rootfs": "/b/rootfs",
  "created": "2026-01-02T03:04:05.000000006Z",
  "annotations": {
    "a": "1",
    "b": "\"\u0001é"
  },
  "owner": "root"
}"#;
    assert_eq!(out, expected);
    let mut out = String::new();
    write_oci_state(&mut out, &VIEW, Status::Stopped, Style::Compact);
    let expected = r#"{"ociVersion":"1.3.0","id":"web","pid":0,"status":"stopped","bundle":"/b","rootfs":"/b/rootfs","created":"2026-01-02T03:04:05.000000006Z","owner":"root"}"#;
    assert_eq!(out, expected);
}

#[test]
fn every_status_has_its_word() {
    use Status::*;
    let words = [Creating, Created, Running, Paused, Stopped].map(Status::name);
    assert_eq!(words, ["creating", "created", "running", "paused", "stopped"]);
}

#[test]
fn strings_are_escaped() {
    for (text, expected) in [
        ("", r#""""#),
        ("plain é 😀", r#""plain é 😀""#),
        ("\"\\/", r#""\"\\/""#),
        ("\n\r\t\u{8}\u{1f}\u{7f}", r#""\n\r\t\u0008\u001f\u007f""#),
        ("\u{1}\u{9}\u{a}\u{1a}\u{1b}", r#""\u0001\t\n\u001a\u001b""#),
        ("a\nb\n", r#""a\nb\n""#),
    ] {
        let mut out = String::new();
        write_json_string(&mut out, text);
        assert_eq!(out, expected);
    }
}

fn parse(json: &str) -> String {
    let mut arena = vec![0; 2 * json.len()];
    let mut state = Box::new(State::new());
    match parse_state(json.as_bytes(), &mut arena, &mut state) {
        Ok(()) => {
            let mut out = String::new();
            write_state(&mut out, &state.view());
            out
        }
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_written_can_be_read() {
    let json = r#"{"ociVersion":"1.3.0","id":"web","pid":42,"startTime":18446744073709551615,"bundle":"/b","rootfs":"/b/r","created":"c","owner":"o","cgroup":"a/b","annotations":{"k":"v\u0001","":"é"}}"#;
    assert_eq!(parse(json), json);
}

#[test]
fn the_last_of_two_lists_counts() {
    let json = r#"{"ociVersion":"1.3.0","id":"web","bundle":"/b","annotations":{"k":"1"},"annotations":{"l":"2"}}"#;
    let written = parse(json);
    assert!(written.ends_with(r#""annotations":{"l":"2"}}"#), "{written}");
}

#[test]
fn what_is_wrong_is_refused() {
    let full = r#"{"ociVersion":"1.3.0","id":"web","bundle":"/b","MORE":0}"#;
    for (more, expected) in [
        (r#""pid":@-1"#, "pid: out of range: -1"),
        (r#""pid":@2147483648"#, "pid: out of range: 2147483648"),
        (
            r#""startTime":@-1"#,
            "startTime: expected an integer from 0 of 64 bits, not -1",
        ),
        (r#""id":@"../x""#, "id: not a container id: \"../x\""),
        (r#""bundle":@"b""#, "bundle: must be absolute: \"b\""),
        (r#""ociVersion":@"""#, "ociVersion: must not be empty"),
        (r#""annotations":@[]"#, "annotations: expected an object, not an array"),
    ] {
        let json = full.replace("\"MORE\":0", more);
        let column = json.find('@').unwrap() + 1;
        assert_eq!(parse(&json.replace('@', "")), format!("1:{column}: {expected}"));
    }
    for member in ["ociVersion", "id", "bundle"] {
        assert_eq!(parse(&full.replace(member, "x")), format!("1:1: {member}: missing"));
    }
    assert_eq!(parse("{]"), "1:2: expected a name in quotes");
}

#[test]
fn as_many_annotations_as_config_json_can_have() {
    let json = |count| {
        let annotations = crate::harness::repeat(count, |index| format!("\"a{index}\":\"\""));
        format!("{{\"ociVersion\":\"1.0.0\",\"id\":\"a\",\"bundle\":\"/\",\"annotations\":{{{annotations}}}}}")
    };
    assert!(parse(&json(STATE_ANNOTATIONS_MAX)).starts_with('{'));
    let expected = format!("1:59: annotations: more than {STATE_ANNOTATIONS_MAX} entries (STATE_ANNOTATIONS_MAX)");
    assert_eq!(parse(&json(STATE_ANNOTATIONS_MAX + 1)), expected);
}

#[test]
fn ids() {
    for id in ["a", "0", "_", "+", "-", "a.b", "A-b_c+d.e", &"x".repeat(ID_BYTES_MAX)] {
        assert_eq!(check_id(id), Ok(()), "{id}");
    }
    for id in [".", "..", ".a", "a/b", "a b", "ä", "a\n", "a:b", "a@b", "/", "a\0"] {
        assert_eq!(check_id(id), Err(IdError::Character), "{id}");
    }
    assert_eq!(check_id(""), Err(IdError::Empty));
    assert_eq!(check_id(&"x".repeat(ID_BYTES_MAX + 1)), Err(IdError::TooLong));
    assert_eq!(
        IdError::TooLong.to_string(),
        "the container id has more than 255 bytes (ID_BYTES_MAX)"
    );
}
