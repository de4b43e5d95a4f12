//! Writing a configuration file.

use zeroize::Zeroizing;

use super::{Conf, QuickConf, Table};
use crate::model::PublicKey;
use crate::tunnel::{self, AllowedIpChange};
use crate::wgconf::{Heading, Setting, Writer};

/// Longer than any line but a list of prefixes.
const LINE: usize = 128;
/// Longer than any prefix.
const PREFIX: usize = 48;

impl QuickConf {
    /// Writes what it has, below the heading of an interface.
    pub(in crate::tunnel) fn write(&self, conf: &mut Writer) {
        for address in &self.addresses {
            conf.set(Setting::Address, address);
        }
        for server in &self.dns {
            conf.set(Setting::Dns, server);
        }
        for domain in &self.dns_search {
            conf.set(Setting::Dns, domain);
        }
        if let Some(mtu) = self.mtu {
            conf.set(Setting::Mtu, mtu);
        }
        if self.table != Table::Auto {
            conf.set(Setting::Table, &self.table);
        }
        if self.save_config {
            conf.set(Setting::SaveConfig, true);
        }
        let hooks = [
            (Setting::PreUp, &self.pre_up),
            (Setting::PostUp, &self.post_up),
            (Setting::PreDown, &self.pre_down),
            (Setting::PostDown, &self.post_down),
        ];
        for (setting, hooks) in hooks {
            for hook in hooks {
                conf.set(setting, hook);
            }
        }
    }
}

impl Conf {
    /// The file, with its secrets; zeroed on drop.
    #[must_use]
    pub fn render(&self) -> Zeroizing<String> {
        let prefixes: usize = self.peers.iter().map(|peer| peer.allowed_ips.len()).sum();
        let capacity = (self.peers.len() * 8 + 64) * LINE + prefixes * PREFIX;
        let mut conf = Writer::with_room(capacity);
        conf.heading(Heading::Interface);
        self.interface.quick.write(&mut conf);
        if let Some(port) = self.interface.listen_port {
            conf.set(Setting::ListenPort, port);
        }
        if let Some(mark) = self.interface.fwmark {
            conf.set(Setting::FwMark, format_args!("{mark:#x}"));
        }
        if let Some(key) = &self.interface.private_key {
            conf.set(Setting::PrivateKey, &**key.expose_base64());
        }
        for peer in &self.peers {
            conf.blank();
            conf.heading(Heading::Peer);
            conf.set(Setting::PublicKey, peer.public_key);
            match &peer.preshared_key {
                tunnel::Setting::Keep => {}
                tunnel::Setting::Clear => {
                    conf.set(Setting::PresharedKey, PublicKey::from_bytes([0; 32]));
                }
                tunnel::Setting::To(key) => conf.set(Setting::PresharedKey, &**key.expose_base64()),
            }
            conf.list(
                Setting::AllowedIps,
                peer.allowed_ips.iter().map(|step| match step {
                    AllowedIpChange::Add(net) if peer.incremental => format!("+{net}"),
                    AllowedIpChange::Add(net) => net.to_string(),
                    AllowedIpChange::Remove(net) => format!("-{net}"),
                }),
            );
            if let Some(endpoint) = &peer.endpoint {
                conf.set(Setting::Endpoint, endpoint);
            }
            if let Some(seconds) = peer.keepalive {
                conf.set(Setting::PersistentKeepalive, seconds);
            }
        }
        conf.finish()
    }
}
