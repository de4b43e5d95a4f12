//! Interrupts that wait until what was begun can be undone.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use tokio::signal::unix::{SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP of this process, from now on. Programs that it starts have their own
/// way with them.
pub(super) struct Interrupts(Arc<AtomicBool>);

impl Interrupts {
    /// Holds them.
    ///
    /// # Errors
    /// Where there is no thread, or no pipe, to hold them with.
    pub(super) fn hold() -> io::Result<Self> {
        let came = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&came);
        let (begun, begins) = mpsc::channel();
        std::thread::Builder::new().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let _ = match runtime {
                Ok(runtime) => begun.send(runtime.block_on(listen(&begun, &flag))),
                Err(error) => begun.send(Err(error)),
            };
        })?;
        begins.recv().map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))??;
        Ok(Self(came))
    }

    /// Whether there was one.
    pub(super) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Listens as long as the process lives.
async fn listen(begun: &mpsc::Sender<io::Result<()>>, came: &AtomicBool) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    // Nobody who listens for it is left where the start is over.
    let _ = begun.send(Ok(()));
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        came.store(true, Ordering::Relaxed);
    }
}
