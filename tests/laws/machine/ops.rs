//! The operations, one by one.

use std::collections::BTreeMap;

use wgfleet::model::Keepalive;
use wgfleet::plan::{Mode, Op, Seconds, Staged};

use super::{File, Link, Machine, conf};

/// The files of a payload by name.
pub(crate) type Files = BTreeMap<String, String>;

fn staged<'a>(files: &'a Files, name: &Staged) -> Result<&'a String, String> {
    files.get(&name.to_string()).ok_or_else(|| format!("{name} was not sent"))
}

impl Machine {
    /// Does one operation as the host's script does.
    pub(crate) fn perform(&mut self, op: &Op, files: &Files) -> Result<(), String> {
        self.op(op, files).map_err(|why| format!("{op}: {why}"))
    }

    fn op(&mut self, op: &Op, files: &Files) -> Result<(), String> {
        let own = |name| staged(files, name);
        match op {
            Op::Touch { .. } => {}
            Op::Create { interface, backend } => {
                if self.links.contains_key(interface) {
                    return Err("it is there".to_owned());
                }
                self.links.insert(interface.clone(), Link::new(*backend));
            }
            Op::Delete { interface } => drop(self.links.remove(interface)),
            Op::SetConf { interface, conf } => {
                let conf = conf::parse(own(conf)?)?;
                self.own(interface)?.set(&conf);
            }
            Op::AddConf { interface, conf } => {
                let conf = conf::parse(own(conf)?)?;
                if conf.key.is_some() {
                    return Err("peers only".to_owned());
                }
                self.own(interface)?.add(&conf);
            }
            Op::Forget { interface, peers } => {
                let link = self.own(interface)?;
                link.peers.retain(|key, _| !peers.contains(key));
            }
            Op::Private { interface, key } => {
                let text = format!("PrivateKey = {}", own(key)?);
                self.own(interface)?.key = conf::parse(&text)?.key;
            }
            Op::Port { interface, port } => self.own(interface)?.port = port.get(),
            Op::FwMark { interface, mark } => self.own(interface)?.mark = *mark,
            Op::Keepalive { interface, peer, every } => {
                let seconds = match every {
                    Seconds::Off => 0,
                    Seconds::Every(seconds) => *seconds,
                };
                self.own(interface)?.peer(peer).keepalive = Keepalive::new(seconds);
            }
            Op::Endpoint { interface, peer, endpoint } => {
                self.own(interface)?.peer(peer).endpoint = Some(conf::address(endpoint));
            }
            Op::Psk { interface, peer, psk } => {
                let psk = own(psk)?.trim_end().to_owned();
                self.own(interface)?.peer(peer).psk = Some(psk);
            }
            Op::NoPsk { interface, peer } => self.own(interface)?.peer(peer).psk = None,
            Op::Batch { lines } => own(lines)?.lines().try_for_each(|line| self.ip(line))?,
            Op::Drop { lines } => own(lines)?.lines().for_each(|line| drop(self.ip(line))),
            Op::Try { conf, .. } => drop(conf::parse(own(conf)?)?),
            Op::QuickUp { interface, backend } => self.quick_up(interface, *backend)?,
            Op::QuickDown { interface } => self.quick_down(interface),
            Op::File { content, mode, path } => {
                let Mode(mode) = *mode;
                let file = File { mode, text: own(content)?.clone() };
                self.files.insert(path.clone(), file);
            }
            Op::Prepare { content, mode, path } => {
                let Mode(mode) = *mode;
                let file = File { mode, text: own(content)?.clone() };
                self.beside.insert(path.clone(), file);
            }
            Op::Keep { path, .. } => {
                let file = self.beside.remove(path).ok_or("nothing was prepared")?;
                self.files.insert(path.clone(), file);
            }
            Op::Protect { mode: Mode(mode), path } => {
                self.files.get_mut(path).ok_or("no such file")?.mode = *mode;
            }
            Op::Remove { path } => drop(self.files.remove(path)),
            Op::Sysctl { setting, value } => {
                self.sysctls.insert(setting.to_string(), *value);
            }
            Op::Nft { rules, table, .. } => {
                let rules = own(rules)?.clone();
                self.nft(&rules);
                if !self.tables.contains_key(table) {
                    return Err("the rules are of another table".to_owned());
                }
            }
            Op::NftDelete { table } => drop(self.tables.remove(table).ok_or("no such table")?),
            Op::Reload => self.reload(),
            Op::Unmask { unit } => {
                self.units.entry(unit.clone()).or_default().masked = false;
                self.reload();
            }
            Op::Enable { unit } => self.enable(unit, true)?,
            Op::Disable { unit } => self.enable(unit, false)?,
            Op::Start { unit } => self.start(unit)?,
            Op::Restart { unit } => {
                self.stop(unit);
                self.start(unit)?;
            }
            Op::Stop { unit } => self.stop(unit),
        }
        Ok(())
    }

    fn own(&mut self, name: &wgfleet::model::InterfaceName) -> Result<&mut Link, String> {
        self.links.get_mut(name).ok_or_else(|| format!("{name} is not there"))
    }
}
