use core::mem::size_of;
use std::string::ToString;

use super::*;
use crate::message::text;

#[test]
fn an_error_is_small() {
    assert!(size_of::<Error<'_>>() <= 96);
}

#[test]
fn positions_count_characters_and_lines() {
    let document = "{\r\n\t\"é😀\": 1,\n \"b\": [5]}".as_bytes();
    let error = |path: &[Step<'static>]| {
        let top = Error::new(document, Cause::Rule(text!("missing")));
        path.iter().copied().fold(top, Error::below)
    };
    assert_eq!(error(&[]).to_string(), "1:1: missing");
    assert_eq!(error(&[Step::Member("é😀")]).to_string(), "2:8: [\"é😀\"]: missing");
    assert_eq!(
        error(&[Step::Member("b"), Step::Index(0)]).to_string(),
        "3:8: b[0]: missing"
    );
    assert_eq!(error(&[Step::Member("b"), Step::Index(0)]).line_and_column(), (3, 8));
    // A member has a number, too.
    assert_eq!(error(&[Step::Index(1)]).to_string(), "3:7: b: missing");
    // What is not there is named, and the place is that of what should hold it.
    assert_eq!(
        error(&[Step::Member("c"), Step::Index(0)]).to_string(),
        "1:1: c: missing"
    );
    let limit = Error::new(document, Cause::Limit(text!("ID_MAP_EXTENTS_MAX"), 7)).below(Step::Member("b"));
    assert_eq!(limit.to_string(), "3:7: b: more than 7 entries (ID_MAP_EXTENTS_MAX)");
}

#[test]
fn syntax_errors_point_behind_the_end() {
    assert_eq!(
        Error::syntax(b"{\n", (text!("unexpected end of file"), 2)).to_string(),
        "2:1: unexpected end of file"
    );
    assert_eq!(
        Error::syntax(b"", (text!("unexpected end of file"), 0)).to_string(),
        "1:1: unexpected end of file"
    );
}
