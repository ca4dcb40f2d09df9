// SPDX-License-Identifier: Apache-2.0 OR MIT
//! The guest's file system: a cpio archive in the format newc, which the kernel unpacks into memory.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

const DIRECTORY: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const CONSOLE: u32 = 0o020_600;

/// An archive under way.
pub(super) struct Image<W: Write> {
    out: W,
    entries: u32,
    directories: Vec<String>,
}

impl Image<BufWriter<File>> {
    /// Begins a file.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Self::new(BufWriter::new(File::create(path)?))
    }
}

impl<W: Write> Image<W> {
    fn new(out: W) -> io::Result<Self> {
        let mut image = Self { out, entries: 0, directories: Vec::new() };
        image.directory("dev")?;
        // The kernel opens it for the first process before anything is mounted.
        image.entry("dev/console", CONSOLE, (5, 1), b"")?;
        Ok(image)
    }

    /// A program, or any file, with the directories above it.
    pub(super) fn file(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if let Some((above, _)) = name.rsplit_once('/') {
            let mut at = 0;
            while let Some(next) = above[at..].find('/') {
                self.directory(&above[..at + next])?;
                at += next + 1;
            }
            self.directory(above)?;
        }
        self.entry(name, PROGRAM, (0, 0), bytes)
    }

    /// Copies a file of the host.
    pub(super) fn copy(&mut self, name: &str, from: &Path) -> io::Result<()> {
        let bytes = std::fs::read(from)
            .map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", from.display())))?;
        self.file(name, &bytes)
    }

    /// Ends the archive.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, (0, 0), b"")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn directory(&mut self, name: &str) -> io::Result<()> {
        if self.directories.iter().any(|there| there == name) {
            return Ok(());
        }
        self.directories.push(name.to_owned());
        self.entry(name, DIRECTORY, (0, 0), b"")
    }

    fn entry(&mut self, name: &str, mode: u32, device: (u32, u32), bytes: &[u8]) -> io::Result<()> {
        self.entries += 1;
        let size = u32::try_from(bytes.len())
            .map_err(|_| io::Error::other(format!("{name} is too large for the guest")))?;
        let links = if mode == DIRECTORY { 2 } else { 1 };
        // Number, mode, owner, group, links, time, size, device, device of a node, length of the name, sum.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            links,
            0,
            size,
            0,
            0,
            device.0,
            device.1,
            name.len() as u32 + 1,
            0,
        ];
        let mut head = String::from("070701");
        for field in fields {
            head.push_str(&format!("{field:08X}"));
        }
        head.push_str(name);
        head.push('\0');
        self.padded(head.as_bytes())?;
        self.padded(bytes)
    }

    /// Both parts of an entry end at a multiple of four.
    fn padded(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.write_all(&[0; 3][..bytes.len().wrapping_neg() % 4])
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn entries_are_as_the_kernel_reads_them() {
        let mut image = Image::new(Vec::new()).expect("memory");
        image.file("a/b/c", b"hello").expect("memory");
        image.file("a/b/d", b"").expect("memory");
        let bytes = image.finish().expect("memory");
        let mut names = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let field = |n: usize| {
                let from = at + 6 + 8 * n;
                let text = std::str::from_utf8(&bytes[from..from + 8]).expect("digits");
                usize::from_str_radix(text, 16).expect("hexadecimal")
            };
            assert_eq!(&bytes[at..at + 6], b"070701");
            let (size, name) = (field(6), field(11));
            let name_end = at + 110 + name;
            names
                .push((String::from_utf8_lossy(&bytes[at + 110..name_end - 1]).into_owned(), size));
            at = (name_end.next_multiple_of(4) + size).next_multiple_of(4);
        }
        let names: Vec<_> = names.iter().map(|(name, size)| (name.as_str(), *size)).collect();
        let wanted = [
            ("dev", 0),
            ("dev/console", 0),
            ("a", 0),
            ("a/b", 0),
            ("a/b/c", 5),
            ("a/b/d", 0),
            ("TRAILER!!!", 0),
        ];
        assert_eq!(names, wanted);
    }
}
