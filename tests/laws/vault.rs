//! A vault that makes its secrets up, and fleets rendered with it.

use sha2::{Digest as _, Sha256};
use wgfleet::desired::{
    DEFAULT_TEMPLATE, DesiredHost, DesiredInterface, DesiredState, PublicKeys, Renderer, Secrets,
};
use wgfleet::model::{Fingerprint, FingerprintKey, HostName, PresharedKey, PrivateKey, PublicKey};
use wgfleet::plan::RenderedHost;
use zeroize::Zeroizing;

/// A vault that makes everything up from names and a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Vault {
    pub(crate) generation: u8,
    pub(crate) epoch: u32,
}

pub(crate) fn bytes(parts: &[&str]) -> [u8; 32] {
    Sha256::digest(parts.join("/")).into()
}

impl Vault {
    pub(crate) fn private(&self, name: &HostName) -> PrivateKey {
        PrivateKey::from_random(Zeroizing::new(bytes(&[
            "key",
            name.as_str(),
            &self.generation.to_string(),
        ])))
    }
}

impl PublicKeys for Vault {
    fn of(&self, name: &HostName) -> Option<PublicKey> {
        Some(self.private(name).public())
    }
    fn psk_epoch(&self) -> Option<u32> {
        Some(self.epoch)
    }
}

impl Secrets for Vault {
    type Error = std::convert::Infallible;
    fn private_key(&self, name: &HostName, _: &PublicKey) -> Result<PrivateKey, Self::Error> {
        Ok(self.private(name))
    }
    fn preshared_key(
        &self,
        a: &PublicKey,
        b: &PublicKey,
        epoch: u32,
    ) -> Result<PresharedKey, Self::Error> {
        let (low, high) = (a.min(b).to_string(), a.max(b).to_string());
        Ok(PresharedKey::from_bytes(Zeroizing::new(bytes(&[
            "psk",
            &low,
            &high,
            &epoch.to_string(),
        ]))))
    }
    fn fingerprint_key(&self, name: &HostName) -> Result<FingerprintKey, Self::Error> {
        let bytes = bytes(&["fingerprint", name.as_str(), &self.epoch.to_string()]);
        Ok(FingerprintKey::from_bytes(Zeroizing::new(bytes)))
    }
}

pub(crate) fn render(state: &DesiredState, host: &DesiredHost, vault: &Vault) -> RenderedHost {
    render_by(DEFAULT_TEMPLATE, state, host, vault)
}

/// Renders by another template than the default one.
pub(crate) fn render_by(
    template: &str,
    state: &DesiredState,
    host: &DesiredHost,
    vault: &Vault,
) -> RenderedHost {
    let renderer = Renderer::new(state.fleet.clone(), template.to_owned()).expect("a template");
    let file = |interface: &DesiredInterface| {
        let file = renderer.render(host, interface, vault).expect("it renders");
        (interface.name.clone(), file)
    };
    RenderedHost {
        fleet: state.fleet.clone(),
        files: host.interfaces.iter().map(file).collect(),
        key: vault.fingerprint_key(&host.name).expect("a key"),
        secrets: wgfleet::plan::SecretState::Compared,
    }
}

/// Every secret of a state, raw.
pub(crate) fn secrets(state: &DesiredState, vault: &Vault) -> Vec<[u8; 32]> {
    let mut secrets = Vec::new();
    for host in state.hosts.iter().chain(&state.issued) {
        secrets.push(*vault.private(&host.name).expose());
        secrets.push(*vault.fingerprint_key(&host.name).expect("made up").expose());
        for interface in &host.interfaces {
            for (key, peer) in &interface.peers {
                if let Some(epoch) = peer.psk_epoch {
                    let psk = vault.preshared_key(&interface.public_key, key, epoch);
                    secrets.push(*psk.expect("made up").expose());
                }
            }
        }
    }
    secrets
}

/// Whether a text has one of the secrets in base64 or hex.
pub(crate) fn leaks(text: &str, secrets: &[[u8; 32]]) -> bool {
    secrets.iter().any(|secret| {
        let base64 = PublicKey::from_bytes(*secret).to_string();
        text.contains(base64.trim_end_matches('='))
            || text.contains(&Fingerprint::from_bytes(*secret).to_string())
    })
}
