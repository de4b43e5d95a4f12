//! Endpoints as wg(8) takes them in files: whatever getaddrinfo(3) resolves.

use std::net::IpAddr;
use std::path::Path;

use super::word::digits;
use crate::model::{AddressError, Endpoint, EndpointHost, Port};
use crate::sys::read_limited;

/// Names of ports (services(5)).
const SERVICES: &str = "/etc/services";
const LARGEST: u64 = 4 << 20;

/// An endpoint: also an IPv6 address without brackets, and a port with a name.
///
/// # Errors
/// What is wrong with it for those who are stricter.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, AddressError> {
    Endpoint::parse_with_zone(text).or_else(|strict| lenient(text).ok_or(strict))
}

fn lenient(text: &str) -> Option<Endpoint> {
    let (host, port) = text.rsplit_once(':')?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = match digits(port) {
        Some(number) => number,
        None => services(port)?,
    };
    let port = Port::new(port)?;
    if let Ok(address) = inner.parse::<IpAddr>() {
        return Some(Endpoint { host: EndpointHost::Addr(address), port });
    }
    let whole = format!("{host}:{}", port.get());
    Endpoint::parse_with_zone(&whole).ok()
}

/// The UDP port of a service.
fn services(name: &str) -> Option<u16> {
    let text = read_limited(Path::new(SERVICES), LARGEST).ok()?;
    service(&String::from_utf8_lossy(&text), name)
}

fn service(text: &str, name: &str) -> Option<u16> {
    text.lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let (first, port) = (words.next()?, words.next()?);
        let is_it = first == name || words.any(|alias| alias == name);
        is_it.then(|| port.strip_suffix("/udp")?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_getaddrinfo_takes_is_taken() {
        for (text, means) in [
            ("2001:db8::19:51820", "[2001:db8::19]:51820"),
            ("[2001:db8::19]:51820", "[2001:db8::19]:51820"),
            ("[192.0.2.7]:1", "192.0.2.7:1"),
            ("example.org:1", "example.org:1"),
        ] {
            assert_eq!(endpoint(text).unwrap().to_string(), means);
        }
        for bad in
            ["", ":", "192.0.2.1", "192.0.2.1:", "a b:1", "2001:zz::1:5", "h:nonesuch", "h:0"]
        {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
        let text =
            "# comment\nhttp 80/tcp www\nhttps 443/tcp\nhttps\t443/udp # HTTP/3\nx 5/udp y z\n";
        assert_eq!(service(text, "https"), Some(443));
        assert_eq!((service(text, "z"), service(text, "www")), (Some(5), None));
    }
}
