//! What an ssh(1) process says, of which a bounded part is kept: how much it is, is a host's to choose.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::task::JoinHandle;

use super::refusal::LEFT_OUT;

/// The most bytes that are kept of the beginning, where ssh(1) speaks of host keys.
const FIRST: usize = 1 << 16;

/// The most bytes that are kept of the end.
const LAST: usize = 1 << 18;

/// How long the ssh(1) processes of jump hosts may go on speaking once the login has failed.
const LINGER: Duration = Duration::from_secs(1);

/// What is kept.
#[derive(Debug, Default)]
struct Kept {
    first: Vec<u8>,
    last: VecDeque<u8>,
    /// How many bytes between the two are gone.
    gone: u64,
}

impl Kept {
    fn take(&mut self, bytes: &[u8]) {
        let room = bytes.len().min(FIRST - self.first.len());
        let (first, rest) = bytes.split_at(room);
        self.first.extend_from_slice(first);
        self.last.extend(rest);
        let over = self.last.len().saturating_sub(LAST);
        self.last.drain(..over);
        self.gone += over as u64;
    }

    fn text(&self) -> String {
        let last: Vec<u8> = self.last.iter().copied().collect();
        if self.gone == 0 {
            return String::from_utf8_lossy(&[&self.first[..], &last].concat()).into_owned();
        }
        let (first, last) = (String::from_utf8_lossy(&self.first), String::from_utf8_lossy(&last));
        format!("{first}\n{LEFT_OUT} {} bytes\n{last}", self.gone)
    }
}

/// What is heard of a process, to its end: who says more than is kept is never stopped by it.
#[derive(Debug)]
pub(super) struct Log {
    kept: Arc<Mutex<Kept>>,
    hearing: JoinHandle<()>,
}

impl Log {
    /// Hears what comes out of a pipe.
    pub(super) fn of(pipe: Option<impl AsyncRead + Send + Unpin + 'static>) -> Self {
        let kept: Arc<Mutex<Kept>> = Arc::default();
        let heard = Arc::clone(&kept);
        let hearing = tokio::spawn(async move {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = vec![0; 1 << 13];
            while let Ok(read) = pipe.read(&mut buffer).await
                && read > 0
            {
                heard.lock().take(&buffer[..read]);
            }
        });
        Self { kept, hearing }
    }

    /// All of it that is kept, once the process has ended.
    pub(super) async fn whole(self) -> String {
        let _ = tokio::time::timeout(LINGER, self.hearing).await;
        self.kept.lock().text()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    fn heard(say: &[&[u8]]) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let (mut writer, reader) = tokio::io::duplex(1 << 12);
            let log = Log::of(Some(reader));
            for bytes in say {
                writer.write_all(bytes).await.unwrap();
            }
            drop(writer);
            log.whole().await
        })
    }

    #[test]
    fn what_is_short_is_kept_whole() {
        assert_eq!(heard(&[]), "");
        assert_eq!(heard(&[b"one\r\n", b"two \xff\n"]), "one\r\ntwo \u{fffd}\n");
        let long = vec![b'x'; FIRST + LAST];
        assert_eq!(heard(&[&long]).len(), FIRST + LAST);
    }

    #[test]
    fn of_what_is_long_both_ends_are_kept() {
        let long = vec![b'x'; 1 << 20];
        let text = heard(&[b"begin", &long, b"end"]);
        let gone = (1 << 20) + 8 - FIRST - LAST;
        assert!(text.starts_with("begin") && text.ends_with("xend"), "{}", text.len());
        assert!(text.contains(&format!("x\n{LEFT_OUT} {gone} bytes\nx")));
        assert!(text.len() < FIRST + LAST + 100, "{}", text.len());
    }
}
