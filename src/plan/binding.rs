//! What a host's plan is bound to: what it leads to, and the bytes that carry it out.

use super::change::Change;
use super::compile::Payload;
use super::host::HostPlan;
use super::target::{RenderedHost, SecretState, Target};
use crate::desired::{Secrets, secret_digest};
use crate::observed::ObservedHost;

impl HostPlan {
    /// Binds the plan to what it leads to and to the bytes that carry it out.
    ///
    /// Where secrets are not compared nothing can be bound: what stands for them is no secret.
    ///
    /// # Errors
    /// Where the vault does not have a secret.
    pub fn bind<S: Secrets>(
        &mut self,
        target: &Target<'_>,
        rendered: &RenderedHost,
        observed: &ObservedHost,
        secrets: &S,
    ) -> Result<(), S::Error> {
        self.payload = None;
        if rendered.secrets == SecretState::NotCompared {
            self.target = None;
            for change in &mut self.changes {
                if let Change::File { fingerprint, .. } = change {
                    *fingerprint = None;
                }
            }
            return Ok(());
        }
        self.target = Some(target.fingerprint(&rendered.key));
        if !self.can_apply() {
            return Ok(());
        }
        let payload = Payload::settled(&self.settled(), target, rendered, observed, secrets)?;
        self.payload = Some(secret_digest(&rendered.key, payload.encode().as_bytes()));
        Ok(())
    }
}
