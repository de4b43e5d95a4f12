//! The registry of permanent codes.

use std::fmt;

use serde::{Serialize, Serializer};

use super::severity::Severity;

macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $number:literal, $severity:ident;)*) => {
        /// A permanent code: `WG01xx` file, `02` addressing, `03` routing, `04` sessions, `05`
        /// keys, `06` policy, `07` platform. A code is never given to another rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// Every code, in order of number.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The four digits.
            #[must_use]
            pub const fn number(self) -> u16 {
                match self { $(Self::$name => $number,)* }
            }

            /// What a finding of this code is unless its rule says otherwise.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)* }
            }

            /// One sentence: what the rule finds.
            #[must_use]
            pub const fn summary(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),*).trim_ascii(),)* }
            }
        }
    };
}

codes! {
    /// The file is not YAML, or beyond what one inventory may hold.
    Syntax = 101, Error;
    /// A key that the format does not have.
    UnknownKey = 102, Error;
    /// A value of the wrong type.
    WrongType = 103, Error;
    /// A key that must be there is missing.
    MissingKey = 104, Error;
    /// A value outside its range, or a name with characters that it cannot have.
    BadValue = 105, Error;
    /// A name that nothing in the fleet has.
    UnknownReference = 106, Error;
    /// Two things of one name.
    DuplicateName = 107, Error;
    /// An included file that cannot be read, or includes itself.
    Include = 108, Error;
    /// A setting that wgfleet refuses, with the reason.
    Refused = 109, Error;
    /// Two settings that contradict one another.
    Conflict = 110, Error;
    /// The lock file beside the inventory cannot be used.
    LockFile = 111, Error;
    /// One tunnel address on two interfaces.
    DuplicateAddress = 201, Error;
    /// A tunnel address outside its network's prefixes.
    AddressOutsidePrefix = 202, Error;
    /// A network whose prefix has no address left.
    PrefixExhausted = 203, Error;
    /// An address that no host can have: network, broadcast, multicast, loopback.
    UnusableAddress = 204, Error;
    /// One LAN prefix at two sites.
    EqualLans = 205, Error;
    /// A LAN prefix that overlaps a tunnel network's.
    LanOverlapsNetwork = 206, Error;
    /// Two networks of one host whose prefixes overlap.
    NetworksOverlap = 207, Error;
    /// A LAN prefix that the networks of road warriors often have too.
    RoamingLan = 208, Info;
    /// One prefix in the AllowedIPs of two peers of one interface.
    DuplicateAllowedIp = 301, Error;
    /// AllowedIPs that lack the peer's own tunnel address.
    MissingTunnelAddress = 302, Warning;
    /// An endpoint that the routes of the tunnel itself lead to.
    EndpointInTunnel = 304, Error;
    /// One prefix that two interfaces of one host route.
    RouteTwice = 305, Error;
    /// A peer that has the very prefix of a LAN that the host is on.
    LanTaken = 306, Warning;
    /// A full tunnel that leaves one address family outside.
    FamilyLeak = 307, Warning;
    /// A full tunnel that takes in an address family which it cannot carry.
    FamilyBlackhole = 308, Warning;
    /// Everything is sent to a host that does not send it on.
    DeadEnd = 309, Warning;
    /// A LAN whose replies may leave through another gateway than the one they answer.
    SplitGateways = 310, Warning;
    /// A DNS server that the tunnels do not lead to.
    DnsUnreachable = 311, Warning;
    /// A site with subnets and no gateway.
    NoGateway = 312, Warning;
    /// Nothing leads to an end of a wanted flow, or back: usually an override leaves it out.
    NoWay = 350, Error;
    /// A host that drops a wanted flow's packets: it expects their source from another peer.
    SourceRefused = 351, Error;
    /// A host on the way of a wanted flow that does not forward the family.
    NotForwarded = 352, Error;
    /// A wanted flow that goes in a circle.
    Loop = 353, Error;
    /// A wanted flow that ends at another place.
    Misdelivered = 354, Error;
    /// Two ends of a link neither of which can begin a session.
    NoInitiator = 401, Error;
    /// Two interfaces of one host on one UDP port, or two hosts reached at one endpoint.
    PortClash = 402, Error;
    /// One interface name for two networks of one host.
    InterfaceClash = 403, Error;
    /// An endpoint that only its own place can reach.
    PrivateEndpoint = 404, Warning;
    /// Two hosts of one site that meet at the outside of its NAT.
    Hairpin = 405, Warning;
    /// A host behind NAT that keeps no session open.
    NoKeepalive = 406, Warning;
    /// A keepalive on the side that has no NAT to keep open.
    KeepaliveWrongSide = 407, Warning;
    /// A host that others are to reach and that has no fixed port.
    NoListenPort = 408, Error;
    /// An endpoint whose port is not the one that the host listens on.
    PortMismatch = 409, Warning;
    /// A host that the links of its network leave out.
    Unlinked = 410, Warning;
    /// One public key on two hosts or peers.
    DuplicateKey = 501, Error;
    /// A peer that has the public key of the host that it is linked to.
    OwnKey = 503, Error;
    /// A link without the preshared key that its network asks for.
    NoPresharedKey = 504, Info;
    /// An `expect` rule that the fleet does not keep.
    ExpectFails = 601, Error;
    /// A host or a link without which the fleet falls apart.
    SinglePoint = 602, Info;
    /// Two networks that meet on one host although nothing asks for it.
    UnwantedTransit = 603, Warning;
    /// A host or a peer whose time ends soon.
    EndsSoon = 604, Warning;
    /// A host or a peer that is written and left out: it is disabled, or its time is over.
    LeftOut = 605, Info;
    /// An MTU whose packets do not fit the underlay.
    MtuTooLarge = 701, Warning;
    /// An MTU whose packets do not fit the tunnel that carries them.
    MtuNested = 702, Warning;
    /// IPv6 on an interface whose MTU is below 1280 bytes.
    MtuBelowIpv6 = 703, Error;
    /// A hook that masquerades on an interface of a fixed name.
    FixedMasquerade = 801, Warning;
    /// A hook that adds something which no other one takes away.
    HookLeftBehind = 802, Warning;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("WG{:04}", self.number()))
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
impl schemars::JsonSchema for Code {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Code".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The permanent code of a finding.",
            "type": "string",
            "pattern": "^WG[0-9]{4}$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_in_order() {
        assert!(Code::ALL.windows(2).all(|pair| pair[0].number() < pair[1].number()));
        assert_eq!(Code::Syntax.to_string(), "WG0101");
        assert!(Code::ALL.iter().all(|code| code.summary().ends_with('.')));
    }
}
