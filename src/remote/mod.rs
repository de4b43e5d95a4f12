//! Hosts, and what runs there. [`Connect`] opens a [`Host`], and [`Ssh`] does so with the system's ssh(1).
//!
//! All that runs on a host is one static script, put together from the files below `host/`; what
//! varies goes to its stdin.

mod answer;
mod believe;
mod describe;
mod error;
mod gate;
mod host;
mod log;
mod logins;
mod observe;
mod refusal;
mod request;
mod route;
mod settings;
mod shell;
mod ssh;
mod ssh_host;

pub use answer::{Answer, Fate, Rollback};
pub use believe::Believe;
pub(crate) use describe::describe;
pub use error::RemoteError;
pub use gate::Passage;
pub use host::{Connect, Host, Reply};
pub use logins::LastLogins;
pub use observe::{Observing, observe_all};
pub use request::ObserveRequest;
pub use ssh::Ssh;
pub use ssh_host::SshHost;

/// The files of the host's side that every verb needs, in order; then the name of the text.
macro_rules! host_script {
    ($($task:literal),*) => {
        concat!(
            include_str!("host/head.sh"),
            include_str!("host/armed.sh"),
            include_str!("host/helper.sh"),
            include_str!("host/observe.sh"),
            include_str!("host/show.sh"),
            $(include_str!($task),)*
            include_str!("host/verbs.sh")
        )
    };
}

/// The host's side: POSIX sh, static, from one file for each task of it. Its first words are comments
/// that say what it reads and answers.
pub const HOST_SCRIPT: &str = host_script!(
    "host/push.sh",
    "host/operations.sh",
    "host/snapshot.sh",
    "host/lock.sh",
    "host/change.sh",
    "host/group.sh",
    "host/probe.sh",
    "host/adopt.sh"
);

/// As much of it as looking takes: a host reads what it gets at every look.
pub const HOST_LOOKS: &str = host_script!();

/// As much of it as telling the time takes: the shorter, the better is known when it was told.
const HOST_CLOCK: &str = concat!(
    include_str!("host/head.sh"),
    include_str!("host/armed.sh"),
    include_str!("host/verbs.sh")
);

/// As much of it as the lock takes.
const HOST_LOCK: &str = concat!(
    include_str!("host/head.sh"),
    include_str!("host/armed.sh"),
    include_str!("host/lock.sh"),
    include_str!("host/verbs.sh")
);

#[cfg(test)]
mod tests {
    use super::HOST_SCRIPT;

    #[test]
    fn both_sides_have_one_protocol() {
        let line = format!("\nprotocol={} ", crate::observed::PROTOCOL);
        assert_eq!(HOST_SCRIPT.matches(&line).count(), 1);
    }

    #[test]
    fn no_text_of_a_host_goes_through_echo() {
        // dash's obeys `\n`, `\t` and `\c` in what it is to print: `say` is there for that.
        let code = HOST_SCRIPT.lines().filter(|line| !line.trim_start().starts_with('#'));
        let mut code = code.map(|line| line.split(" # ").next().unwrap_or_default());
        let found = code.find(|line| {
            line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "echo")
        });
        assert_eq!(found, None);
    }
}
