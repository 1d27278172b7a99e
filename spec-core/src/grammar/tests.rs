use std::format;
use std::string::String;
use std::vec::Vec;

use super::*;

const END: &str = "unexpected end of file";

/// Checks bytes in which `@` marks where the mistake is.
#[track_caller]
fn check_bytes(marked: &[u8], expected: &str) {
    let at = marked.iter().position(|byte| *byte == b'@');
    let json: Vec<u8> = marked.iter().copied().filter(|byte| *byte != b'@').collect();
    match (check(&json), at) {
        (Ok(_), None) => {}
        (Err((text, offset)), Some(at)) => assert_eq!((text.text(), offset), (expected, at)),
        (found, _) => panic!("{}: {found:?}", String::from_utf8_lossy(marked)),
    }
}

#[test]
fn what_rfc_8259_allows_is_allowed() {
    for json in [
        "{}",
        "[]",
        " [ ] ",
        "\t{\n}\r",
        "0",
        "-0",
        "10.5",
        "1e9",
        "1E+9",
        "-1.25e-3",
        "true",
        "false",
        "null",
        "\"\"",
        "\"a\u{7f}é€😀\"",
        r#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDe00""#,
        "[1,2]",
        r#"{"a":{"b":[{}]},"a":[]}"#,
    ] {
        check_bytes(json.as_bytes(), "");
    }
}

#[test]
fn what_it_does_not_allow_is_refused_where_it_shows() {
    for (json, expected) in [
        ("@", END),
        ("  @", END),
        ("@\u{feff}{}", "starts with a byte order mark"),
        ("{} @{}", "expected the end of the file"),
        ("0@1", "expected the end of the file"),
        ("@]", "expected a value"),
        ("[1,@]", "expected a value"),
        ("[@,1]", "expected a value"),
        ("[1 @2]", "expected a comma or ']'"),
        ("[1@}", "expected a comma or ']'"),
        ("{@]", "expected a name in quotes"),
        ("{@1:2}", "expected a name in quotes"),
        ("{\"a\":1,@}", "expected a name in quotes"),
        ("{\"a\" @1}", "expected a colon"),
        ("{\"a\":@}", "expected a value"),
        ("{\"a\":1@]", "expected a comma or '}'"),
        ("{\"a\":1@", END),
        ("{\"a\":@", END),
        ("{\"a\"@", END),
        ("{\"a@", END),
        ("{@", END),
        ("[@", END),
        ("[1,@", END),
        ("n@an", "expected a value"),
        ("tr@ve", "expected a value"),
        ("nul@", END),
        ("-@", END),
        ("-@x", "expected a digit"),
        ("@+1", "expected a value"),
        ("@.5", "expected a value"),
        ("1.@", END),
        ("[1.@]", "expected a digit"),
        ("[1e@]", "expected a digit"),
        ("[1e+@]", "expected a digit"),
        ("[0@0]", "expected a comma or ']'"),
        ("@'a'", "expected a value"),
        ("\"a@\nb\"", "control character in a string"),
        ("\"@\0\"", "control character in a string"),
        (r#""\@x""#, "unknown escape in a string"),
        (r#""\u00@g0""#, "expected a hexadecimal digit"),
        (r#""\u00@"#, END),
        (r#""\@"#, END),
        (r#""a@\u0000""#, "NUL in a string"),
        (r#""@\ud800""#, "lone surrogate in a string"),
        (r#""@\ud800\n""#, "lone surrogate in a string"),
        (r#""@\ud800\ud800""#, "lone surrogate in a string"),
        (r#""@\udc00""#, "lone surrogate in a string"),
        (r#""@\udc00"#, "lone surrogate in a string"),
        (r#""\ud800@"#, END),
        (r#""\ud800\@"#, END),
        (r#""\ud800\u@"#, END),
        ("{@//}", "expected a name in quotes"),
    ] {
        check_bytes(json.as_bytes(), expected);
    }
}

#[test]
fn bytes_that_are_not_utf_8_are_refused_unless_something_else_comes_first() {
    check_bytes(b"\"a@\xff\"", "not UTF-8");
    check_bytes(b"\"a@\xc3", "not UTF-8");
    check_bytes(b"{} @\xff", "not UTF-8");
    check_bytes(b"{@] \xff", "expected a name in quotes");
    check_bytes(b"@\xff", "not UTF-8");
    // Encoded surrogates are no UTF-8.
    check_bytes(b"\"@\xed\xa0\x80\"", "not UTF-8");
}

#[test]
fn depth_is_limited() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |depth: usize, inner: &str| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
        let last = if open == "[" { "[]" } else { "{}" };
        check_bytes(nested(JSON_DEPTH_MAX - 1, last).as_bytes(), "");
        let too_deep = nested(JSON_DEPTH_MAX, &format!("@{last}"));
        check_bytes(too_deep.as_bytes(), "nested deeper than 32 levels (JSON_DEPTH_MAX)");
    }
    // Closing gives the depth back.
    check_bytes(format!("[{}[]]", "[],".repeat(1000)).as_bytes(), "");
}

#[test]
fn children_are_found() {
    let json = br#" { "a" : [ 1 , {"x":"]"} , "\"," ] , "b":{} , "a":2 } "#;
    let top = skip_space(json, 0);
    assert_eq!(shown(json, find_member(json, top, "a").unwrap()), "2");
    assert_eq!(shown(json, find_member(json, top, "b").unwrap()), "an object");
    assert_eq!(find_member(json, top, "c"), None);
    // The first of two members of the same name is found by its place alone.
    let list = find_child(json, top, 0).unwrap();
    assert_eq!(shown(json, list), "an array");
    assert_eq!(shown(json, find_child(json, list, 2).unwrap()), r#""\",""#);
    assert_eq!(find_child(json, list, 3), None);
    assert_eq!(find_child(json, top, 2), find_member(json, top, "a"));
    assert_eq!(find_member(json, find_child(json, list, 0).unwrap(), "x"), None);
}
