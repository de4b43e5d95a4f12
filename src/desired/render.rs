//! Rendering wg0.conf.
//!
//! Templates never see a secret: they get markers, which are replaced afterwards in memory that
//! is zeroed. So the same text without secrets exists for people and diffs.

use std::collections::BTreeSet;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::epochs::epoch_lines;
use super::template::{Budget, Failure, Template, TemplateError};
use super::{DesiredHost, DesiredInterface, HookLines, RenderedFile};
use crate::model::{
    Fingerprint, FingerprintKey, FleetName, HostName, PresharedKey, PrivateKey, PublicKey,
    is_deceptive,
};
use crate::observed::HIDDEN;
use crate::wgconf::Setting;

/// The template that is used unless the inventory has its own `templates/wg0.conf.j2`.
pub const DEFAULT_TEMPLATE: &str = include_str!("../../templates/wg0.conf.j2");

/// What errors call the template, as minijinja does.
const NAME: &str = "wg0.conf.j2";

/// What the marker of a secret begins and ends with; no name or address can hold it.
const MARK: char = '\u{1}';

/// Gives out the secrets that a rendered file needs.
pub trait Secrets: Sync {
    /// What it fails with.
    type Error: std::error::Error + Send + Sync + 'static;
    /// The private key that belongs to `public`, of the host `name`.
    ///
    /// # Errors
    /// Where the vault does not have it.
    fn private_key(&self, name: &HostName, public: &PublicKey) -> Result<PrivateKey, Self::Error>;
    /// The preshared key of a pair in an epoch; the order of the pair does not matter.
    ///
    /// # Errors
    /// Where the vault does not have the epoch.
    fn preshared_key(
        &self,
        a: &PublicKey,
        b: &PublicKey,
        epoch: u32,
    ) -> Result<PresharedKey, Self::Error>;
    /// The key of a host's fingerprints.
    ///
    /// # Errors
    /// Where the vault does not have its material.
    fn fingerprint_key(&self, name: &HostName) -> Result<FingerprintKey, Self::Error>;
}

/// Why a file was not rendered.
#[derive(Debug, thiserror::Error)]
pub enum RenderError<E: std::error::Error + 'static> {
    /// The template is wrong.
    #[error("failed to render {file} of host {host}")]
    Template {
        /// Name of the template.
        file: String,
        /// The host.
        host: HostName,
        /// minijinja's reason: line and cause. Templates have no secrets, so neither has it.
        #[source]
        source: TemplateError,
    },
    /// The template computes more than any file needs.
    #[error(
        "the template {NAME} takes more than {steps} steps for host {host}{}; look for a loop that is \
         long or does not end, or a text that grows",
        at(*line)
    )]
    Endless {
        /// The host.
        host: HostName,
        /// The line of the template that was reached, where it is known.
        line: Option<usize>,
        /// The steps that it may take.
        steps: u64,
    },
    /// The template writes more than any file needs.
    #[error(
        "the template {NAME} writes more than {bytes} bytes for host {host}{}; look for a loop that is \
         long or does not end, or a text that grows",
        at(*line)
    )]
    TooLong {
        /// The host.
        host: HostName,
        /// The line of the template that was reached, where it is known.
        line: Option<usize>,
        /// The bytes that it may write.
        bytes: usize,
    },
    /// The template lost a secret, wrote one twice, changed one, or put one where it is not hidden.
    #[error(
        "the template of host {host} must write `{} = {{{{ private_key }}}}` once, and \
         `{} = {{{{ peer.preshared_key }}}}` once for each peer that has one, each on a line \
         of its own",
        Setting::PrivateKey,
        Setting::PresharedKey
    )]
    Markers {
        /// The host.
        host: HostName,
    },
    /// The rendered text has a character that could end a line or hide one.
    #[error(
        "the template of host {host} writes {found:?}, which ends a line or hides what stands there"
    )]
    Control {
        /// The host.
        host: HostName,
        /// The character.
        found: char,
    },
    /// A secret could not be had.
    #[error("failed to get the keys of host {host}")]
    Secret {
        /// The host.
        host: HostName,
        /// Why.
        #[source]
        source: E,
    },
}

/// Where in the template, as a part of an error.
fn at(line: Option<usize>) -> String {
    line.map(|line| format!(" (at line {line})")).unwrap_or_default()
}

/// Renders files from one template.
#[derive(Debug)]
pub struct Renderer {
    template: Template,
    fleet: FleetName,
    budget: Budget,
}

/// What a template knows of the file that it writes.
#[derive(Serialize)]
struct FileContext<'a> {
    fleet: &'a str,
    host: &'a str,
    network: &'a str,
    interface: &'a str,
    private_key: String,
    addresses: Vec<String>,
    listen_port: Option<u16>,
    fwmark: Option<String>,
    mtu: u16,
    dns: &'a [String],
    table: String,
    hooks: &'a HookLines,
    peers: Vec<PeerContext<'a>>,
}

/// A peer of that file.
#[derive(Serialize)]
struct PeerContext<'a> {
    name: &'a str,
    public_key: String,
    preshared_key: Option<String>,
    allowed_ips: Vec<String>,
    endpoint: Option<String>,
    keepalive: Option<u16>,
}

impl Renderer {
    /// Takes the text of the template.
    ///
    /// # Errors
    /// Where the template is not one, with its line.
    pub fn new(fleet: FleetName, template: String) -> Result<Self, TemplateError> {
        let template = Template::new(NAME, template)?;
        Ok(Self { template, fleet, budget: Budget::each_of(1) })
    }

    /// Says how many files the fleet has, so that they have a limit together, however many are
    /// rendered now.
    #[must_use]
    pub fn for_files(self, files: usize) -> Self {
        Self { budget: Budget::each_of(files), ..self }
    }

    /// Renders one interface of one host.
    ///
    /// # Errors
    /// [`RenderError`].
    pub fn render<S: Secrets>(
        &self,
        host: &DesiredHost,
        interface: &DesiredInterface,
        secrets: &S,
    ) -> Result<RenderedFile, RenderError<S::Error>> {
        let marked = self.marked(host, interface)?;
        let marked = settled(marked, interface);
        let unfit = |c: &char| is_deceptive(*c) && !matches!(*c, '\n' | '\t' | MARK);
        if let Some(found) = marked.chars().find(unfit) {
            return Err(RenderError::Control { host: host.name.clone(), found });
        }
        let failed = |source| RenderError::Secret { host: host.name.clone(), source };
        let markers = || RenderError::Markers { host: host.name.clone() };
        let private = secrets.private_key(&host.name, &interface.public_key).map_err(failed)?;
        let private = private.expose_base64();
        // Exact capacity: growing would leave copies behind that nobody zeroes.
        let mut content = Zeroizing::new(String::with_capacity(marked.len() + 64));
        let mut public_text = String::with_capacity(marked.len());
        let mut privates = 0;
        let mut peers = BTreeSet::new();
        let mut pieces = marked.split(MARK);
        let first = pieces.next().unwrap_or_default();
        content.push_str(first);
        public_text.push_str(first);
        while let Some(mark) = pieces.next() {
            let text = pieces.next().ok_or_else(markers)?;
            // Whoever shows the file hides what stands behind these names, and nothing else.
            let private_key = mark == "private";
            let named = if private_key { Setting::PrivateKey } else { Setting::PresharedKey };
            let line = public_text.rsplit('\n').next().unwrap_or_default();
            let line: String = line.chars().filter(|c| *c != ' ' && *c != '\t').collect();
            if line.strip_suffix('=').and_then(Setting::of) != Some(named)
                || !(text.is_empty() || text.starts_with('\n'))
            {
                return Err(markers());
            }
            if private_key {
                privates += 1;
                content.push_str(&private);
            } else {
                let peer: PublicKey = mark.parse().map_err(|_| markers())?;
                let epoch = interface.peers.get(&peer).and_then(|peer| peer.psk_epoch);
                let epoch = epoch.ok_or_else(markers)?;
                if !peers.insert(peer) {
                    return Err(markers());
                }
                let psk =
                    secrets.preshared_key(&interface.public_key, &peer, epoch).map_err(failed)?;
                content.push_str(&psk.expose_base64());
            }
            public_text.push_str(HIDDEN);
            content.push_str(text);
            public_text.push_str(text);
        }
        let keyed = interface.peers.values().filter(|peer| peer.psk_epoch.is_some()).count();
        if privates != 1 || peers.len() != keyed {
            return Err(markers());
        }
        let key = secrets.fingerprint_key(&host.name).map_err(failed)?;
        let fingerprint = file_digest(&key, content.as_bytes());
        Ok(RenderedFile { public_text, content: content.into(), fingerprint })
    }

    /// The file with markers in the places of its secrets.
    fn marked<E: std::error::Error>(
        &self,
        host: &DesiredHost,
        interface: &DesiredInterface,
    ) -> Result<String, RenderError<E>> {
        let mut peers: Vec<PeerContext<'_>> = interface
            .peers
            .iter()
            .map(|(key, peer)| PeerContext {
                name: peer.name.as_str(),
                public_key: key.to_string(),
                preshared_key: peer.psk_epoch.map(|_| format!("{MARK}{key}{MARK}")),
                allowed_ips: peer.allowed_ips.iter().map(ToString::to_string).collect(),
                endpoint: peer.endpoint.as_ref().map(ToString::to_string),
                keepalive: peer.keepalive.map(crate::model::Keepalive::get),
            })
            .collect();
        peers.sort_by_key(|peer| peer.name);
        let addresses: Vec<String> = interface.addresses.iter().map(ToString::to_string).collect();
        let budget = self.budget.of(interface);
        let context = FileContext {
            fleet: self.fleet.as_str(),
            host: host.name.as_str(),
            network: interface.network.as_str(),
            interface: interface.name.as_str(),
            private_key: format!("{MARK}private{MARK}"),
            addresses,
            listen_port: interface.listen_port.map(crate::model::Port::get),
            fwmark: interface.fwmark.map(|mark| mark.to_string()),
            mtu: interface.mtu.get(),
            dns: &interface.dns,
            table: interface.table.to_string(),
            hooks: &interface.hooks,
            peers,
        };
        let host = || host.name.clone();
        self.template.render(&context, budget).map_err(|failure| match failure {
            Failure::Endless { line, steps } => RenderError::Endless { host: host(), line, steps },
            Failure::TooLong { line, bytes } => RenderError::TooLong { host: host(), line, bytes },
            Failure::Wrong(source) => {
                RenderError::Template { file: NAME.to_owned(), host: host(), source }
            }
        })
    }
}

/// Unix line ends, one at the end, and the lines about preshared keys.
fn settled(text: String, interface: &DesiredInterface) -> String {
    let mut text = if text.contains('\r') { text.replace("\r\n", "\n") } else { text };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&epoch_lines(interface));
    text
}

/// The fingerprint of a file with this content; [`FingerprintKey::of_file`] has it from what a host's
/// `sha256sum` says.
#[must_use]
pub fn file_digest(key: &FingerprintKey, content: &[u8]) -> Fingerprint {
    key.of_file(&Fingerprint::from_bytes(Sha256::digest(content).into()))
}

/// What tells by which key, and how, the files of a record were fingerprinted.
#[must_use]
pub fn key_mark(key: &FingerprintKey) -> Fingerprint {
    secret_digest(key, b"SHA-256 of SHA-256")
}

/// SHA-256 over the key in hex and the content.
#[must_use]
pub fn secret_digest(key: &FingerprintKey, content: &[u8]) -> Fingerprint {
    let hex = key.expose_hex();
    let mut digest = Sha256::new();
    digest.update(hex.as_bytes());
    digest.update(content);
    Fingerprint::from_bytes(digest.finalize().into())
}
