//! Writing a configuration file.

use std::fmt::{Display, Write as _};

use zeroize::Zeroizing;

use super::{Conf, QuickConf};
use crate::tunnel::{AllowedIpChange, Setting};

/// Longer than any line but a list of prefixes.
const LINE: usize = 128;
/// Longer than any prefix.
const PREFIX: usize = 48;

fn line(text: &mut String, key: &str, value: impl Display) {
    // Writing to a String does not fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn list(text: &mut String, key: &str, values: impl Iterator<Item = impl Display>) {
    for (number, value) in values.enumerate() {
        let before = if number == 0 { format!("{key} = ") } else { ", ".to_owned() };
        let _ = write!(text, "{before}{value}");
    }
}

impl QuickConf {
    fn render(&self, text: &mut String) {
        for address in &self.addresses {
            line(text, "Address", address);
        }
        for server in &self.dns {
            line(text, "DNS", server);
        }
        for domain in &self.dns_search {
            line(text, "DNS", domain);
        }
        if let Some(mtu) = self.mtu {
            line(text, "MTU", mtu);
        }
        if let Some(table) = self.table {
            line(text, "Table", table);
        }
        if self.save_config {
            line(text, "SaveConfig", true);
        }
        let hooks = [
            ("PreUp", &self.pre_up),
            ("PostUp", &self.post_up),
            ("PreDown", &self.pre_down),
            ("PostDown", &self.post_down),
        ];
        for (key, hooks) in hooks {
            for hook in hooks {
                line(text, key, hook);
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
        let mut text = Zeroizing::new(String::with_capacity(capacity));
        text.push_str("[Interface]\n");
        self.interface.quick.render(&mut text);
        if let Some(port) = self.interface.listen_port {
            line(&mut text, "ListenPort", port);
        }
        if let Some(mark) = self.interface.fwmark {
            line(&mut text, "FwMark", format_args!("{mark:#x}"));
        }
        if let Some(key) = &self.interface.private_key {
            line(&mut text, "PrivateKey", &**key.expose_base64());
        }
        for peer in &self.peers {
            text.push_str("\n[Peer]\n");
            line(&mut text, "PublicKey", peer.public_key);
            match &peer.preshared_key {
                Setting::Keep => {}
                Setting::Clear => {
                    line(&mut text, "PresharedKey", crate::model::PublicKey::from_bytes([0; 32]));
                }
                Setting::To(key) => line(&mut text, "PresharedKey", &**key.expose_base64()),
            }
            list(
                &mut text,
                "AllowedIPs",
                peer.allowed_ips.iter().map(|step| match step {
                    AllowedIpChange::Add(net) if peer.incremental => format!("+{net}"),
                    AllowedIpChange::Add(net) => net.to_string(),
                    AllowedIpChange::Remove(net) => format!("-{net}"),
                }),
            );
            if !peer.allowed_ips.is_empty() {
                text.push('\n');
            }
            if let Some(endpoint) = &peer.endpoint {
                line(&mut text, "Endpoint", endpoint);
            }
            if let Some(seconds) = peer.keepalive {
                line(&mut text, "PersistentKeepalive", seconds);
            }
        }
        text
    }
}
