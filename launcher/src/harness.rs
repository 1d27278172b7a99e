//! What unit tests make their cases of: command lines, configurations, and directories that stand for the kernel's.

use std::boxed::Box;
use std::ffi::CString;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::string::String;
use std::vec;
use std::vec::Vec;

use rustix::fs::OFlags;
use spec_core::Spec;
use sys::{Arguments, OwnedFd, Words};

/// The words of `line`, which blanks part, as those of a process.
pub fn typed(line: &str) -> Arguments {
    let words = line.split(' ').map(|word| CString::new(word).expect("no NUL"));
    let words: Vec<&'static core::ffi::CStr> = words.map(|word| &*Box::leak(word.into_boxed_c_str())).collect();
    Words::new(Vec::leak(vec![core::ptr::null(); words.len() + 2])).with(&words)
}

/// A configuration with these members beside those that every one has.
#[track_caller]
pub fn spec(members: &str) -> &'static mut Spec<'static> {
    let json = std::format!(r#"{{"ociVersion": "1.3.0", "root": {{"path": "rootfs"}}{members}}}"#);
    let json = Box::leak(json.into_boxed_str()).as_bytes();
    let spec = Box::leak(Box::new(Spec::new()));
    let arena = Vec::leak(vec![0; 2 * json.len()]);
    if let Err(error) = spec_core::parse_config(json, arena, spec) {
        panic!("{error}");
    }
    spec
}

/// What an error says, which in tests is a panic.
#[track_caller]
pub fn refusal<T>(act: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(_) => panic!("there is no error"),
        Err(text) => *text.downcast().expect("a text"),
    }
}

/// A directory that goes with its owner.
pub struct Directory(pub PathBuf);

impl Directory {
    /// An empty one.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(std::format!("roci-unit-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory");
        Self(path)
    }

    /// Opens it.
    pub fn open(&self) -> OwnedFd {
        let path = CString::new(self.0.to_str().expect("UTF-8")).expect("no NUL");
        sys::fd::open(&path, OFlags::RDONLY | OFlags::DIRECTORY).expect("the directory")
    }

    /// Makes the file, with the directories above it.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a directory above")).expect("the directories above");
        fs::write(path, text).expect("the file");
    }

    /// What is in the file.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(name)).expect("the file")
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
