//! The vault against Debian's age, ssh-keygen, hostile files and the command line.
//!
//! Needs `age`, `age-keygen`, `ssh-keygen`, and `setsid`, `timeout` and `script`; `make test` installs them.

mod bench;
mod command_line;
#[path = "../support/documents.rs"]
mod documents;
mod epochs;
mod files;
mod identities;
mod interop;
mod plugins;
mod recipients;
mod remembered;
mod rotation;
