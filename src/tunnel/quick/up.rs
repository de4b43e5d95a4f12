//! `up`: everything, or nothing.

use std::fs;
use std::io;
use std::net::IpAddr;

use ipnet::IpNet;

use super::interrupts::Interrupts;
use super::routes::{self, is_matched};
use super::tool::{find, require, run, tool};
use super::{Quick, QuickError, firewall};
use crate::model::Family;
use crate::tunnel::conf::{Conf, Dialect, Table};
use crate::tunnel::{DeviceChange, resolve};

/// The first table, and mark, that a full tunnel tries.
const FIRST_TABLE: u32 = 51820;
/// What a tunnel adds to a packet over IPv6.
const OVERHEAD: u32 = 80;
const VALID_MARK: &str = "/proc/sys/net/ipv4/conf/all/src_valid_mark";

impl Quick<'_> {
    /// Starts the interface.
    ///
    /// # Errors
    /// [`QuickError`]; whatever was begun is undone.
    pub fn up(&mut self) -> Result<(), QuickError> {
        let name = self.interface.as_str().to_owned();
        let conf = self.prepare()?;
        if fs::metadata(format!("/proc/sys/net/ipv4/conf/{name}")).is_ok()
            || tool(&["ip", "link", "show", "dev", &name], None).is_ok()
        {
            return Err(QuickError::Exists(self.interface.clone()));
        }
        self.interrupts = Some(Interrupts::hold().map_err(QuickError::Interrupts)?);
        self.hooks(|quick| &quick.pre_up)?;
        let outcome = self.begin(conf);
        // Whoever interrupts now interrupts the undoing no more.
        self.interrupts = None;
        outcome
    }

    fn begin(&mut self, conf: Conf) -> Result<(), QuickError> {
        self.add_interface()?;
        let outcome = self.configure(conf).and_then(|()| self.go_on());
        if outcome.is_err() {
            self.interrupts = None;
            // The first error is the one to report.
            let _ = self.remove_interface();
        }
        outcome
    }

    /// What may fail without having touched anything.
    fn prepare(&mut self) -> Result<Conf, QuickError> {
        require("ip", "every interface")?;
        let quick = &self.conf.interface.quick;
        if !quick.dns.is_empty() && find("resolvconf").is_none() && find("resolvectl").is_none() {
            return Err(QuickError::Missing { tool: "resolvconf", purpose: "DNS =" });
        }
        let defaults = self.conf.peers.iter().flat_map(|peer| &peer.allowed_ips).any(|step| {
            matches!(step, crate::tunnel::AllowedIpChange::Add(net) if net.prefix_len() == 0)
        });
        let automatic = quick.table == Table::Auto;
        if defaults && automatic && find("nft").is_none() && find("iptables-restore").is_none() {
            return Err(QuickError::Missing { tool: "nft", purpose: "a default route" });
        }
        // A second reading, because the change takes the secrets out of it.
        Conf::parse(&self.text, Dialect::Quick)
            .map_err(|source| QuickError::Conf { path: self.path.clone(), source })
    }

    /// The change that a file makes. Names are resolved now: what runs before may be what makes them
    /// known.
    fn change(&mut self, conf: Conf) -> Result<DeviceChange, QuickError> {
        let (retries, report) = (self.retries, &mut self.report);
        conf.setconf(|endpoint| {
            resolve(endpoint, retries, |why, wait| {
                report(&format!("{endpoint}: {why}; trying again in {} s", wait.as_secs()));
            })
            .map_err(QuickError::from)
        })
    }

    fn add_interface(&mut self) -> Result<(), QuickError> {
        let name = self.interface.as_str().to_owned();
        let add = ["ip", "link", "add", &name, "type", "wireguard"];
        let Err(refused) = self.say_and_run(&add, None) else { return Ok(()) };
        if fs::metadata("/sys/module/wireguard").is_ok() {
            return Err(refused);
        }
        (self.report)("[!] The kernel has no WireGuard. Starting the userspace tunnel.");
        let interface = self.interface.clone();
        (self.report)(&format!("[#] {}", self.userspace.words(&interface).join(" ")));
        self.userspace.start(&interface)?;
        Ok(())
    }

    fn configure(&mut self, conf: Conf) -> Result<(), QuickError> {
        let name = self.interface.as_str().to_owned();
        let change = self.change(conf)?;
        crate::tunnel::set(&self.interface, &change).map_err(QuickError::Configure)?;
        let addresses = self.conf.interface.quick.addresses.clone();
        let mut lines: Vec<String> =
            addresses.iter().map(|address| format!("address add {address} dev {name}")).collect();
        let mtu = self.mtu()?;
        lines.push(format!("link set mtu {mtu} up dev {name}"));
        self.ip_batch(&lines)?;
        self.set_dns()?;
        self.add_routes()?;
        self.hooks(|quick| &quick.post_up)
    }

    /// The MTU that the file says, or the one that fits the way to the peers.
    fn mtu(&mut self) -> Result<u32, QuickError> {
        if let Some(mtu) = self.conf.interface.quick.mtu {
            return Ok(mtu);
        }
        let device = self.device()?;
        let endpoints = routes::endpoints(&device);
        let questions: Vec<String> = endpoints.iter().map(|ip| format!("route get {ip}")).collect();
        let questions = questions.join("\n") + "\n";
        let ask = ["ip", "-o", "-force", "-batch", "-"];
        let mut listed = String::new();
        if !endpoints.is_empty() {
            // An endpoint without a route says nothing about the MTU.
            let answers = run(&ask, Some(&questions))?;
            listed = String::from_utf8_lossy(&answers.stdout).into_owned();
        }
        if listed.trim().is_empty() {
            let default = tool(&["ip", "route", "show", "default"], None)?;
            default.lines().next().unwrap_or_default().clone_into(&mut listed);
        }
        let (devices, mtu) = routes::ways(&listed);
        let mut links = String::new();
        if !devices.is_empty() {
            links = tool(&["ip", "-o", "link", "show"], None)?;
        }
        let mtu = mtu.max(routes::largest_mtu(&links, &devices)).unwrap_or(1500);
        Ok(mtu.saturating_sub(OVERHEAD).max(576))
    }

    fn add_routes(&mut self) -> Result<(), QuickError> {
        let name = self.interface.as_str().to_owned();
        let table = self.conf.interface.quick.table.clone();
        let prefixes = routes::prefixes(&self.device()?);
        let lines: Vec<String> = match &table {
            Table::Off => return Ok(()),
            Table::Named(table) => prefixes
                .iter()
                .map(|net| format!("route add {net} dev {name} table {table}"))
                .collect(),
            Table::Auto => {
                let mut there = Vec::new();
                for family in ["-4", "-6"] {
                    // A host without IPv6 has no routes of it.
                    let show = ["ip", family, "route", "show", "dev", &name];
                    there.extend(routes::shown(&tool(&show, None).unwrap_or_default()));
                }
                let plain = prefixes.iter().filter(|net| net.prefix_len() > 0);
                let missing = plain.filter(|net| !is_matched(net, &there));
                missing.map(|net| format!("route add {net} dev {name}")).collect()
            }
        };
        self.ip_batch(&lines)?;
        if table == Table::Auto {
            for default in prefixes.iter().filter(|net| net.prefix_len() == 0) {
                self.add_default(default)?;
            }
        }
        Ok(())
    }

    /// A default route into the tunnel, for everything but the tunnel's own packets.
    fn add_default(&mut self, net: &IpNet) -> Result<(), QuickError> {
        let name = self.interface.as_str().to_owned();
        let family = Family::of(net);
        let table = match self.device()?.fwmark {
            0 => self.free_table()?,
            mark => mark,
        };
        let flag = match family {
            Family::V4 => "-4",
            Family::V6 => "-6",
        };
        let table_word = table.to_string();
        let table_word = table_word.as_str();
        self.say_and_run(
            &["ip", flag, "route", "add", &net.to_string(), "dev", &name, "table", table_word],
            None,
        )?;
        self.say_and_run(
            &["ip", flag, "rule", "add", "not", "fwmark", table_word, "table", table_word],
            None,
        )?;
        self.say_and_run(
            &["ip", flag, "rule", "add", "table", "main", "suppress_prefixlength", "0"],
            None,
        )?;
        let own: Vec<IpAddr> =
            self.conf.interface.quick.addresses.iter().map(IpNet::addr).collect();
        let own: Vec<IpAddr> = own.into_iter().filter(|ip| Family::of_addr(ip) == family).collect();
        if family == Family::V4 {
            set_valid_mark().map_err(|source| QuickError::Sysctl {
                name: "net.ipv4.conf.all.src_valid_mark",
                source,
            })?;
        }
        if find("nft").is_some() {
            let rules = firewall::nft(&self.interface, family, table, &own);
            self.say_and_run(&["nft", "-f", "-"], Some(&rules))?;
        } else {
            let restore = match family {
                Family::V4 => "iptables-restore",
                Family::V6 => "ip6tables-restore",
            };
            let rules = firewall::iptables(&self.interface, table, &own);
            self.say_and_run(&[restore, "-n"], Some(&rules))?;
        }
        Ok(())
    }

    /// A routing table that nobody uses, which also becomes the mark.
    fn free_table(&mut self) -> Result<u32, QuickError> {
        let mut table = FIRST_TABLE;
        loop {
            let number = table.to_string();
            let mut used = false;
            for family in ["-4", "-6"] {
                let shown = tool(&["ip", family, "route", "show", "table", &number], None);
                used |= shown.is_ok_and(|routes| !routes.trim().is_empty());
            }
            if !used {
                break;
            }
            table += 1;
        }
        (self.report)(&format!("[#] wg set {} fwmark {table}", self.interface));
        let change = DeviceChange { fwmark: Some(table), ..DeviceChange::default() };
        crate::tunnel::set(&self.interface, &change).map_err(QuickError::Configure)?;
        Ok(table)
    }

    fn set_dns(&mut self) -> Result<(), QuickError> {
        let quick = &self.conf.interface.quick;
        if quick.dns.is_empty() {
            return Ok(());
        }
        let servers = quick.dns.clone();
        let domains = quick.dns_search.clone();
        if find("resolvconf").is_some() {
            let mut lines: Vec<String> =
                servers.iter().map(|ip| format!("nameserver {ip}")).collect();
            if !domains.is_empty() {
                lines.push(format!("search {}", domains.join(" ")));
            }
            let text = lines.join("\n") + "\n";
            let record = self.dns_record();
            self.say_and_run(&["resolvconf", "-a", &record, "-m", "0", "-x"], Some(&text))?;
            return Ok(());
        }
        let name = self.interface.as_str().to_owned();
        let words = |head: [&'static str; 2], tail: &[String]| -> Vec<String> {
            let head = [head[0].to_owned(), head[1].to_owned(), name.clone()];
            head.into_iter().chain(tail.iter().cloned()).collect()
        };
        // As resolvconf -x: every name is asked for there.
        let domains: Vec<String> = std::iter::once("~.".to_owned()).chain(domains).collect();
        for line in
            [words(["resolvectl", "dns"], &servers), words(["resolvectl", "domain"], &domains)]
        {
            let line: Vec<&str> = line.iter().map(String::as_str).collect();
            self.say_and_run(&line, None)?;
        }
        Ok(())
    }

    /// What resolvconf calls the interface: some versions sort records by a prefix.
    pub(super) fn dns_record(&self) -> String {
        let order = fs::read_to_string("/etc/resolvconf/interface-order").unwrap_or_default();
        let is_prefix = |word: &&str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let prefix = order.lines().filter_map(|line| line.strip_suffix('*')).find(is_prefix);
        match prefix {
            Some(prefix) => format!("{prefix}.{}", self.interface),
            None => self.interface.to_string(),
        }
    }
}

/// Reverse-path filters take the mark into account.
fn set_valid_mark() -> io::Result<()> {
    if fs::read_to_string(VALID_MARK)?.trim() == "1" {
        return Ok(());
    }
    fs::write(VALID_MARK, "1")
}
