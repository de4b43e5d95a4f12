//! From an endpoint's name to an address, with the patience of wg(8).

use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::time::Duration;

use crate::model::{Endpoint, EndpointHost};

/// How often a name that cannot be resolved for now is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retries {
    /// So many times.
    Some(u32),
    /// Until it works.
    Infinite,
}

impl Default for Retries {
    /// wg(8)'s own.
    fn default() -> Self {
        Self::Some(15)
    }
}

impl std::str::FromStr for Retries {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "infinity" { Ok(Self::Infinite) } else { text.parse().map(Self::Some) }
    }
}

/// A name that does not resolve.
#[derive(Debug, thiserror::Error)]
#[error("failed to resolve {endpoint}")]
pub struct ResolveError {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// The address of an endpoint. `waiting` hears of each retry before the wait.
///
/// # Errors
/// [`ResolveError`], at once where the name does not exist.
pub fn resolve(
    endpoint: &Endpoint,
    retries: Retries,
    mut waiting: impl FnMut(&io::Error, Duration),
) -> Result<SocketAddr, ResolveError> {
    let name = match &endpoint.host {
        EndpointHost::Addr(address) => return Ok((*address, endpoint.port.get()).into()),
        EndpointHost::Name(name) => name,
    };
    let mut left = retries;
    let mut wait = Duration::from_secs(1);
    loop {
        let outcome = (&**name, endpoint.port.get())
            .to_socket_addrs()
            .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()));
        let source = match outcome {
            Ok(address) => return Ok(address),
            Err(error) => error,
        };
        let give_up = !is_transient(&source) || left == Retries::Some(0);
        if give_up {
            return Err(ResolveError { endpoint: endpoint.clone(), source });
        }
        waiting(&source, wait);
        std::thread::sleep(wait);
        wait = (wait * 6 / 5).min(Duration::from_secs(20));
        if let Retries::Some(left) = &mut left {
            *left -= 1;
        }
    }
}

/// The standard library tells `EAI_AGAIN` and `EAI_SYSTEM` from the permanent failures only by
/// their text and by an OS error.
fn is_transient(error: &io::Error) -> bool {
    let text = error.to_string();
    // As glibc and musl say it.
    error.raw_os_error().is_some()
        || ["Temporary failure", "Try again"].iter().any(|say| text.contains(say))
}
