#![no_main]

use spec_core::state::{State, parse_state, write_state};

// What can be read can be written, and read again.
libfuzzer_sys::fuzz_target!(|json: &[u8]| {
    let mut arena = vec![0; 2 * json.len()];
    let mut state = State::new();
    if parse_state(json, &mut arena, &mut state).is_err() {
        return;
    }
    let mut written = String::new();
    write_state(&mut written, &state.view());
    let mut arena = vec![0; 2 * written.len()];
    let mut again = State::new();
    parse_state(written.as_bytes(), &mut arena, &mut again).unwrap();
    let mut twice = String::new();
    write_state(&mut twice, &again.view());
    assert_eq!(written, twice);
});
