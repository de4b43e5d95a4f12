//! The operations that a host's script knows, each with its words.
//!
//! Their labels are the branches of `op()` in `remote/host/operations.sh`; a test compares them.

use std::fmt;

use super::word::{Mode, Seconds, Staged, Sysctl, Words};
use crate::model::{Endpoint, HostPath, InterfaceName, Port, PublicKey, UnitName};
use crate::observed::LiveBackend;

/// What the host saves before the first operation of a change, so that it can be rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// What the words of the operation name: the host's `snapshot()` knows its label.
    Itself,
    /// An interface as a whole: a [`Op::Touch`] of the same change names it.
    ByTouch,
    /// Nothing: it leaves nothing behind that has to be taken back.
    Nothing,
}

macro_rules! operations {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident = $label:literal, $saved:ident
        $({ $($(#[doc = $about:literal])* $field:ident: $kind:ty,)* })?;
    )*) => {
        /// One operation of a change. `Display` writes the line that the host's script reads: its
        /// label, then its words in the order of the fields.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Op {
            $($(#[doc = $doc])* $name $({ $($(#[doc = $about])* $field: $kind,)* })?,)*
        }

        impl Op {
            /// The label of every operation, and what the host saves for it.
            pub const ALL: &'static [(&'static str, Saved)] =
                &[$(($label, Saved::$saved),)*];

            /// The first word of its line.
            #[must_use]
            pub const fn label(&self) -> &'static str {
                match self { $(Self::$name { .. } => $label,)* }
            }

            /// What the host saves for it.
            #[must_use]
            pub const fn saved(&self) -> Saved {
                match self { $(Self::$name { .. } => Saved::$saved,)* }
            }
        }

        impl fmt::Display for Op {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.label())?;
                match self {
                    $(Self::$name $({ $($field,)* })? => { $($($field.put(f)?;)*)? })*
                }
                Ok(())
            }
        }
    };
}

operations! {
    /// Has the host save an interface as it is, or that it is not there.
    Touch = "touch", Itself {
        /// The interface.
        interface: InterfaceName,
    };
    /// Makes an interface, down and without settings.
    Create = "create", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// What carries its packets.
        backend: LiveBackend,
    };
    /// Ends an interface, if it is there.
    Delete = "delete", ByTouch {
        /// The interface.
        interface: InterfaceName,
    };
    /// `wg setconf`: all settings of an interface.
    SetConf = "setconf", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// Its whole configuration.
        conf: Staged,
    };
    /// `wg addconf`: peers that are new or change.
    AddConf = "addconf", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// Sections of peers.
        conf: Staged,
    };
    /// Removes peers.
    Forget = "forget", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// Their keys.
        peers: Vec<PublicKey>,
    };
    /// Sets the private key.
    Private = "private", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// The key.
        key: Staged,
    };
    /// Sets the UDP port.
    Port = "port", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// The port.
        port: Port,
    };
    /// Sets the mark of encrypted packets.
    FwMark = "fwmark", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// The mark; 0 turns it off.
        mark: u32,
    };
    /// Sets the keepalive of one peer.
    Keepalive = "keepalive", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// The peer.
        peer: PublicKey,
        /// How often.
        every: Seconds,
    };
    /// Sets the endpoint of one peer.
    Endpoint = "endpoint", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// The peer.
        peer: PublicKey,
        /// Where it is.
        endpoint: Endpoint,
    };
    /// Sets the preshared key of one peer.
    Psk = "psk", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// The peer.
        peer: PublicKey,
        /// The key.
        psk: Staged,
    };
    /// Takes the preshared key of one peer away.
    NoPsk = "no-psk", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// The peer.
        peer: PublicKey,
    };
    /// `ip -batch`: stops at the first line that fails.
    Batch = "batch", ByTouch {
        /// Lines of ip(8).
        lines: Staged,
    };
    /// `ip -force -batch`: what fails is gone, or there, already.
    Drop = "drop", ByTouch {
        /// Lines of ip(8).
        lines: Staged,
    };
    /// Finds out whether wg-quick(8) would understand a file, and whether the programs of its hooks
    /// are there.
    Try = "try", Nothing {
        /// The file.
        conf: Staged,
        /// The interface that it is for.
        interface: InterfaceName,
    };
    /// Starts an interface through wg-quick(8), from the file in its place.
    QuickUp = "quick-up", ByTouch {
        /// The interface.
        interface: InterfaceName,
        /// What carries its packets.
        backend: LiveBackend,
    };
    /// Ends an interface through wg-quick(8), by the file in its place.
    QuickDown = "quick-down", ByTouch {
        /// The interface.
        interface: InterfaceName,
    };
    /// Puts a file in its place.
    File = "file", Itself {
        /// Its content.
        content: Staged,
        /// Its permission bits.
        mode: Mode,
        /// Its place.
        path: HostPath,
    };
    /// Puts a file beside its place, so that nothing of it can fail any more.
    Prepare = "prepare", Itself {
        /// Its content.
        content: Staged,
        /// Its permission bits.
        mode: Mode,
        /// Its place.
        path: HostPath,
    };
    /// Renames a prepared file into its place.
    Keep = "keep", Itself {
        /// Its content.
        content: Staged,
        /// Its permission bits.
        mode: Mode,
        /// Its place.
        path: HostPath,
    };
    /// Gives a file its permission bits, and to root.
    Protect = "protect", Itself {
        /// The permission bits.
        mode: Mode,
        /// The file.
        path: HostPath,
    };
    /// Removes a file, if it is there, and the folder of a drop-in with its last one.
    Remove = "remove", Itself {
        /// The file.
        path: HostPath,
    };
    /// Writes a setting of the kernel.
    Sysctl = "sysctl", Itself {
        /// The setting.
        setting: Sysctl,
        /// Its value.
        value: u8,
    };
    /// Puts a table of nftables in place, in one transaction.
    Nft = "nft", Itself {
        /// Text for nft(8).
        rules: Staged,
        /// The table.
        table: String,
        /// The table of another name that the same transaction removes.
        old: Option<String>,
    };
    /// Removes a table of nftables.
    NftDelete = "nft-delete", Itself {
        /// The table.
        table: String,
    };
    /// Has systemd read its files again.
    Reload = "reload", Nothing;
    /// Removes what masks a unit.
    Unmask = "unmask", Itself {
        /// The unit.
        unit: UnitName,
    };
    /// Has a unit start with the next boot.
    Enable = "enable", Itself {
        /// The unit.
        unit: UnitName,
    };
    /// Has a unit not start with the next boot.
    Disable = "disable", Itself {
        /// The unit.
        unit: UnitName,
    };
    /// Starts a unit.
    Start = "start", Itself {
        /// The unit.
        unit: UnitName,
    };
    /// Stops a unit and starts it.
    Restart = "restart", Itself {
        /// The unit.
        unit: UnitName,
    };
    /// Stops a unit.
    Stop = "stop", Itself {
        /// The unit.
        unit: UnitName,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_its_label_and_its_words() {
        let interface: InterfaceName = "wg0".parse().unwrap();
        let peer = PublicKey::from_bytes([7; 32]);
        let staged = |number, word| Staged { number, word };
        let path = HostPath::made("/etc/wireguard/wg0.conf");
        let table = "wgfleet-f".to_owned();
        let lines = [
            (Op::Touch { interface: interface.clone() }, "touch wg0".to_owned()),
            (
                Op::Create { interface: interface.clone(), backend: LiveBackend::Embedded },
                "create wg0 embedded".to_owned(),
            ),
            (
                Op::Forget { interface: interface.clone(), peers: vec![peer, peer] },
                format!("forget wg0 {peer} {peer}"),
            ),
            (
                Op::Keepalive { interface: interface.clone(), peer, every: Seconds::Off },
                format!("keepalive wg0 {peer} off"),
            ),
            (Op::Psk { interface, peer, psk: staged(3, "psk") }, format!("psk wg0 {peer} f3.psk")),
            (
                Op::Keep { content: staged(0, "file"), mode: Mode(0o600), path },
                "keep f0.file 600 /etc/wireguard/wg0.conf".to_owned(),
            ),
            (
                Op::Sysctl { setting: Sysctl::AcceptRa("eth0.1".parse().unwrap()), value: 2 },
                "sysctl net/ipv6/conf/eth0.1/accept_ra 2".to_owned(),
            ),
            (
                Op::Nft { rules: staged(1, "nft"), table: table.clone(), old: None },
                "nft f1.nft wgfleet-f".to_owned(),
            ),
            (
                Op::Nft { rules: staged(1, "nft"), table, old: Some("wgfleet".to_owned()) },
                "nft f1.nft wgfleet-f wgfleet".to_owned(),
            ),
            (Op::Reload, "reload".to_owned()),
        ];
        for (op, line) in lines {
            assert_eq!(op.to_string(), line);
            assert_eq!(line.split(' ').next(), Some(op.label()));
        }
    }
}
