//! `down`: everything that `up` made, and nothing else.

use std::time::{Duration, Instant};

use super::tool::{find, tool};
use super::{Quick, QuickError, firewall};
use crate::tunnel::conf::Table;
use crate::tunnel::{interfaces, runs_in_userspace};

/// How long a userspace tunnel may take to end after its interface is gone.
const FAREWELL: Duration = Duration::from_secs(3);

impl Quick<'_> {
    /// Stops the interface.
    ///
    /// # Errors
    /// [`QuickError`], the first.
    pub fn down(&mut self) -> Result<(), QuickError> {
        let listed = interfaces().map_err(QuickError::Configure)?;
        if !listed.contains(&self.interface) {
            return Err(QuickError::NotWireGuard(self.interface.clone()));
        }
        self.hooks(|quick| &quick.pre_down)?;
        if self.conf.interface.quick.save_config {
            self.save()?;
        }
        let removed = self.remove_interface();
        // What the hooks put back has nothing to do with what failed.
        let hooks = self.hooks(|quick| &quick.post_down);
        removed.and(hooks)
    }

    /// Takes away DNS, packet filter, rules and the interface. Each step is tried, whatever the
    /// ones before came to.
    pub(super) fn remove_interface(&mut self) -> Result<(), QuickError> {
        let name = self.interface.as_str().to_owned();
        let in_userspace = runs_in_userspace(&self.interface);
        let mut outcome = self.unset_dns();
        outcome = outcome.and(self.remove_firewall());
        outcome = outcome.and(self.remove_rules());
        outcome =
            outcome.and(self.say_and_run(&["ip", "link", "delete", "dev", &name], None).map(drop));
        let deadline = Instant::now() + FAREWELL;
        while in_userspace && runs_in_userspace(&self.interface) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        outcome
    }

    fn unset_dns(&mut self) -> Result<(), QuickError> {
        if self.conf.interface.quick.dns.is_empty() {
            return Ok(());
        }
        if find("resolvconf").is_some() {
            let record = self.dns_record();
            self.say_and_run(&["resolvconf", "-d", &record, "-f"], None)?;
        } else if find("resolvectl").is_some() {
            let name = self.interface.as_str().to_owned();
            self.say_and_run(&["resolvectl", "revert", &name], None)?;
        }
        Ok(())
    }

    fn remove_firewall(&mut self) -> Result<(), QuickError> {
        if find("nft").is_some() {
            // A kernel without nftables has no tables of ours.
            let listed = tool(&["nft", "list", "tables"], None).unwrap_or_default();
            let commands = firewall::nft_removal(&self.interface, &listed);
            if !commands.is_empty() {
                self.say_and_run(&["nft", "-f", "-"], Some(&commands))?;
            }
        }
        let families =
            [("iptables-save", "iptables-restore"), ("ip6tables-save", "ip6tables-restore")];
        for (save, restore) in families {
            if find(save).is_none() {
                continue;
            }
            let saved = tool(&[save], None).unwrap_or_default();
            let commands = firewall::iptables_removal(&self.interface, &saved);
            if !commands.is_empty() {
                self.say_and_run(&[restore, "-n"], Some(&commands))?;
            }
        }
        Ok(())
    }

    /// The policy rules of a full tunnel.
    fn remove_rules(&mut self) -> Result<(), QuickError> {
        let automatic = self.conf.interface.quick.table == Table::Auto;
        let Ok(device) = self.device() else { return Ok(()) };
        let has_default = device
            .peers
            .iter()
            .any(|peer| peer.allowed_ips.iter().any(|net| net.prefix_len() == 0));
        if !automatic || device.fwmark == 0 || !has_default {
            return Ok(());
        }
        let table = device.fwmark.to_string();
        let lookup = format!("lookup {table}");
        for family in ["-4", "-6"] {
            let listed = tool(&["ip", family, "rule", "show"], None).unwrap_or_default();
            let count =
                |text: &str| listed.lines().filter(|line| line.trim_end().ends_with(text)).count();
            for _ in 0..count(&lookup) {
                self.say_and_run(&["ip", family, "rule", "delete", "table", &table], None)?;
            }
            // One for each full tunnel of the host.
            for _ in 0..count("from all lookup main suppress_prefixlength 0").min(1) {
                let main =
                    ["ip", family, "rule", "delete", "table", "main", "suppress_prefixlength", "0"];
                self.say_and_run(&main, None)?;
            }
        }
        Ok(())
    }
}
