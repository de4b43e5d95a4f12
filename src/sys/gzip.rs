//! Compression, as gzip(1) undoes it.

use std::io::Read as _;

use flate2::Compression;
use flate2::bufread::GzEncoder;

/// Bytes as a gzip file; the same bytes always give the same file.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    // Reading from memory into memory cannot fail.
    let _ = GzEncoder::new(bytes, Compression::best()).read_to_end(&mut packed);
    packed
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::gzip;

    #[test]
    fn gzip_unpacks_it() {
        let bytes: Vec<u8> = (0..200_000_u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let packed = gzip(&bytes);
        assert!(packed.len() < bytes.len() / 2 && packed == gzip(&bytes));
        let mut child = Command::new("gzip")
            .arg("-dc")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("gzip is there");
        let mut stdin = child.stdin.take().expect("a pipe");
        let writer = std::thread::spawn(move || stdin.write_all(&packed));
        let unpacked = child.wait_with_output().expect("it ends").stdout;
        writer.join().expect("it ends").expect("it reads all");
        assert!(unpacked == bytes);
    }
}
