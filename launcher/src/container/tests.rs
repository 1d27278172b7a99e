//! The state directory, and what is read and written there.

use std::string::{String, ToString};
use std::vec;
use std::vec::Vec;

use super::*;
use crate::harness::{Directory, refusal};
use crate::text::Pieces;

#[test]
fn too_much_text_is_no_text() {
    let mut memory = [0; 4];
    let mut document = Document::new(&mut memory);
    document.str("ab").str("cd");
    assert!(document.is_whole());
    assert_eq!(document.as_bytes(), b"abcd");
    assert!(document.check_state().is_ok());
    document.str("e");
    assert!(!document.is_whole());
    assert_eq!(document.as_bytes(), b"");
    let refused = refusal(|| document.check_state().map_err(|error| error.never()));
    assert!(refused.contains("STATE_BYTES_MAX"), "{refused}");
    assert_eq!(document.into_bytes(), b"");
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_file_that_may_be_longer_than_the_memory_is_not_read() {
    let directory = Directory::new("read");
    directory.write("file", "12345");
    let open = || open_in(directory.open().as_fd(), c"file", OFlags::RDONLY).expect("the file");
    for (len, expected) in [(5, None), (6, Some(&b"12345"[..])), (7, Some(b"12345"))] {
        let mut memory = vec![0; len];
        assert_eq!(read_own(open().as_fd(), &mut memory), Ok(expected));
        let mut memory = vec![0; len];
        assert_eq!(read_document(open().as_fd(), &mut memory), Ok(expected));
    }
    // A pipe gives what is there, and then the rest.
    let (output, input) = sys::fd::pipe().expect("a pipe");
    rustix::fs::fcntl_setfl(&output, OFlags::empty()).expect("an end that waits");
    assert_eq!(write_all(input.as_fd(), b"abc"), Ok(()));
    let writer = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let written = write_all(input.as_fd(), b"def");
        input.close();
        written
    });
    let mut memory = [0; 16];
    assert_eq!(read_document(output.as_fd(), &mut memory), Ok(Some(&b"abcdef"[..])));
    assert_eq!(writer.join().expect("the writer"), Ok(()));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_file_is_replaced_whole_or_not_at_all() {
    let directory = Directory::new("beside");
    directory.write("pid", "a longer text than the new one");
    let path = |name: &str| Path::new(directory.0.join(name).to_str().expect("UTF-8").as_bytes());
    assert_eq!(write_beside(path("pid").as_c_str(), b"7"), Ok(()));
    assert_eq!(directory.read("pid"), "7");
    // What cannot be renamed leaves nothing.
    directory.write("taken/file", "");
    assert_eq!(write_beside(path("taken").as_c_str(), b"7"), Err(Errno::ISDIR));
    let mut names: Vec<_> = std::fs::read_dir(&directory.0)
        .expect("the directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert_eq!(names, ["pid", "taken"]);
    assert_eq!(write_beside(path("none/file").as_c_str(), b"7"), Err(Errno::NOENT));
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn directories_above_are_made() {
    let directory = Directory::new("parents");
    let path = |name: &str| Path::new(directory.0.join(name).to_str().expect("UTF-8").as_bytes());
    assert!(matches!(StateRoot::open_at(path("a/b/c").as_c_str(), false), Ok(None)));
    assert!(!directory.0.join("a").exists());
    let root = StateRoot::open_at(path("a//b/./c//").as_c_str(), true);
    assert!(matches!(root, Ok(Some(_))));
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt;
        std::fs::metadata(directory.0.join(name))
            .expect("a directory")
            .permissions()
            .mode()
            & 0o777
    };
    // The state is its owner's alone; what is above it was only on the way.
    assert_eq!([mode("a"), mode("a/b"), mode("a/b/c")], [0o755, 0o755, 0o700]);
    assert!(matches!(
        StateRoot::open_at(path("a/b/c").as_c_str(), true),
        Ok(Some(_))
    ));
    directory.write("file", "");
    assert_eq!(
        StateRoot::open_at(path("file").as_c_str(), true).err(),
        Some(Errno::NOTDIR)
    );
    assert!(StateRoot::open_at(path("file/below").as_c_str(), true).is_err());
}

fn made(root: &StateRoot) -> Container {
    let directory = make(root, c"web", b"{}").unwrap_or_else(|error| error.never());
    Container { directory, id: c"web" }
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_container_is_its_directory() {
    let directory = Directory::new("container");
    let root = StateRoot { fd: directory.open() };
    let look = || Container::look_for(&root, c"web").unwrap_or_else(|error| error.never());
    assert!(look().is_none());
    let container = made(&root);
    let refused = refusal(|| make(&root, c"web", b"{}").map_err(|error| error.never()));
    assert_eq!(refused, "container with given ID already exists");
    // The lock is that of the descriptor which made it, and whoever else looks finds it taken.
    let other = look().expect("the container");
    assert!(other.has_config() && other.is_busy());
    assert!(!other.has_fifo());
    let state = other.open_state().unwrap_or_else(|error| error.never());
    assert!(state.is_none());
    for text in [&b"one, which is longer"[..], b"two"] {
        container.write_state(text).unwrap_or_else(|error| error.never());
        assert_eq!(directory.read("web/state.json").as_bytes(), text);
        assert!(!directory.0.join("web/state.json.new").exists());
    }
    use std::os::unix::fs::PermissionsExt;
    for (file, mode) in [("web", 0o700), ("web/config.json", 0o600), ("web/state.json", 0o600)] {
        let found = std::fs::metadata(directory.0.join(file))
            .expect("the file")
            .permissions()
            .mode();
        assert_eq!(found & 0o777, mode, "{file}");
    }
    directory.write("web/exec.fifo", "");
    assert!(other.has_fifo());
    container.directory.close();
    assert!(!other.is_busy());
    assert!(other.lock().unwrap_or_else(|error| error.never()));
    let another = look().expect("the container");
    assert_eq!(remove(root.as_fd(), c"web"), Ok(()));
    assert!(look().is_none());
    other.directory.close();
    // Who waited for the lock finds that there is nothing any more.
    assert!(!another.lock().unwrap_or_else(|error| error.never()));
    assert!(!another.has_config());
    crate::undo::forget_all();
}

#[test]
#[cfg_attr(miri, ignore = "system calls")]
fn a_state_that_is_damaged_is_an_error_or_none() {
    let directory = Directory::new("state");
    let root = StateRoot { fd: directory.open() };
    let container = made(&root);
    let read = |text: &str, damage| -> core::result::Result<(bool, String), String> {
        container
            .write_state(text.as_bytes())
            .unwrap_or_else(|error| error.never());
        let file = container
            .open_state()
            .unwrap_or_else(|error| error.never())
            .expect("the file");
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut memory = std::boxed::Box::new(StateMemory::new());
            let mut state = State::new();
            let is_whole = read_state(&file, &mut memory, &mut state, damage).unwrap_or_else(|error| error.never());
            (is_whole, state.view().id.to_string())
        }));
        result.map_err(|text| *text.downcast().expect("a text"))
    };
    let whole = r#"{"ociVersion": "1.3.0", "id": "web", "pid": 7, "startTime": 5, "bundle": "/b", "rootfs": "/b/r",
        "created": "2026-11-22T05:12:00Z", "owner": ""}"#;
    for damage in [Damage::IsError, Damage::IsNoState] {
        assert_eq!(read(whole, damage), Ok((true, "web".to_string())));
    }
    let cut = &whole[..whole.len() - 10];
    assert_eq!(read(cut, Damage::IsNoState), Ok((false, String::new())));
    assert!(read(cut, Damage::IsError).is_err_and(|text| text.starts_with("state.json:")));
    crate::undo::forget_all();
}
