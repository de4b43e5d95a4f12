//! Why something on a host did not happen.

use std::fmt;

use super::describe::describe;
use crate::event::Reason;
use crate::model::{Untrusted, mask};
use crate::observed::{ObserveError, Unanswered};

/// Why something on a host did not happen. [`Unanswered`] has its words, and is what is kept of it.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// ssh(1) did not connect; its own words.
    Connect(Untrusted),
    /// A host key on the way is not known, or not the one that is known; what to run.
    HostKey(Untrusted),
    /// The connection broke.
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Reading or writing the connection failed.
    Io(#[from] std::io::Error),
    /// Nothing came back in time, in seconds.
    Timeout(u64),
    /// No private folder for the control sockets can be made.
    Folder(#[source] std::io::Error),
    /// The host sends more bytes than any host has reason to.
    TooLong(u64),
    /// The login shell did not run the script; what it printed instead.
    Startup(String),
    /// The host's side failed.
    Host(String),
    /// The host's answer makes no sense.
    Answer(#[from] ObserveError),
}

impl RemoteError {
    /// What is to be said of it; `cause` is what is to be said of its source.
    fn told(&self, cause: Option<Untrusted>) -> Unanswered {
        match self {
            Self::Connect(said) => Unanswered::Login { said: line(&said.to_string()) },
            Self::HostKey(advice) => Unanswered::HostKey { advice: line(&advice.to_string()) },
            Self::Broken(_) | Self::Io(_) => Unanswered::ConnectionBroke { cause },
            Self::Timeout(seconds) => Unanswered::NoAnswer { within_seconds: *seconds },
            Self::Folder(_) => Unanswered::NoFolder { cause },
            Self::TooLong(most) => Unanswered::TooLong { most_bytes: *most },
            Self::Startup(printed) => Unanswered::LoginShell { printed: line(printed) },
            Self::Host(said) => Unanswered::HostSaid { said: line(said) },
            Self::Answer(_) => Unanswered::Senseless { cause },
        }
    }
}

impl fmt::Display for RemoteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told(None).fmt(f)
    }
}

impl From<&RemoteError> for Unanswered {
    fn from(error: &RemoteError) -> Self {
        if let RemoteError::Answer(ObserveError::Lacks(lacking)) = error {
            return Self::LackingTools { lacking: lacking.clone() };
        }
        let source = std::error::Error::source(error);
        error.told(source.map(|source| line(&describe(source))))
    }
}

impl From<&RemoteError> for Reason {
    fn from(error: &RemoteError) -> Self {
        Unanswered::from(error).into()
    }
}

/// A text as one line that may be shown wherever it stands.
fn line(text: &str) -> Untrusted {
    Untrusted::new(Untrusted::new(mask(text).replace('\n', " ").trim()).to_string())
}

#[cfg(test)]
mod tests {
    use std::mem::discriminant;

    use super::*;
    use crate::model::schema::assert_reasons;
    use crate::observed::Lacking;

    #[test]
    fn what_is_kept_of_an_error_says_what_it_and_its_causes_say() {
        let io = || std::io::Error::other("pipe\nended");
        let errors = [
            (RemoteError::Connect(Untrusted::new("Connection refused")), "login"),
            (RemoteError::HostKey(Untrusted::new("run `ssh b7`")), "host-key"),
            (RemoteError::Broken("broken pipe".into()), "connection-broke"),
            (RemoteError::Io(io()), "connection-broke"),
            (RemoteError::Timeout(20), "no-answer"),
            (RemoteError::Folder(io()), "no-folder"),
            (RemoteError::TooLong(9), "too-long"),
            (RemoteError::Startup(String::new()), "login-shell"),
            (RemoteError::Startup("bye\u{1b}[1m".to_owned()), "login-shell"),
            (RemoteError::Host("no\nroom".to_owned()), "host-said"),
            (RemoteError::Answer(ObserveError::Truncated { lines: 3 }), "senseless"),
            (RemoteError::Answer(ObserveError::Lacks(Lacking::default())), "lacking-tools"),
        ];
        let mut all = vec![Unanswered::NotTold];
        for (error, kind) in &errors {
            let kept = Unanswered::from(error);
            assert_eq!(kept.to_string(), describe(error));
            assert_eq!(serde_json::to_value(&kept).unwrap()["kind"], *kind);
            if all.iter().all(|one| discriminant(one) != discriminant(&kept)) {
                all.push(kept);
            }
        }
        assert_reasons(&all);
    }
}
