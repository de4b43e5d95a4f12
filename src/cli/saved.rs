//! The file of a saved plan: written, read, and checked against the vault's own secrets.

use std::path::{Path, PathBuf};

use super::{CommandError, Context, Exit};
use crate::fleet::{self, Fleet};
use crate::model::{FleetName, HostName, PlanKey, Untrusted};
use crate::plan::{FormError, MacError, Plan, SecretState, of_another, verify};

/// The most bytes of a saved plan; that of a mesh of 1,000 hosts has some six million.
const MOST_BYTES: u64 = 256 << 20;

/// Most lines that say what moved since a plan was saved.
const TOLD: usize = 8;

/// A plan from a file, as it may have been changed since.
pub(super) struct SavedPlan {
    path: PathBuf,
    bytes: Vec<u8>,
    plan: Plan,
}

impl SavedPlan {
    /// Saves a plan with the MAC that the key makes.
    pub(super) fn write(
        path: &Path,
        plan: &Plan,
        key: Option<&PlanKey>,
    ) -> Result<(), CommandError> {
        let smaller =
            "plan some of the hosts at a time: `wgfleet plan --limit HOST,HOST --out FILE`";
        let bytes = plan.to_saved(key).map_err(|error| {
            let message = format!("the plan is not saved, nobody could read it again: {error}");
            CommandError::message(Exit::Failed, message).hint(smaller)
        })?;
        readable(bytes.len() as u64).map_err(|error| error.hint(smaller))?;
        crate::sys::write_atomic(path, &bytes, crate::sys::Mode::Public)
            .map_err(|error| CommandError::new(Exit::Failed, &error))
    }

    /// Reads a plan that was saved.
    pub(super) fn read(path: &Path) -> Result<Self, CommandError> {
        let bytes = crate::sys::read_regular(path, MOST_BYTES)
            .map_err(|error| CommandError::new(Exit::Failed, &error))?;
        let path = path.to_owned();
        match Plan::from_json(&bytes) {
            Ok(plan) => Ok(Self { path, bytes, plan }),
            Err(error) => {
                let exit = match error {
                    FormError::Version { .. } => Exit::Stale,
                    FormError::Syntax { .. } | FormError::Shape { .. } | FormError::TooLarge(_) => {
                        Exit::Usage
                    }
                };
                Err(unusable(&path, exit, &error))
            }
        }
    }

    /// The hosts that it does not change, because they could not be read or were blocked.
    pub(super) fn left_out(&self) -> Vec<HostName> {
        let unreadable = self.plan.unreadable().map(|(name, _)| name);
        unreadable.chain(self.plan.blocked().map(|(name, _)| name)).cloned().collect()
    }

    /// What it says.
    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Refuses a plan that this fleet's vault has not made, in every byte of it. Opens the vault.
    pub(super) fn refuse_changed(
        &self,
        context: &fleet::Context,
        fleet: &FleetName,
    ) -> Result<(), CommandError> {
        self.refuse_without_secrets()?;
        if let Some(another) = of_another(&self.plan, fleet) {
            return Err(self.stale(&[another]));
        }
        let (_, secrets) = Fleet::unlock(context)?;
        let key = secrets.plan_key()?;
        let verified = key.map_or(Err(MacError::Wrong), |key| verify(&self.bytes, &key));
        verified.map_err(|error| unusable(&self.path, Exit::Usage, &error))
    }

    /// Refuses a plan for what moved since it was saved.
    pub(super) fn stale(&self, moved: &[String]) -> CommandError {
        let mut lines: Vec<String> = moved.iter().take(TOLD).cloned().collect();
        if moved.len() > TOLD {
            lines.push(format!("and {} more", moved.len() - TOLD));
        }
        let (path, lines) = (self.path.display(), lines.join("\n  "));
        let message =
            format!("{path} is not what would be done now; no host was changed\n  {lines}");
        CommandError::message(Exit::Stale, message)
            .hint("run `wgfleet plan --out` again and review it")
    }

    /// Refuses a plan that was made without the vault's identity: it does not say which keys it would
    /// write, so nobody has reviewed what would be done.
    fn refuse_without_secrets(&self) -> Result<(), CommandError> {
        if self.plan.secrets == SecretState::Compared {
            return Ok(());
        }
        let message = format!(
            "{} was made without the identity that opens the vault: secrets are not compared in it, so \
             it cannot be carried out; no host was changed",
            self.path.display()
        );
        Err(CommandError::message(Exit::Usage, message).hint(
            "run `wgfleet plan --out FILE` where the identity is (--identity, WGFLEET_IDENTITY or \
             WGFLEET_IDENTITY_KEY), and review that plan",
        ))
    }

    /// Why nobody can tell whether the file was changed since it was saved; `None`: it was not.
    ///
    /// # Errors
    /// Where it was.
    pub(super) fn unverified(&self, context: &Context) -> Result<Option<String>, CommandError> {
        if self.plan.secrets == SecretState::NotCompared {
            let why =
                "it was made without an identity and has no MAC, so `wgfleet apply` refuses it";
            return Ok(Some(why.to_owned()));
        }
        let key = match self.key(&context.fleet) {
            Ok(key) => key,
            Err(why) => return Ok(Some(why)),
        };
        match verify(&self.bytes, &key) {
            Ok(()) => Ok(None),
            // What `--format json` printed has none.
            Err(MacError::Missing) => {
                Ok(Some("it has no MAC at its end, so `wgfleet apply` refuses it".to_owned()))
            }
            Err(error @ MacError::Wrong) => Err(unusable(&self.path, Exit::Usage, &error)),
        }
    }

    /// The key of its MAC, or why it is not at hand.
    fn key(&self, context: &fleet::Context) -> Result<PlanKey, String> {
        let no_identity = || "no identity".to_owned();
        let folder = context.vault_folder();
        let Ok(vault) = context.vault() else {
            if context.keyring.is_empty(&self.plan.fleet) {
                return Err(no_identity());
            }
            let folder = folder.display();
            return Err(format!("the vault {folder} cannot be read; -f names the fleet's file"));
        };
        // Its own name, by which the identity is found, need not be the inventory's.
        if context.keyring.is_empty(vault.index().fleet()) {
            return Err(no_identity());
        }
        let opened = context.identities(&vault).and_then(|identities| {
            let key = vault.unlock(&identities).plan_key();
            key.map_err(fleet::Error::from)
        });
        opened.map_err(|error| {
            let why = error.to_string();
            why.lines().next().unwrap_or_default().to_owned()
        })
    }
}

/// Refuses to save what nobody could read.
fn readable(bytes: u64) -> Result<(), CommandError> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    let message = format!(
        "the plan has {} MiB, and `wgfleet apply FILE` reads at most {} MiB: it is not saved",
        bytes >> 20,
        MOST_BYTES >> 20
    );
    Err(CommandError::message(Exit::Failed, message))
}

fn unusable(path: &Path, exit: Exit, error: &dyn std::error::Error) -> CommandError {
    let message = format!("{} cannot be used: {error}", path.display());
    CommandError::message(exit, message).hint("make a plan anew with `wgfleet plan --out FILE`")
}

/// What `show` prints above a plan that nobody has verified.
pub(super) fn not_verified(why: &str) -> String {
    let why = Untrusted::new(why);
    format!("not verified: {why}. Whoever can write to the file can have changed what it says.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_not_saved() {
        assert!(readable(MOST_BYTES).is_ok());
        let error = readable(MOST_BYTES + 1).unwrap_err();
        assert_eq!(error.exit, Exit::Failed);
        assert!(error.to_string().contains("is not saved"), "{error}");
    }

    #[test]
    fn only_regular_files_of_a_bounded_size_are_read_as_plans() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        std::fs::write(at("old"), r#"{"version": 1, "hosts": []}"#).unwrap();
        std::fs::write(at("key"), "AGE-SECRET-KEY-1YX9K024AMDLZGXR3JT").unwrap();
        std::fs::write(at("values"), format!("{{\"version\": [{}", "0,".repeat(5_000_000)))
            .unwrap();
        std::fs::File::create(at("huge")).unwrap().set_len(MOST_BYTES + 1).unwrap();
        for (name, exit) in [
            ("pipe", Exit::Failed),
            ("huge", Exit::Failed),
            ("old", Exit::Stale),
            ("key", Exit::Usage),
            ("values", Exit::Usage),
        ] {
            let Err(error) = SavedPlan::read(&at(name)) else { panic!("{name} is read") };
            assert_eq!(error.exit, exit, "{name}");
            assert!(!error.to_string().contains("AGE-"), "{error}");
        }
    }
}
