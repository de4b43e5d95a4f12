//! What a host has: interfaces, files and settings, as far as the operations of a change reach them.

use std::collections::{BTreeMap, BTreeSet};

use wgfleet::model::PrivateKey;

/// What a host has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) interfaces: BTreeMap<String, Interface>,
    /// Mode and content by path.
    pub(crate) files: BTreeMap<String, (String, String)>,
    /// Values by their place below /proc/sys.
    pub(crate) sysctls: BTreeMap<String, String>,
}

/// One interface that runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Interface {
    private: String,
    /// The public half of `private`; `None` where no private key is set.
    pub(crate) public: Option<String>,
    pub(crate) port: u16,
    pub(crate) fwmark: u32,
    pub(crate) mtu: u32,
    pub(crate) up: bool,
    pub(crate) addresses: BTreeSet<String>,
    /// Table and prefix.
    pub(crate) routes: BTreeSet<(String, String)>,
    /// By public key.
    pub(crate) peers: BTreeMap<String, Peer>,
}

/// One peer of an interface.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) psk: Option<String>,
    pub(crate) endpoint: Option<String>,
    pub(crate) allowed: BTreeSet<String>,
    pub(crate) keepalive: Option<u16>,
}

impl Interface {
    fn set_private(&mut self, key: &str) {
        key.clone_into(&mut self.private);
        self.public = PrivateKey::parse(key).ok().map(|key| key.public().to_string());
    }

    fn peer(&mut self, key: &str) -> Result<&mut Peer, String> {
        self.peers.get_mut(key).ok_or_else(|| "there is no such peer".to_owned())
    }

    /// Takes the sections of a file as `wg addconf` does.
    fn add(&mut self, text: &str) -> Result<(), String> {
        let mut key = None;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let (name, value) = line.split_once(" = ").unwrap_or((line, ""));
            match (name, &key) {
                ("[Interface]", _) => key = None,
                // The key comes in the line after it.
                ("[Peer]", _) => key = Some(String::new()),
                ("PrivateKey", None) => self.set_private(value),
                ("ListenPort", None) => self.port = number(value)?,
                ("FwMark", None) => self.fwmark = number(value)?,
                ("PublicKey", Some(_)) => {
                    // wg(8) replaces the AllowedIPs of every peer that a file names.
                    self.peers.entry(value.to_owned()).or_default().allowed.clear();
                    key = Some(value.to_owned());
                }
                ("AllowedIPs", Some(key)) => {
                    let nets: BTreeSet<String> =
                        value.split(',').map(|net| net.trim().to_owned()).collect();
                    for peer in self.peers.values_mut() {
                        peer.allowed.retain(|net| !nets.contains(net));
                    }
                    self.peer(key)?.allowed = nets;
                }
                ("PresharedKey", Some(key)) => self.peer(key)?.psk = Some(value.to_owned()),
                ("Endpoint", Some(key)) => self.peer(key)?.endpoint = Some(value.to_owned()),
                ("PersistentKeepalive", Some(key)) => self.peer(key)?.keepalive = seconds(value)?,
                _ => return Err(format!("wg does not understand {name}")),
            }
        }
        Ok(())
    }
}

impl State {
    /// The same without what moves by itself.
    pub(crate) fn settled(mut self) -> Self {
        for peer in self.interfaces.values_mut().flat_map(|own| own.peers.values_mut()) {
            peer.endpoint = None;
        }
        self
    }

    fn interface(&mut self, name: &str) -> Result<&mut Interface, String> {
        self.interfaces.get_mut(name).ok_or_else(|| format!("there is no {name}"))
    }

    /// Does one operation with the staged `files`; files that it prepares wait in `prepared`.
    ///
    /// # Errors
    /// Why it fails.
    pub(crate) fn operate(
        &mut self,
        line: &str,
        files: &BTreeMap<String, String>,
        prepared: &mut BTreeMap<String, (String, String)>,
    ) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        let staged = |name: &str| {
            files.get(name).cloned().ok_or_else(|| format!("{name} was not sent along"))
        };
        match *words.as_slice() {
            ["touch", _] | [] => {}
            ["create", name, _] => {
                self.interfaces.insert(name.to_owned(), Interface::default());
            }
            ["delete", name] => drop(self.interfaces.remove(name)),
            ["setconf", name, file] => {
                let text = staged(file)?;
                let own = self.interface(name)?;
                own.peers.clear();
                own.add(&text)?;
            }
            ["addconf", name, file] => self.interface(name)?.add(&staged(file)?)?,
            ["forget", name, ref keys @ ..] => {
                self.interface(name)?.peers.retain(|key, _| !keys.contains(&key.as_str()));
            }
            ["private", name, file] => {
                let key = staged(file)?;
                self.interface(name)?.set_private(key.trim());
            }
            ["port", name, port] => self.interface(name)?.port = number(port)?,
            ["fwmark", name, mark] => self.interface(name)?.fwmark = number(mark)?,
            ["keepalive", name, key, value] => {
                self.interface(name)?.peer(key)?.keepalive = seconds(value)?;
            }
            ["endpoint", name, key, value] => {
                self.interface(name)?.peer(key)?.endpoint = Some(value.to_owned());
            }
            ["psk", name, key, file] => {
                let psk = staged(file)?.trim().to_owned();
                self.interface(name)?.peer(key)?.psk = Some(psk);
            }
            ["no-psk", name, key] => self.interface(name)?.peer(key)?.psk = None,
            ["batch", file] => staged(file)?.lines().try_for_each(|line| self.net(line))?,
            // What went along with something else is gone already.
            ["drop", file] => staged(file)?.lines().for_each(|line| drop(self.net(line))),
            ["prepare", file, mode, path] => {
                prepared.insert(path.to_owned(), (mode.to_owned(), staged(file)?));
            }
            ["file" | "keep", file, mode, path] => {
                let content = (mode.to_owned(), staged(file)?);
                let content = prepared.remove(path).unwrap_or(content);
                self.files.insert(path.to_owned(), content);
            }
            ["remove", path] => drop(self.files.remove(path)),
            ["protect", mode, path] => {
                let file = self.files.get_mut(path).ok_or_else(|| format!("there is no {path}"))?;
                mode.clone_into(&mut file.0);
            }
            ["sysctl", name, value] => drop(self.sysctls.insert(name.to_owned(), value.to_owned())),
            [verb, ..] => return Err(format!("unknown operation {verb}")),
        }
        Ok(())
    }

    /// One command of a batch for ip(8).
    fn net(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        match *words.as_slice() {
            ["address", "add" | "replace", address, "dev", name] => {
                self.interface(name)?.addresses.insert(address.to_owned());
            }
            ["address", "del", address, "dev", name] => {
                self.interface(name)?.addresses.remove(address);
            }
            ["link", "set", "dev", name, ref settings @ ..] => {
                let own = self.interface(name)?;
                for (at, word) in settings.iter().enumerate() {
                    match *word {
                        "up" => own.up = true,
                        "mtu" => own.mtu = number(settings.get(at + 1).unwrap_or(&""))?,
                        _ => {}
                    }
                }
            }
            ["route", "add", prefix, "dev", name, "table", table] => {
                self.interface(name)?.routes.insert((table.to_owned(), prefix.to_owned()));
            }
            ["route", "del", prefix, "dev", name, "table", table] => {
                self.interface(name)?.routes.remove(&(table.to_owned(), prefix.to_owned()));
            }
            _ => return Err(format!("ip does not understand {line}")),
        }
        Ok(())
    }
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number"))
}

fn seconds(text: &str) -> Result<Option<u16>, String> {
    match text {
        "off" | "0" => Ok(None),
        text => number(text).map(Some),
    }
}
