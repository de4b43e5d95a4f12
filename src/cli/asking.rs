//! Questions on the terminal.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::pin::Pin;

use super::{CommandError, Exit};
use crate::fleet::{AskedForWave, NextWave};
use crate::model::count;

/// Refuses to wait for an answer that nobody can give.
pub(super) fn can_ask(yes: bool) -> Result<(), CommandError> {
    if yes || std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(CommandError::message(Exit::Usage, "cannot ask for confirmation: stdin is not a terminal")
        .hint("add --yes"))
}

/// Refuses to begin what could not go on: between waves somebody is asked.
pub(super) fn can_ask_between() -> Result<(), CommandError> {
    if std::io::stdin().is_terminal() {
        return Ok(());
    }
    Err(CommandError::message(
        Exit::Usage,
        "`rollout: ask` asks before each wave but the first, and stdin is not a terminal; no host was \
         asked",
    )
    .hint("run it on a terminal, or take `ask: true` out of the inventory"))
}

/// Whoever sits at the terminal.
pub(super) struct Terminal;

impl AskedForWave for Terminal {
    fn may_begin(&self, next: NextWave) -> Pin<Box<dyn Future<Output = bool> + '_>> {
        let NextWave { number, waves, hosts } = next;
        Box::pin(async move {
            let hosts = count(hosts, "host");
            answered(&format!("Begin wave {number} of {waves}, {hosts}? [y/N] "))
                .await
                .unwrap_or(false)
        })
    }
}

/// Asks on the terminal, and can be interrupted.
pub(super) async fn ask(changing: usize) -> Result<bool, CommandError> {
    answered(&format!("Change {}? [y/N] ", count(changing, "host"))).await
}

async fn answered(question: &str) -> Result<bool, CommandError> {
    anstream::eprint!("{question}");
    std::io::stderr().flush()?;
    let (tell, told) = tokio::sync::oneshot::channel();
    // No blocking task of the runtime, which waits for those when it ends.
    std::thread::spawn(move || {
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        let _ = tell.send(read.map(|_| answer));
    });
    let answer =
        told.await.map_err(|_| CommandError::message(Exit::Failed, "nobody answered"))??;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
