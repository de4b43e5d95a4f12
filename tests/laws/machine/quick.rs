//! wg-quick(8), and units of systemd.

use ipnet::IpNet;
use wgfleet::model::{Family, InterfaceName, Tool, UnitName, covers};
use wgfleet::observed::LiveBackend;

use super::{Link, Machine, Table, UNITS, conf};

impl Machine {
    /// `wg-quick up`: the kernel's WireGuard where there is one, whatever it is told.
    pub(super) fn quick_up(
        &mut self,
        name: &InterfaceName,
        wanted: LiveBackend,
    ) -> Result<(), String> {
        if self.links.contains_key(name) {
            return Err(format!("{name} already exists"));
        }
        let file = self.files.get(&conf::path(name)).ok_or_else(|| format!("no file of {name}"))?;
        let conf = conf::parse(&file.text)?;
        let backend = if self.facts.kernel_wireguard { LiveBackend::Kernel } else { wanted };
        let mut link = Link::new(backend);
        link.set(&conf);
        for address in &conf.addresses {
            link.add_address(*address);
        }
        link.mtu = conf.mtu.unwrap_or(1420);
        link.raise();
        let nets: Vec<IpNet> = conf.peers.values().flat_map(|peer| peer.allowed.clone()).collect();
        let auto = matches!(conf.table.as_deref(), None | Some("auto"));
        self.links.insert(name.clone(), link);
        for net in nets.iter().filter(|_| conf.table.as_deref() != Some("off")) {
            let link = self.links.get_mut(name).expect("just made");
            if auto && net.prefix_len() == 0 {
                link.mark = if link.mark == 0 { 51820 } else { link.mark };
                link.routes.insert((link.mark, *net));
                let mark = link.mark;
                self.rules.insert((Family::of(net), mark));
            } else if !auto || !link.connected.iter().any(|own| covers(own, net)) {
                let table = if auto { "254" } else { conf.table.as_deref().unwrap_or("254") };
                if let Err(why) = self.ip(&format!("route add {net} dev {name} table {table}")) {
                    self.links.remove(name);
                    return Err(why);
                }
            }
        }
        Ok(())
    }

    /// `wg-quick down`, and what the script does where that fails.
    pub(super) fn quick_down(&mut self, name: &InterfaceName) {
        let known = self.files.contains_key(&conf::path(name));
        if let Some(link) = self.links.remove(name).filter(|_| known) {
            self.rules.retain(|(_, mark)| *mark != link.mark);
        }
    }

    /// The interface of a unit, and the text that systemd has read for it.
    fn unit(&self, unit: &str) -> Result<(InterfaceName, Option<&String>), String> {
        let stem = unit.strip_suffix(".service").ok_or("no service")?;
        let own = self.loaded.get(format!("{UNITS}{unit}").as_str());
        let drop_in = self.loaded.get(format!("{UNITS}{unit}.d/wgfleet.conf").as_str());
        let (name, text) = match (stem.strip_prefix("wg-quick@"), stem.strip_prefix("wgfleet-")) {
            (Some(name), _) if self.facts.has(Tool::WgQuick) => (name, drop_in),
            (_, Some(name)) if own.is_some() => (name, own),
            _ => return Err(format!("unit {unit} is not found")),
        };
        Ok((name.parse().map_err(|_| "no interface".to_owned())?, text))
    }

    pub(super) fn start(&mut self, unit: &UnitName) -> Result<(), String> {
        let state = self.units.get(unit).copied().unwrap_or_default();
        if state.masked {
            return Err(format!("unit {unit} is masked"));
        }
        if state.active {
            return Ok(());
        }
        let (name, text) = self.unit(unit)?;
        let text = text.cloned().unwrap_or_default();
        let adopts = text.contains("ip link show dev") && self.links.contains_key(&name);
        if !adopts {
            let backend = match text.split_once("WG_QUICK_USERSPACE_IMPLEMENTATION=") {
                Some((_, program)) if program.starts_with("wireguard-go") => LiveBackend::Userspace,
                // What wg-quick(8) starts of its own; wgfleet in its place starts itself.
                None if self.facts.has(Tool::WgQuick) => LiveBackend::Userspace,
                Some(_) | None => LiveBackend::Embedded,
            };
            self.quick_up(&name, backend)?;
        }
        if let Some((_, path)) = text.split_once("nft -f ") {
            let path = path.lines().next().unwrap_or_default();
            if let Some(file) = self.files.get(path) {
                let rules = file.text.clone();
                self.nft(&rules);
            }
        }
        self.units.entry(unit.clone()).or_default().active = true;
        Ok(())
    }

    pub(super) fn stop(&mut self, unit: &str) {
        let Some(state) = self.units.get_mut(unit).filter(|state| state.active) else {
            return;
        };
        state.active = false;
        if let Ok((name, _)) = self.unit(unit)
            && self.links.contains_key(&name)
        {
            self.quick_down(&name);
        }
    }

    pub(super) fn enable(&mut self, unit: &UnitName, on: bool) -> Result<(), String> {
        if on && self.units.get(unit).is_some_and(|state| state.masked) {
            return Err(format!("unit {unit} is masked"));
        }
        if on
            && unit.starts_with("wgfleet-")
            && !self.files.contains_key(format!("{UNITS}{unit}").as_str())
        {
            return Err(format!("unit {unit} is not found"));
        }
        self.units.entry(unit.clone()).or_default().enabled = on;
        Ok(())
    }

    /// `nft -f`: what a text removes and makes.
    pub(super) fn nft(&mut self, text: &str) {
        let mut table: Option<String> = None;
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("delete table inet ") {
                self.tables.remove(name);
            } else if let Some(name) =
                line.strip_prefix("table inet ").and_then(|l| l.strip_suffix(" {"))
            {
                self.tables.insert(name.to_owned(), Table::default());
                table = Some(name.to_owned());
            } else if let (Some((_, rest)), Some(table)) =
                (line.split_once("comment \"wgfleet-"), &table)
            {
                let digest = rest.split('"').next().map(str::to_owned);
                self.tables.insert(table.clone(), Table(digest));
            }
        }
    }
}
