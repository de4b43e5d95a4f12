//! The arguments of `wg set`.

use std::net::SocketAddr;
use std::path::Path;

use zeroize::Zeroizing;

use super::failure::{error, failed};
use crate::cli::CommandError;
use crate::model::{Endpoint, PrivateKey, PublicKey};
use crate::sys::read_limited;
use crate::tunnel::conf::word;
use crate::tunnel::{DeviceChange, PeerChange, Setting};

/// A key in base64, and blanks after it.
const LARGEST_KEY_FILE: u64 = 4096;

/// Reads `[listen-port …] [fwmark …] [private-key …] [peer … [remove] …]…`.
pub(super) fn parse(
    mut words: &[&str],
    resolve: &mut dyn FnMut(&Endpoint) -> Result<SocketAddr, CommandError>,
) -> Result<DeviceChange, CommandError> {
    let mut change = DeviceChange::default();
    loop {
        words = match (words, change.peers.last_mut()) {
            ([], _) => return Ok(change),
            (["peer", key, rest @ ..], _) => {
                change.peers.push(PeerChange::new(public_key(key)?));
                rest
            }
            ([key, value, rest @ ..], None) => {
                device_word(&mut change, key, value)?;
                rest
            }
            (["remove", rest @ ..], Some(peer)) => {
                peer.remove = true;
                rest
            }
            ([key, value, rest @ ..], Some(peer)) => {
                peer_word(peer, key, value, resolve)?;
                rest
            }
            ([other], _) => return Err(invalid(other)),
        };
    }
}

fn invalid(word: &str) -> CommandError {
    failed(format!("Invalid argument: {word}"))
}

fn device_word(change: &mut DeviceChange, key: &str, value: &str) -> Result<(), CommandError> {
    match key {
        "listen-port" => {
            let port = word::digits(value);
            change.listen_port =
                Some(port.ok_or_else(|| failed(format!("no UDP port: `{value}'")))?);
        }
        "fwmark" => {
            let mark = word::fwmark(value).ok_or_else(|| {
                failed(format!("Fwmark is neither 0/off nor 0-0xffffffff: `{value}'"))
            })?;
            change.fwmark = Some(mark);
        }
        "private-key" => {
            change.private_key = match read_key_file(value)? {
                Some(text) => Setting::To(PrivateKey::parse(&text).map_err(|why| error(&why))?),
                None => Setting::Clear,
            };
        }
        _ => return Err(invalid(key)),
    }
    Ok(())
}

fn peer_word(
    peer: &mut PeerChange,
    key: &str,
    value: &str,
    resolve: &mut dyn FnMut(&Endpoint) -> Result<SocketAddr, CommandError>,
) -> Result<(), CommandError> {
    match key {
        "endpoint" => {
            let endpoint = Endpoint::parse_with_zone(value).map_err(|why| error(&why))?;
            peer.endpoint = Some(resolve(&endpoint)?);
        }
        "persistent-keepalive" => {
            let seconds = word::keepalive(value).ok_or_else(|| {
                failed(format!(
                    "Persistent keepalive interval is neither 0/off nor 1-65535: `{value}'"
                ))
            })?;
            peer.keepalive = Some(seconds);
        }
        "preshared-key" => {
            peer.preshared_key = match read_key_file(value)? {
                Some(text) => word::preshared_key(&text).map_err(|why| error(&why))?,
                None => Setting::Clear,
            };
        }
        "allowed-ips" => {
            let squeezed: String = value.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            let (steps, incremental) = word::allowed_ips(&squeezed).map_err(|why| error(&why))?;
            peer.replace_allowed_ips = !incremental;
            peer.allowed_ips.extend(steps);
        }
        _ => return Err(invalid(key)),
    }
    Ok(())
}

/// A key in a file, as `wg set` takes one; an empty file is no key.
fn read_key_file(path: &str) -> Result<Option<Zeroizing<String>>, CommandError> {
    let bytes =
        Zeroizing::new(read_limited(Path::new(path), LARGEST_KEY_FILE).map_err(|why| error(&why))?);
    if bytes.is_empty() {
        return Ok(None);
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Some(Zeroizing::new(text.trim_end().to_owned()))),
        Err(_) => Err(failed(format!("{path}: the key is not base64"))),
    }
}

/// A public key on the command line.
fn public_key(text: &str) -> Result<PublicKey, CommandError> {
    text.parse().map_err(|why| error(&why))
}
