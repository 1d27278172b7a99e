//! What is asked of every document that becomes a `Spec`: no panic, and an error that can be printed and points into it.

use spec_core::limits::MESSAGE_BYTES_MAX;
use spec_core::{Error, Spec};

type Parse = for<'a> fn(&'a [u8], &'a mut [u8], &mut Spec<'a>) -> Result<(), Error<'a>>;

pub fn check(parse: Parse, json: &[u8]) {
    let mut arena = vec![0; 2 * json.len()];
    let mut spec = Box::new(Spec::new());
    if let Err(error) = parse(json, &mut arena, &mut spec) {
        let (line, column) = error.line_and_column();
        assert!(line >= 1 && column >= 1 && line + column <= json.len() + 2);
        let text = error.to_string();
        assert!(text.len() < MESSAGE_BYTES_MAX && !text.contains('\n'), "{text}");
        // The arena always suffices.
        assert!(!text.contains("TEXT_BYTES_MAX"), "{text}");
        return;
    }
    for mount in &spec.mounts {
        assert!(!mount.destination.is_empty());
        assert_eq!(mount.destination.as_c_str().to_bytes(), mount.destination.as_str().as_bytes());
        assert!(spec.list(mount.uid_mappings).iter().all(|mapping| mapping.size > 0));
    }
    if let Some(process) = &spec.process {
        assert!(process.cwd.as_str().starts_with('/') && !spec.list(process.args).is_empty());
    }
}
