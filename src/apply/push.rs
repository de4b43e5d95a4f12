//! Sending a host the binary that it needs: compressed, compared by its digest, and from where an
//! earlier line broke.

use std::time::Duration;

use super::context::Context;
use super::job::Job;
use crate::desired::Secrets;
use crate::event::{Outcome, Reason, Step};
use crate::model::Untrusted;
use crate::plan::Change;
use crate::remote::{Answer, Host};

/// How long a push may take.
const PUSH_LIMIT: Duration = Duration::from_mins(5);

/// How long a question about one may take.
const ASK_LIMIT: Duration = Duration::from_secs(20);

/// Sends what a plan says is to be sent.
pub(super) async fn push<S: Secrets>(
    context: &Context<'_, S>,
    job: &Job<'_>,
    host: &impl Host,
) -> Result<(), Outcome> {
    for change in &job.plan.changes {
        let Change::PushHelper { machine, digest } = change else { continue };
        let packed = job.helpers.get(machine);
        let packed = packed.ok_or_else(|| {
            Outcome::Failed(Reason::NoBinary { machine: Untrusted::new(machine.as_str()) })
        })?;
        let (digest, whole) = (digest.to_string(), packed.len().to_string());
        context.working(job, Step::AskingForBinary);
        let reply = host.run("part", &[&digest, &whole], &[], ASK_LIMIT).await;
        let reply = reply.map_err(|error| Outcome::Failed(Reason::from(&error)))?;
        let Answer::Part { bytes } = reply.answer() else {
            return Err(Outcome::Failed(Reason::HostSaid { said: reply.said() }));
        };
        let (at, rest) = rest_of(packed, bytes);
        let kib = rest.len().div_ceil(1024) as u64;
        context.working(job, Step::PushingBinary { kib });
        let words = [machine.as_str(), &digest, &whole, &at.to_string()];
        let reply = host.run("helper", &words, rest, PUSH_LIMIT).await;
        let reply = reply.map_err(|error| Outcome::Failed(Reason::from(&error)))?;
        if reply.answer() != Answer::Done {
            return Err(Outcome::Failed(Reason::HostSaid { said: reply.said() }));
        }
    }
    Ok(())
}

/// Where to begin, and what is left to send, where a host says that it has `bytes` of it.
fn rest_of(packed: &[u8], bytes: u64) -> (usize, &[u8]) {
    let at = usize::try_from(bytes).unwrap_or(usize::MAX);
    packed.get(at..).map_or((0, packed), |rest| (at, rest))
}

#[cfg(test)]
mod tests {
    use super::rest_of;

    #[test]
    fn only_what_is_missing_is_sent() {
        assert_eq!(rest_of(b"abcdef", 0), (0, &b"abcdef"[..]));
        assert_eq!(rest_of(b"abcdef", 4), (4, &b"ef"[..]));
        assert_eq!(rest_of(b"abcdef", 6), (6, &b""[..]));
        for more in [7, u64::MAX] {
            assert_eq!(
                rest_of(b"abcdef", more),
                (0, &b"abcdef"[..]),
                "what the host has is another file"
            );
        }
    }
}
