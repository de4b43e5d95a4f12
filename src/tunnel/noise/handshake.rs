//! The handshake `Noise_IKpsk2`: one message each way (`WireGuard` paper, section 5.4).

use std::time::SystemTime;

use zeroize::{Zeroize as _, Zeroizing};

use super::hash::{Secret, derive, hash};
use super::message::{
    INITIATION_LENGTH, Kind, RESPONSE_LENGTH, TAG, field, initiation, response, word,
};
use super::session::Keys;
use super::tai64n::Tai64N;
use super::{Random, Rejected, aead};
use crate::model::{PrivateKey, PublicKey};

const CONSTRUCTION: &[u8] = b"Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s";
const IDENTIFIER: &[u8] = b"WireGuard v1 zx2c4 Jason@zx2c4.com";

/// Who the interface is.
pub struct Identity {
    private: PrivateKey,
    public: PublicKey,
}

impl Identity {
    /// The identity of a private key.
    #[must_use]
    pub fn new(private: PrivateKey) -> Self {
        let public = private.public();
        Self { private, public }
    }

    /// Its private key.
    #[must_use]
    pub const fn private(&self) -> &PrivateKey {
        &self.private
    }

    /// Its public key.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }
}

/// The chaining key and the hash of all that was said.
struct Transcript {
    chain: Secret,
    hash: [u8; 32],
}

impl Transcript {
    fn begin(responder: &PublicKey) -> Self {
        let chain = hash(&[CONSTRUCTION]);
        let start = hash(&[&chain, IDENTIFIER]);
        let hash = hash(&[&start, responder.as_bytes()]);
        Self { chain: Zeroizing::new(chain), hash }
    }

    fn say(&mut self, part: &[u8]) {
        self.hash = hash(&[&self.hash, part]);
    }

    fn mix(&mut self, input: &[u8]) {
        let [chain] = derive(&self.chain, input);
        self.chain = chain;
    }

    fn mix_with_key(&mut self, input: &[u8]) -> Secret {
        let [chain, key] = derive(&self.chain, input);
        self.chain = chain;
        key
    }

    fn mix_preshared(&mut self, preshared: Option<&Secret>) -> Secret {
        let none = Secret::default();
        let [chain, said, key] = derive(&self.chain, preshared.unwrap_or(&none).as_slice());
        self.chain = chain;
        self.say(said.as_slice());
        key
    }

    /// Seals a field that holds a plaintext and room for its tag.
    fn seal(&mut self, key: &Secret, field: &mut [u8]) {
        aead::seal(key, &self.hash, field);
        self.say(field);
    }

    fn open<const N: usize>(&mut self, key: &Secret, field: &[u8; N]) -> Result<[u8; N], Rejected> {
        let mut opened = *field;
        aead::open(key, &self.hash, &mut opened)?;
        self.say(field);
        Ok(opened)
    }

    /// The keys of a session: the first is that of the initiator's messages.
    fn split(&self) -> [Secret; 2] {
        derive(&self.chain, &[])
    }
}

impl Drop for Transcript {
    fn drop(&mut self) {
        self.hash.zeroize();
    }
}

fn ephemeral(random: Random<'_>) -> PrivateKey {
    let mut bytes = Zeroizing::new([0; 32]);
    random(&mut *bytes);
    PrivateKey::from_random(bytes)
}

fn agree(private: &PrivateKey, public: &PublicKey) -> Result<Secret, Rejected> {
    private.agree(public).ok_or(Rejected::Forged)
}

/// An initiation of ours that waits for its response.
pub(super) struct Waiting {
    transcript: Transcript,
    ephemeral: PrivateKey,
    index: u32,
}

impl Waiting {
    /// Our index of the session that is to be.
    pub(super) const fn index(&self) -> u32 {
        self.index
    }

    /// Writes an initiation; the MACs are still missing.
    pub(super) fn initiate(
        identity: &Identity,
        remote: &PublicKey,
        fixed: &Secret,
        index: u32,
        wall: SystemTime,
        random: Random<'_>,
    ) -> Result<(Self, [u8; INITIATION_LENGTH]), Rejected> {
        let mut message = [0; INITIATION_LENGTH];
        message[..4].copy_from_slice(&word(Kind::Initiation));
        message[initiation::SENDER..initiation::EPHEMERAL].copy_from_slice(&index.to_le_bytes());
        let mut transcript = Transcript::begin(remote);
        let ephemeral = ephemeral(random);
        let public = ephemeral.public();
        message[initiation::EPHEMERAL..initiation::STATIC].copy_from_slice(public.as_bytes());
        transcript.mix(public.as_bytes());
        transcript.say(public.as_bytes());
        let key = transcript.mix_with_key(agree(&ephemeral, remote)?.as_slice());
        let sealed = &mut message[initiation::STATIC..initiation::TIMESTAMP];
        sealed[..32].copy_from_slice(identity.public.as_bytes());
        transcript.seal(&key, sealed);
        let key = transcript.mix_with_key(fixed.as_slice());
        let sealed = &mut message[initiation::TIMESTAMP..initiation::TIMESTAMP + 12 + TAG];
        sealed[..12].copy_from_slice(&Tai64N::at(wall).0);
        transcript.seal(&key, sealed);
        Ok((Self { transcript, ephemeral, index }, message))
    }

    /// Reads the response; gives the responder's index of the session and its keys.
    pub(super) fn complete(
        &self,
        identity: &Identity,
        preshared: Option<&Secret>,
        message: &[u8],
    ) -> Result<(u32, Keys), Rejected> {
        if u32::from_le_bytes(*field(message, response::RECEIVER)?) != self.index {
            return Err(Rejected::Unasked);
        }
        let remote = u32::from_le_bytes(*field(message, response::SENDER)?);
        let public = PublicKey::from_bytes(*field(message, response::EPHEMERAL)?);
        let chain = self.transcript.chain.clone();
        let mut transcript = Transcript { chain, hash: self.transcript.hash };
        transcript.say(public.as_bytes());
        transcript.mix(public.as_bytes());
        transcript.mix(agree(&self.ephemeral, &public)?.as_slice());
        transcript.mix(agree(&identity.private, &public)?.as_slice());
        let key = transcript.mix_preshared(preshared);
        transcript.open::<TAG>(&key, field(message, response::NOTHING)?)?;
        let [sending, receiving] = transcript.split();
        Ok((remote, Keys { sending, receiving }))
    }
}

/// The first half of an initiation that was received: who it says that it is from.
pub struct Introduction {
    transcript: Transcript,
    sealed_time: [u8; 12 + TAG],
    sender: u32,
    ephemeral: PublicKey,
    remote: PublicKey,
}

impl Introduction {
    /// Reads an initiation as far as to its sender's key. That the sender holds it is not proven
    /// yet.
    ///
    /// # Errors
    /// [`Rejected`]
    pub fn read(identity: &Identity, message: &[u8]) -> Result<Self, Rejected> {
        let sender = u32::from_le_bytes(*field(message, initiation::SENDER)?);
        let ephemeral = PublicKey::from_bytes(*field(message, initiation::EPHEMERAL)?);
        let mut transcript = Transcript::begin(&identity.public);
        transcript.mix(ephemeral.as_bytes());
        transcript.say(ephemeral.as_bytes());
        let key = transcript.mix_with_key(agree(&identity.private, &ephemeral)?.as_slice());
        let opened = transcript.open::<48>(&key, field(message, initiation::STATIC)?)?;
        let mut remote = [0; 32];
        remote.copy_from_slice(&opened[..32]);
        let sealed_time = *field(message, initiation::TIMESTAMP)?;
        let remote = PublicKey::from_bytes(remote);
        Ok(Self { transcript, sealed_time, sender, ephemeral, remote })
    }

    /// The key that the sender says is its own.
    #[must_use]
    pub const fn remote(&self) -> PublicKey {
        self.remote
    }

    /// Proves that the sender holds its key, with the secret of the two static keys; gives the
    /// initiation's timestamp.
    pub(super) fn prove(&mut self, fixed: &Secret) -> Result<Tai64N, Rejected> {
        let key = self.transcript.mix_with_key(fixed.as_slice());
        let opened = self.transcript.open(&key, &self.sealed_time)?;
        let mut time = [0; 12];
        time.copy_from_slice(&opened[..12]);
        Ok(Tai64N(time))
    }

    /// Writes the response to a proven initiation; the MACs are still missing. Gives the
    /// initiator's index of the session, and its keys, too.
    pub(super) fn respond(
        mut self,
        preshared: Option<&Secret>,
        index: u32,
        random: Random<'_>,
    ) -> Result<([u8; RESPONSE_LENGTH], u32, Keys), Rejected> {
        let mut message = [0; RESPONSE_LENGTH];
        message[..4].copy_from_slice(&word(Kind::Response));
        message[response::SENDER..response::RECEIVER].copy_from_slice(&index.to_le_bytes());
        message[response::RECEIVER..response::EPHEMERAL]
            .copy_from_slice(&self.sender.to_le_bytes());
        let private = ephemeral(random);
        let public = private.public();
        message[response::EPHEMERAL..response::NOTHING].copy_from_slice(public.as_bytes());
        let transcript = &mut self.transcript;
        transcript.say(public.as_bytes());
        transcript.mix(public.as_bytes());
        transcript.mix(agree(&private, &self.ephemeral)?.as_slice());
        transcript.mix(agree(&private, &self.remote)?.as_slice());
        let key = transcript.mix_preshared(preshared);
        transcript.seal(&key, &mut message[response::NOTHING..response::NOTHING + TAG]);
        let [receiving, sending] = transcript.split();
        Ok((message, self.sender, Keys { sending, receiving }))
    }
}
