//! The lines of a connection, in a buffer that forgets them.

use std::io;
use std::ops::Range;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use zeroize::Zeroizing;

use super::parse::LONGEST_LINE;

/// A line longer than any of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Overlong;

/// Reads a stream line by line; what was read is zeroed with the buffer.
pub(super) struct Lines<S> {
    stream: S,
    buffer: Zeroizing<Vec<u8>>,
    /// What is in the buffer and not yet given.
    rest: Range<usize>,
}

impl<S: AsyncRead + Unpin> Lines<S> {
    /// The lines of a stream.
    pub(super) fn new(stream: S) -> Self {
        let buffer = Zeroizing::new(vec![0; 8 * (LONGEST_LINE + 1)]);
        Self { stream, buffer, rest: 0..0 }
    }

    /// The stream, to write to.
    pub(super) const fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// The next line without its end; `None` where the other side is done, also in the middle of
    /// one. A line that is too long is read past.
    pub(super) async fn next(&mut self) -> io::Result<Option<Result<&[u8], Overlong>>> {
        let mut overlong = false;
        let line = loop {
            let rest = &self.buffer[self.rest.clone()];
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                let start = self.rest.start;
                self.rest.start += length + 1;
                break start..start + length;
            }
            if rest.len() > LONGEST_LINE {
                overlong = true;
                self.rest = 0..0;
            }
            // Room for a whole line behind what is there.
            self.buffer.copy_within(self.rest.clone(), 0);
            self.rest = 0..self.rest.len();
            let read = self.stream.read(&mut self.buffer[self.rest.end..]).await?;
            if read == 0 {
                return Ok(None);
            }
            self.rest.end += read;
        };
        let overlong = overlong || line.len() > LONGEST_LINE;
        Ok(Some(if overlong { Err(Overlong) } else { Ok(&self.buffer[line]) }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    /// Lines of a stream that brings so many bytes at a time.
    fn all(text: &[u8], piece: usize) -> Vec<Option<Vec<u8>>> {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (near, mut far) = tokio::io::duplex(piece);
            let read = async {
                let mut lines = Lines::new(near);
                let mut found = Vec::new();
                while let Some(line) = lines.next().await.unwrap() {
                    found.push(line.ok().map(<[u8]>::to_vec));
                }
                found
            };
            let write = async {
                far.write_all(text).await.unwrap();
                drop(far);
            };
            tokio::join!(read, write).0
        })
    }

    proptest! {
        #[test]
        fn lines_are_what_lies_between_their_ends(
            lengths in proptest::collection::vec(
                prop_oneof![0_usize..3, 500_usize..530, 1020_usize..1030, 4090_usize..4120],
                0..12,
            ),
            cut in 0_usize..4,
            piece in prop_oneof![1_usize..8, 500_usize..520, Just(1 << 16)],
        ) {
            let lines: Vec<Vec<u8>> =
                (b'a'..).zip(&lengths).map(|(byte, length)| vec![byte; *length]).collect();
            let mut text = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect::<Vec<_>>();
            text.extend(vec![b'z'; cut]);
            let wanted: Vec<Option<Vec<u8>>> =
                lines.into_iter().map(|line| Some(line).filter(|line| line.len() <= LONGEST_LINE)).collect();
            prop_assert_eq!(all(&text, piece), wanted);
        }
    }
}
