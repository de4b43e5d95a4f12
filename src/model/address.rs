//! Addresses, prefixes and endpoints.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::{HostName, InterfaceName, Port};

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
    /// A word that ssh(1) would read as an option, or that holds blanks or control characters.
    #[error(
        "{0:?} is not something ssh(1) connects to; write [user@]host[:port] or an ssh_config alias"
    )]
    Ssh(String),
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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
            let known = on_link && zone.parse::<InterfaceName>().is_ok();
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

/// Where ssh(1) connects to, in parts, none of which can be an option of it.
///
/// Written as `[user@]host[:port]`, `ssh://[user@]host[:port]` or an alias of `ssh_config`; an IPv6
/// address stands in brackets where a port follows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SshTarget {
    text: Box<str>,
    user: Option<Box<str>>,
    host: Box<str>,
    port: Option<Port>,
}

impl SshTarget {
    /// The target as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Who logs in; `None`: whom `ssh_config` says.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The name, alias or address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port; `None`: the one that `ssh_config` says.
    #[must_use]
    pub fn port(&self) -> Option<Port> {
        self.port
    }

    fn parse(text: &str) -> Option<Self> {
        let rest = match text.strip_prefix("ssh://") {
            Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
            None => text,
        };
        let (user, rest) = match rest.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, rest),
        };
        let bare_v6 = rest.parse::<Ipv6Addr>().is_ok();
        let (host, port) = if let Some(inner) = rest.strip_prefix('[') {
            let (host, behind) = inner.split_once(']')?;
            host.parse::<Ipv6Addr>().ok()?;
            let port = if behind.is_empty() { None } else { Some(behind.strip_prefix(':')?) };
            (host, port)
        } else if bare_v6 {
            (rest, None)
        } else {
            rest.split_once(':').map_or((rest, None), |(host, port)| (host, Some(port)))
        };
        let port = match port {
            Some(port) => Some(Port::new(port.parse().ok()?)?),
            None => None,
        };
        let word = |text: &str| {
            !text.is_empty()
                && !text.starts_with('-')
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
        };
        let host_fits = word(host) || host.parse::<Ipv6Addr>().is_ok();
        let fits = text.len() <= 255 && host_fits && user.is_none_or(word);
        fits.then(|| Self {
            text: text.into(),
            user: user.map(Into::into),
            host: host.into(),
            port,
        })
    }
}

impl FromStr for SshTarget {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::parse(text).ok_or_else(|| AddressError::Ssh(text.to_owned()))
    }
}

impl From<&HostName> for SshTarget {
    /// The host's name: its characters are a subset of what ssh(1) takes.
    fn from(name: &HostName) -> Self {
        let text = name.as_str();
        Self { text: text.into(), user: None, host: text.into(), port: None }
    }
}

impl TryFrom<String> for SshTarget {
    type Error = AddressError;
    fn try_from(text: String) -> Result<Self, AddressError> {
        text.parse()
    }
}

impl From<SshTarget> for String {
    fn from(target: SshTarget) -> Self {
        target.text.into()
    }
}

impl fmt::Display for SshTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
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

    #[test]
    fn ssh_targets_are_taken_apart() {
        let parts = |text: &str| {
            let target = text.parse::<SshTarget>().unwrap();
            assert_eq!(target.to_string(), text);
            let user = target.user().map(str::to_owned);
            (user, target.host().to_owned(), target.port().map(Port::get))
        };
        let own =
            |user: Option<&str>, host: &str, port| (user.map(str::to_owned), host.into(), port);
        assert_eq!(parts("paris-gw"), own(None, "paris-gw", None));
        assert_eq!(parts("my_alias."), own(None, "my_alias.", None));
        assert_eq!(parts("root@paris.example.com:2222"), {
            own(Some("root"), "paris.example.com", Some(2222))
        });
        assert_eq!(parts("ssh://ops@10.0.0.1:22/"), own(Some("ops"), "10.0.0.1", Some(22)));
        assert_eq!(parts("[2001:db8::1]:22"), own(None, "2001:db8::1", Some(22)));
        assert_eq!(parts("root@2001:db8::1"), own(Some("root"), "2001:db8::1", None));
    }

    #[test]
    fn ssh_targets_are_never_options() {
        for bad in [
            "",
            "-oProxyCommand=x",
            "ssh://-V",
            "ssh://a@-V",
            "ssh://-oX@h",
            "-l@h",
            "root@",
            "ssh://",
            "@h",
            "a b",
            "a;b",
            "$(x)",
            "`x`",
            "h:0",
            "h:65536",
            "h:22:23",
            "h:-1",
            "[::1",
            "[h]:22",
            "[::1]x",
            "%h",
            "h%n",
            "a/b",
            "ssh://h/path",
            "h\n",
            "h\u{202e}",
            "SSH://h",
        ] {
            assert!(bad.parse::<SshTarget>().is_err(), "{bad:?}");
        }
    }
}
