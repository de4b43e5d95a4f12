//! Addresses, prefixes and endpoints.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::Port;

/// Why an address, a prefix or an endpoint was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Neither an address nor a prefix.
    #[error("{0:?} is not an IPv4 or IPv6 prefix; write it like 10.10.0.0/24 or fd10::/64")]
    Net(String),
    /// An endpoint without a port.
    #[error("{0:?} has no port; write host:port, and an IPv6 address as [fd10::1]:51820")]
    NoPort(String),
    /// An endpoint whose port is not a number from 1 to 65535.
    #[error("{0:?} is not a UDP port; use 1 to 65535")]
    Port(String),
    /// An endpoint whose host is neither an address nor a DNS name.
    #[error("{0:?} is neither an IP address nor a DNS name")]
    Host(String),
    /// What is no target of ssh(1), or what it or a shell would read as something else.
    #[error(
        "{0:?} is not something ssh(1) connects to; write [user@]host[:port], an IPv6 address as \
         [fd10::1]:22, or an alias of ssh_config, of letters, digits and . _ - +"
    )]
    Ssh(String),
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Family {
    /// IPv4.
    #[serde(rename = "ipv4")]
    V4,
    /// IPv6.
    #[serde(rename = "ipv6")]
    V6,
}

impl Family {
    /// The family of a prefix.
    #[must_use]
    pub const fn of(net: &IpNet) -> Self {
        match net {
            IpNet::V4(_) => Self::V4,
            IpNet::V6(_) => Self::V6,
        }
    }

    /// The family of an address.
    #[must_use]
    pub const fn of_addr(addr: &IpAddr) -> Self {
        match addr {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// Parses a prefix or a bare address (as /32 or /128); host bits are kept.
///
/// # Errors
/// [`AddressError::Net`] where it is neither.
pub fn parse_net(text: &str) -> Result<IpNet, AddressError> {
    let bad = || AddressError::Net(text.to_owned());
    if text.contains('/') {
        text.parse().map_err(|_| bad())
    } else {
        text.parse::<IpAddr>().map(host_net).map_err(|_| bad())
    }
}

/// The /32 or /128 of one address.
#[must_use]
pub fn host_net(addr: IpAddr) -> IpNet {
    IpNet::from(addr)
}

/// Whether `outer` holds all of `inner`; false across families.
#[must_use]
pub fn covers(outer: &IpNet, inner: &IpNet) -> bool {
    match (outer, inner) {
        (IpNet::V4(outer), IpNet::V4(inner)) => outer.contains(inner),
        (IpNet::V6(outer), IpNet::V6(inner)) => outer.contains(inner),
        _ => false,
    }
}

/// The host part of an [`Endpoint`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EndpointHost {
    /// A literal address.
    Addr(IpAddr),
    /// A DNS name, lower case; it is resolved where the peer is configured.
    Name(Box<str>),
}

/// Where a peer's UDP socket is reached: `address:port`, `[v6]:port` or `name:port`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Endpoint {
    /// Address or name.
    pub host: EndpointHost,
    /// UDP port.
    pub port: Port,
}

impl Endpoint {
    /// The endpoint that a packet came from; `None` for port 0, which packets can come from but
    /// nobody can be told, and for an address that means something on one link only.
    #[must_use]
    pub fn of_socket(addr: SocketAddr) -> Option<Self> {
        let on_link = matches!(addr.ip(), IpAddr::V6(addr) if addr.is_unicast_link_local());
        let port = Port::new(addr.port()).filter(|_| !on_link)?;
        Some(Self { host: EndpointHost::Addr(addr.ip()), port })
    }

    /// Reads an endpoint as wg(8) writes it, which is with a zone where it is link-local:
    /// `[fe80::1%eth0]:51820`. The zone stays with the host, as a name that getaddrinfo(3) knows.
    ///
    /// # Errors
    /// [`AddressError`].
    pub fn parse_with_zone(text: &str) -> Result<Self, AddressError> {
        let zoned = text.strip_prefix('[').and_then(|rest| {
            let (addr, rest) = rest.split_once('%')?;
            let (zone, port) = rest.split_once("]:")?;
            let on_link = addr.parse().is_ok_and(|addr: Ipv6Addr| addr.is_unicast_link_local());
            // Any interface of the host, not only one that a tunnel may be called.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_=+.-".contains(&byte);
            let known = on_link && (1..16).contains(&zone.len()) && zone.bytes().all(plain);
            known.then(|| (format!("{addr}%{zone}"), port))
        });
        let Some((host, port)) = zoned else { return text.parse() };
        let bad = || AddressError::Port(port.to_owned());
        let port = port.parse().ok().and_then(Port::new).ok_or_else(bad)?;
        Ok(Self { host: EndpointHost::Name(host.into()), port })
    }

    /// The literal socket address, where the host is one.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.host {
            EndpointHost::Addr(addr) => Some(SocketAddr::new(addr, self.port.get())),
            EndpointHost::Name(_) => None,
        }
    }
}

impl FromStr for Endpoint {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let port_of = |port: &str| {
            port.parse().ok().and_then(Port::new).ok_or_else(|| AddressError::Port(port.to_owned()))
        };
        if let Some(rest) = text.strip_prefix('[') {
            let (host, port) =
                rest.split_once("]:").ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
            let addr = host.parse().map_err(|_| AddressError::Host(host.to_owned()))?;
            return Ok(Self { host: EndpointHost::Addr(IpAddr::V6(addr)), port: port_of(port)? });
        }
        let (host, port) =
            text.rsplit_once(':').ok_or_else(|| AddressError::NoPort(text.to_owned()))?;
        if host.contains(':') {
            return Err(AddressError::NoPort(text.to_owned()));
        }
        let port = port_of(port)?;
        if let Ok(addr) = host.parse::<IpAddr>() {
            return Ok(Self { host: EndpointHost::Addr(addr), port });
        }
        let label_ok = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let name = host.strip_suffix('.').unwrap_or(host);
        let numeric =
            name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
        if name.len() > 253 || numeric || !name.split('.').all(label_ok) {
            return Err(AddressError::Host(host.to_owned()));
        }
        Ok(Self { host: EndpointHost::Name(name.to_ascii_lowercase().into()), port })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<Endpoint> for String {
    fn from(endpoint: Endpoint) -> Self {
        endpoint.to_string()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            EndpointHost::Addr(IpAddr::V6(addr)) => write!(f, "[{addr}]:{}", self.port),
            EndpointHost::Addr(IpAddr::V4(addr)) => write!(f, "{addr}:{}", self.port),
            EndpointHost::Name(name) if name.contains('%') => write!(f, "[{name}]:{}", self.port),
            EndpointHost::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// Whether the Internet does not route an address.
#[must_use]
pub fn is_private(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => {
            let [a, b, ..] = addr.octets();
            addr.is_private() || addr.is_link_local() || (a == 100 && (64..128).contains(&b))
        }
        IpAddr::V6(addr) => addr.is_unique_local() || addr.is_unicast_link_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_print_as_they_are_written() {
        for text in ["paris.example.com:51820", "198.51.100.1:1", "[2001:db8::1]:65535"] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_link_local_endpoint_keeps_its_zone() {
        for text in ["[fe80::1%eth0]:51820", "[2001:db8::1]:65535", "a.example.com:1"] {
            assert_eq!(Endpoint::parse_with_zone(text).unwrap().to_string(), text);
        }
        for bad in ["[fe80::1%]:1", "[fe80::1%a b]:1", "[2001:db8::1%eth0]:1", "[fe80::1%e]:0"] {
            assert!(Endpoint::parse_with_zone(bad).is_err(), "{bad:?}");
        }
        // An inventory is for many hosts.
        assert!("[fe80::1%eth0]:51820".parse::<Endpoint>().is_err());
        assert!(Endpoint::of_socket("[fe80::1%3]:51820".parse().unwrap()).is_none());
        assert!(Endpoint::of_socket("192.0.2.1:0".parse().unwrap()).is_none());
    }

    #[test]
    fn endpoints_that_would_mislead_are_refused() {
        for bad in
            ["a", "a:0", "a:65536", "2001:db8::1:51820", "a b:1", "a\n:1", "[a]:1", "1.2.3:5", ":1"]
        {
            assert!(bad.parse::<Endpoint>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_the_internet_does_not_route_is_private() {
        let is = |text: &str| is_private(text.parse().unwrap());
        for yes in ["10.1.2.3", "192.168.0.1", "172.31.0.1", "100.64.0.1", "fd00::1", "fe80::1"] {
            assert!(is(yes), "{yes}");
        }
        for no in ["198.51.100.1", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
            assert!(!is(no), "{no}");
        }
    }
}
