//! An interface as a whole: its start, its end, and its own settings.

use std::fmt::Write as _;

use zeroize::Zeroizing;

use super::conf::{self, PeerParts};
use super::op::Op;
use super::payload::Compiler;
use crate::desired::Secrets;
use crate::model::InterfaceName;
use crate::observed::LiveBackend;
use crate::plan::manager::Step;
use crate::plan::paths;
use crate::plan::{Change, DeviceField, FieldChange, NewInterface};

impl<S: Secrets> Compiler<'_, S> {
    /// Stops an interface the way that it was started: its unit or wg-quick undo what they
    /// did beside it.
    pub(super) fn stop(&mut self, name: &InterfaceName) {
        if let Some(unit) = self.running_unit(name) {
            self.unit_op(Step::Stop, &unit);
        } else if self.observed.files.contains_key(&paths::conf(name)) {
            self.op(Op::QuickDown { interface: name.clone() });
        }
        self.op(Op::Delete { interface: name.clone() });
    }

    pub(super) fn interface(&mut self, name: &InterfaceName) -> Result<(), S::Error> {
        let plan = self.plan;
        let mine: Vec<&Change> =
            plan.changes.iter().filter(|c| c.interface() == Some(name)).collect();
        for change in &mine {
            match change {
                Change::Create(NewInterface { backend, .. }) => self.start(name, *backend)?,
                Change::Restart { backend, .. } => {
                    self.undo(Op::QuickDown { interface: name.clone() });
                    self.stop(name);
                    self.start(name, *backend)?;
                }
                Change::Device { fields, .. } => self.device(name, fields)?,
                _ => {}
            }
        }
        self.peers(name, &mine)
    }

    fn start(&mut self, name: &InterfaceName, backend: LiveBackend) -> Result<(), S::Error> {
        let Some(wanted) = self.wanted(name) else { return Ok(()) };
        let (desired, quick) = (wanted.desired, wanted.quick);
        if quick {
            // wg-quick reads its own file, so that goes first; where there are units, one starts it.
            let file = paths::conf(name);
            self.install(|path| *path == file);
            if let Some(op) = self.target.manager.quick_up(name, backend) {
                self.op(op);
            }
            return Ok(());
        }
        let mut text = conf::interface(self.target.desired, desired, self.secrets)?;
        let mut peers = Vec::with_capacity(desired.peers.len());
        for (key, peer) in &desired.peers {
            peers.push(conf::peer(desired, key, peer, &PeerParts::all(peer), self.secrets)?);
        }
        let size = peers.iter().map(|peer| peer.len()).sum::<usize>();
        let mut whole = Zeroizing::new(String::with_capacity(text.len() + size));
        whole.push_str(&text);
        for peer in &peers {
            whole.push_str(peer);
        }
        std::mem::swap(&mut text, &mut whole);
        let conf = self.payload.file("set", text);
        let mut batch = String::new();
        for address in &desired.addresses {
            let _ = writeln!(batch, "address add {address} dev {name}");
        }
        let _ = writeln!(batch, "link set dev {name} mtu {} up", desired.mtu);
        let lines = self.payload.file("up", Zeroizing::new(batch));
        self.op(Op::Create { interface: name.clone(), backend });
        self.op(Op::SetConf { interface: name.clone(), conf });
        self.op(Op::Batch { lines });
        Ok(())
    }

    fn device(
        &mut self,
        name: &InterfaceName,
        fields: &[FieldChange<DeviceField>],
    ) -> Result<(), S::Error> {
        let Some(desired) = self.wanted(name).map(|wanted| wanted.desired) else { return Ok(()) };
        let mut batch = String::new();
        for field in fields {
            match field.field {
                DeviceField::PublicKey => {
                    let key = self
                        .secrets
                        .private_key(&self.target.desired.name, &desired.public_key)?
                        .expose_base64();
                    let mut text = Zeroizing::new(String::with_capacity(48));
                    let _ = writeln!(text, "{}", key.as_str());
                    let key = self.payload.file("key", text);
                    self.op(Op::Private { interface: name.clone(), key });
                }
                DeviceField::ListenPort => {
                    if let Some(port) = desired.listen_port {
                        self.op(Op::Port { interface: name.clone(), port });
                    }
                }
                DeviceField::FwMark => {
                    let mark = desired.fwmark.map_or(0, |mark| mark.0);
                    self.op(Op::FwMark { interface: name.clone(), mark });
                }
                DeviceField::Mtu => {
                    let _ = writeln!(batch, "link set dev {name} mtu {}", desired.mtu);
                }
                DeviceField::Link => {
                    let _ = writeln!(batch, "link set dev {name} up");
                }
            }
        }
        if let Some(lines) = self.lines("link", batch) {
            self.op(Op::Batch { lines });
        }
        Ok(())
    }
}
