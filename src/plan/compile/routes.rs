//! Addresses and routes of an interface, as batches of ip(8).

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ipnet::IpNet;

use super::op::Op;
use super::payload::Compiler;
use crate::desired::Secrets;
use crate::model::InterfaceName;
use crate::plan::Change;

impl<'a, S: Secrets> Compiler<'a, S> {
    fn of_interface(&self, name: &InterfaceName) -> impl Iterator<Item = &'a Change> + use<'a, S> {
        let name = name.clone();
        self.plan.changes.iter().filter(move |change| change.interface() == Some(&name))
    }

    pub(super) fn drop_addresses_and_routes(&mut self, name: &InterfaceName) {
        let mut batch = String::new();
        for change in self.of_interface(name) {
            if let Change::RemoveRoute { table, prefix, .. } = change {
                let _ = writeln!(batch, "route del {prefix} dev {name} table {table}");
            }
        }
        for change in self.of_interface(name) {
            if let Change::RemoveAddress { address, .. } = change {
                let _ = writeln!(batch, "address del {address} dev {name}");
            }
        }
        // An address takes younger ones of its prefix along, and the last one all routes. What
        // went along cannot be removed once more, so failures are no matter here.
        if let Some(lines) = self.lines("drop", batch) {
            self.op(Op::Drop { lines });
        }
    }

    pub(super) fn add_addresses_and_routes(&mut self, name: &InterfaceName) {
        let Some((desired, quick)) = self.wanted(name).map(|wanted| (wanted.desired, wanted.quick))
        else {
            return;
        };
        let mut batch = String::new();
        let mut removed = false;
        let mut made = false;
        let mut added = BTreeSet::new();
        for change in self.of_interface(name) {
            match change {
                Change::RemoveAddress { .. } => removed = true,
                Change::Create(_) | Change::Restart { .. } => made = !quick,
                Change::AddRoute { table, prefix, .. } => {
                    added.insert((*table, *prefix));
                }
                Change::AddAddress { address, .. } => {
                    let _ = writeln!(batch, "address replace {address} dev {name}");
                }
                _ => {}
            }
        }
        let mut again = String::new();
        if removed {
            for address in &desired.addresses {
                let _ = writeln!(again, "address replace {address} dev {name}");
            }
        }
        for (table, prefix) in desired.routes() {
            // Never `replace`: that would take the route of another device, such as the LAN's.
            let line = format!("route add {prefix} dev {name} table {table}");
            if made || added.contains(&(table, prefix)) {
                let _ = writeln!(batch, "{line}");
            } else if removed {
                let _ = writeln!(again, "{line}");
            }
        }
        // As the kernel makes it with an address.
        for (_, prefix) in added.difference(&desired.routes()).filter(|(table, _)| *table == 254) {
            let mut addresses = desired.addresses.iter();
            let Some(own) = addresses.find(|address| address.trunc() == *prefix) else { continue };
            let kind = match own {
                IpNet::V4(own) => format!("scope link src {}", own.addr()),
                IpNet::V6(_) => "metric 256".to_owned(),
            };
            // Where addresses go and come, the kernel may be first.
            let lines = if removed { &mut again } else { &mut batch };
            let _ = writeln!(lines, "route add {prefix} dev {name} proto kernel {kind}");
        }
        if let Some(lines) = self.lines("again", again) {
            self.op(Op::Drop { lines });
        }
        if let Some(lines) = self.lines("net", batch) {
            self.op(Op::Batch { lines });
        }
    }
}
