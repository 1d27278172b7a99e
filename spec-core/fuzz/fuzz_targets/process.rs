#![no_main]

mod document;

libfuzzer_sys::fuzz_target!(|json: &[u8]| document::check(spec_core::parse_process, json));
