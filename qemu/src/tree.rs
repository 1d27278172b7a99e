//! The files of an image, before it is known what they are packed into.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::{Context, Result};

enum Node {
    Directory,
    File(Vec<u8>),
    Link(String),
    Character(u32, u32),
}

/// Files by their path, which has no `/` in front. All belong to root.
#[derive(Default)]
pub struct Tree(BTreeMap<String, (u32, Node)>);

impl Tree {
    fn put(&mut self, path: &str, mode: u32, node: Node) {
        let path = path.trim_matches('/');
        if let Some((parent, _)) = path.rsplit_once('/')
            && !self.0.contains_key(parent)
        {
            self.directory(parent, 0o755);
        }
        self.0.insert(path.to_owned(), (mode, node));
    }

    /// A directory, and those above it.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.put(path, mode, Node::Directory);
    }

    /// A file with these bytes.
    pub fn file(&mut self, path: &str, mode: u32, bytes: impl Into<Vec<u8>>) {
        self.put(path, mode, Node::File(bytes.into()));
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.put(path, 0o777, Node::Link(target.to_owned()));
    }

    /// A character device.
    pub fn character(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.put(path, mode, Node::Character(major, minor));
    }

    /// What this machine has at `from`: a file, or a directory with all that is in it. Sockets and devices are left out.
    pub fn copy(&mut self, path: &str, from: &Path) -> Result<()> {
        let metadata = from.symlink_metadata().with_context(|| from.display().to_string())?;
        let mode = metadata.permissions().mode() & 0o7777;
        if metadata.is_symlink() {
            self.link(path, &from.read_link()?.to_string_lossy());
        } else if metadata.is_file() {
            let bytes = std::fs::read(from).with_context(|| from.display().to_string())?;
            self.file(path, mode, bytes);
        } else if metadata.is_dir() {
            self.directory(path, mode);
            for entry in std::fs::read_dir(from).with_context(|| from.display().to_string())? {
                let entry = entry?;
                self.copy(
                    &format!("{path}/{}", entry.file_name().to_string_lossy()),
                    &entry.path(),
                )?;
            }
        } else {
            eprintln!(
                "{} is left out: a file of kind {:o}",
                from.display(),
                metadata.mode() >> 12
            );
        }
        Ok(())
    }

    /// An archive as the kernel unpacks them at its start (`Documentation/driver-api/early-userspace/buffer-format.rst`).
    pub fn write_cpio(&self, to: &mut impl Write) -> Result<()> {
        let entries = self.0.iter().map(|(path, entry)| (path.as_str(), entry));
        let end = (0, Node::File(Vec::new()));
        for (index, (path, (mode, node))) in entries.chain([("TRAILER!!!", &end)]).enumerate() {
            let (kind, data, device) = match node {
                Node::Directory => (0o040_000, &[][..], (0, 0)),
                Node::File(bytes) => (0o100_000, &bytes[..], (0, 0)),
                Node::Link(target) => (0o120_000, target.as_bytes(), (0, 0)),
                Node::Character(major, minor) => (0o020_000, &[][..], (*major, *minor)),
            };
            // Magic, then inode, mode, uid, gid, links, time, size, the file system's device, its own, the name, no checksum.
            let numbers = [
                index as u32 + 1,
                kind | mode,
                0,
                0,
                1,
                0,
                u32::try_from(data.len())?,
                0,
                0,
                device.0,
                device.1,
                u32::try_from(path.len())? + 1,
                0,
            ];
            let mut head = String::from("070701");
            numbers
                .iter()
                .for_each(|number| head.push_str(&format!("{number:08x}")));
            to.write_all(head.as_bytes())?;
            to.write_all(path.as_bytes())?;
            // The name ends with a NUL; it and the data are padded to four bytes.
            to.write_all(&[0; 4][..1 + padding(head.len() + path.len() + 1)])?;
            to.write_all(data)?;
            to.write_all(&[0; 4][..padding(data.len())])?;
        }
        Ok(())
    }

    /// An archive that tar unpacks.
    pub fn write_tar(&self, to: impl Write) -> Result<()> {
        let mut archive = tar::Builder::new(to);
        for (path, (mode, node)) in &self.0 {
            let mut header = tar::Header::new_gnu();
            header.set_mode(*mode);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(0);
            match node {
                Node::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    archive.append_data(&mut header, format!("{path}/"), std::io::empty())?;
                }
                Node::File(bytes) => {
                    header.set_size(bytes.len() as u64);
                    archive.append_data(&mut header, path, &bytes[..])?;
                }
                Node::Link(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    archive.append_link(&mut header, path, target)?;
                }
                Node::Character(major, minor) => {
                    header.set_entry_type(tar::EntryType::Char);
                    header.set_device_major(*major)?;
                    header.set_device_minor(*minor)?;
                    archive.append_data(&mut header, path, std::io::empty())?;
                }
            }
        }
        archive.into_inner()?.flush()?;
        Ok(())
    }
}

fn padding(len: usize) -> usize {
    len.wrapping_neg() % 4
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn an_archive_has_its_parts_where_the_kernel_expects_them() {
        let mut tree = Tree::default();
        tree.file("a/b", 0o644, "hello");
        tree.character("dev/console", 0o600, 5, 1);
        let mut bytes = Vec::new();
        tree.write_cpio(&mut bytes).expect("memory");
        let text = String::from_utf8_lossy(&bytes);
        // The directory came by itself: a head of 110 bytes, its name, padding to a multiple of four.
        assert!(text.starts_with("07070100000001000041ed"));
        assert_eq!(&text[110..112], "a\0");
        assert_eq!(&text[112..118], "070701");
        assert_eq!(&text[112 + 110..112 + 110 + 4], "a/b\0");
        let data = 112 + 110 + 6;
        assert_eq!(&text[data..data + 8], "hello\0\0\0");
        assert!(text.ends_with("TRAILER!!!\0\0\0\0") || text.ends_with("TRAILER!!!\0"));
        assert_eq!(bytes.len() % 4, 0);
    }
}
