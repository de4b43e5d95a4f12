//! The values of wg(8), as its files and its command line write them.

use ipnet::IpNet;

use crate::model::{AddressError, KeyError, PresharedKey, parse_net};
use crate::tunnel::{AllowedIpChange, Setting};

/// A preshared key; all zeros is none.
///
/// # Errors
/// Where it is not 32 bytes in base64.
pub fn preshared_key(text: &str) -> Result<Setting<PresharedKey>, KeyError> {
    let key = PresharedKey::parse(text)?;
    let zero = key.expose().iter().fold(0, |all, byte| all | byte) == 0;
    Ok(if zero { Setting::Clear } else { Setting::To(key) })
}

/// Prefixes with commas between. Whether one has a sign: then they come and go one by one.
///
/// # Errors
/// The first that is no prefix.
pub fn allowed_ips(text: &str) -> Result<(Vec<AllowedIpChange>, bool), AddressError> {
    let mut incremental = false;
    let mut steps = Vec::new();
    if text.is_empty() {
        return Ok((steps, incremental));
    }
    for word in text.split(',') {
        let net = |text: &str| parse_net(text).map(|net: IpNet| net.trunc());
        steps.push(if let Some(rest) = word.strip_prefix('-') {
            incremental = true;
            AllowedIpChange::Remove(net(rest)?)
        } else if let Some(rest) = word.strip_prefix('+') {
            incremental = true;
            AllowedIpChange::Add(net(rest)?)
        } else {
            AllowedIpChange::Add(net(word)?)
        });
    }
    Ok((steps, incremental))
}

/// A number of digits only: no sign, no blank.
#[must_use]
pub fn digits<T: std::str::FromStr>(text: &str) -> Option<T> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// `off`, decimal, or hexadecimal after 0x.
#[must_use]
pub fn fwmark(text: &str) -> Option<u32> {
    if text.eq_ignore_ascii_case("off") {
        return Some(0);
    }
    match text.strip_prefix("0x") {
        Some(hex) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
            u32::from_str_radix(hex, 16).ok()
        }
        _ => digits(text),
    }
}

/// `off` or seconds.
#[must_use]
pub fn keepalive(text: &str) -> Option<u16> {
    if text.eq_ignore_ascii_case("off") { Some(0) } else { digits(text) }
}
