//! From an inventory to the lab that is its twin.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net};

use super::pool::{Pool, nth, overlap, take_near};
use super::spec::{Cabling, Forward, HostSpec, Init, Lan, Login, Router, Spec, SpecError};
use super::wiring::NAT_GATEWAYS;
use crate::inventory::{Declared, Host, HostInterface, Inventory};
use crate::model::{Become, Endpoint, EndpointHost, Family, FleetName, HostName, is_private};

/// Where underlay addresses come from that no endpoint of the inventory dictates: RFC 2544's
/// benchmark range.
pub const UNDERLAY_V4: &str = "198.18.0.0/16";

/// The same for IPv6: a unique local prefix.
pub const UNDERLAY_V6: &str = "fd00:5a::/64";

/// Addresses of hosts behind NAT: RFC 6598's shared range, and a unique local prefix.
const PRIVATE: [&str; 2] = ["100.64.0.0/16", "fd00:64::/64"];

/// Prefixes of the management segment, in order of preference.
const MANAGEMENT: [&str; 3] = ["100.127.0.0/16", "198.19.0.0/16", "172.31.0.0/16"];

/// Addresses that stand for the outside world, in order of preference.
const INTERNET: [[&str; 3]; 2] = [
    ["192.0.2.1", "198.51.100.1", "203.0.113.1"],
    ["2001:db8:ffff::1", "2001:db8:fffe::1", "2001:db8:fffd::1"],
];

/// The router of unmanaged peers.
const ROAMING: &str = "router-roaming";

/// A prefix that this file writes down.
fn fixed(text: &str) -> Result<IpNet, SpecError> {
    text.parse().map_err(|_| SpecError::NoAddress(text.to_owned()))
}

/// The login names that ssh(1) is told, each once; root is everywhere, and `ops` too.
fn users(inventory: &Inventory) -> Vec<String> {
    let named = inventory.hosts.iter().filter_map(|host| host.ssh.value.user());
    let kept = named.filter(|user| !["root", "ops"].contains(user) && is_account(user));
    kept.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a name can stand in passwd(5) and sudoers(5).
fn is_account(user: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    user.len() <= 32 && user.starts_with(|c: char| c.is_ascii_lowercase()) && user.chars().all(fits)
}

/// Address ranges, and what of them is spoken for.
struct Addresses {
    taken: HashSet<IpAddr>,
    public: [Pool; 2],
    private: [Pool; 2],
}

impl Addresses {
    fn new(inventory: &Inventory) -> Result<Self, SpecError> {
        let pool = |text| fixed(text).map(|net| Pool::new(net, 1));
        let mut taken: HashSet<IpAddr> = literals(inventory).collect();
        taken.extend(NAT_GATEWAYS);
        Ok(Self {
            taken,
            public: [pool(UNDERLAY_V4)?, pool(UNDERLAY_V6)?],
            private: [pool(PRIVATE[0])?, pool(PRIVATE[1])?],
        })
    }

    /// Adds an address of each family that `has` lacks.
    fn fill(&mut self, has: &mut Vec<IpAddr>, nat: bool, who: &str) -> Result<(), SpecError> {
        let pools = if nat { &mut self.private } else { &mut self.public };
        for (pool, family) in pools.iter_mut().zip([Family::V4, Family::V6]) {
            if !has.iter().any(|addr| Family::of_addr(addr) == family) {
                let addr = pool.take(&mut self.taken);
                has.push(addr.ok_or_else(|| SpecError::NoAddress(who.to_owned()))?);
            }
        }
        Ok(())
    }
}

/// All addresses that the inventory's endpoints say.
fn literals(inventory: &Inventory) -> impl Iterator<Item = IpAddr> + '_ {
    let interfaces = inventory.hosts.iter().flat_map(|host| &host.interfaces);
    let own = interfaces.flat_map(|i| i.settings.endpoint.iter().chain(&i.settings.local_endpoint));
    let peers = inventory.peers.iter().filter_map(|peer| peer.settings.endpoint.as_ref());
    own.chain(peers).filter_map(|e| e.value.socket_addr()).map(|addr| addr.ip())
}

/// The literal addresses of a host's endpoints, each once.
fn endpoints<'a>(
    interfaces: &'a [HostInterface],
    which: impl Fn(&'a HostInterface) -> Option<&'a Declared<Endpoint>>,
) -> Vec<IpAddr> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for interface in interfaces {
        if let Some(addr) = which(interface).and_then(|e| e.value.socket_addr())
            && !addresses.contains(&addr.ip())
        {
            addresses.push(addr.ip());
        }
    }
    addresses
}

/// The prefix of the management segment: one that the inventory does not use.
fn management(inventory: &Inventory) -> Result<Ipv4Net, SpecError> {
    let used: Vec<IpNet> = inventory
        .networks
        .iter()
        .flat_map(|network| &network.prefixes)
        .chain(inventory.sites.iter().flat_map(|site| &site.subnets))
        .chain(inventory.hosts.iter().flat_map(|host| &host.subnets))
        .chain(inventory.peers.iter().flat_map(|peer| &peer.settings.subnets))
        .map(|net| net.value)
        .chain(literals(inventory).map(IpNet::from))
        .collect();
    let free = MANAGEMENT.iter().filter_map(|text| text.parse::<Ipv4Net>().ok());
    free.into_iter()
        .find(|net| !used.iter().any(|used| overlap(used, &IpNet::V4(*net))))
        .ok_or_else(|| SpecError::NoAddress("the management segment".to_owned()))
}

impl Spec {
    /// The twin of an inventory.
    ///
    /// Names are not yet topology: what the lab needs of an inventory is where its hosts stand, so
    /// a fleet that the checker would refuse can be raised too.
    ///
    /// # Errors
    /// [`SpecError`] where two hosts cannot be told apart, or addresses run out.
    pub fn from_inventory(inventory: &Inventory) -> Result<Self, SpecError> {
        let mut addresses = Addresses::new(inventory)?;
        let management = management(inventory)?;
        let internet: Vec<IpAddr> = INTERNET
            .iter()
            .filter_map(|family| {
                let all = family.iter().filter_map(|text| text.parse().ok());
                all.into_iter().find(|addr| !addresses.taken.contains(addr))
            })
            .collect();
        addresses.taken.extend(&internet);

        let mut routers = routers(inventory, &mut addresses)?;
        let mut lans = Lans::default();
        lans.of_sites(inventory)?;
        let mut hosts = Vec::new();
        for (index, host) in inventory.hosts.iter().enumerate() {
            let router = match host.site {
                Some(site) => site + 1,
                None => own_router(host, &mut routers, &mut addresses)?,
            };
            let uplink = uplink(inventory, host, router, &mut routers, &mut addresses)?;
            let address = nth(&IpNet::V4(management), index as u128 + 2);
            let Some(IpAddr::V4(address)) = address else {
                return Err(SpecError::NoAddress("the management segment".to_owned()));
            };
            lans.of_host(host)?;
            hosts.push(HostSpec {
                name: host.name.value.clone(),
                ssh: Some(vec![host.ssh.value.host().to_owned()]),
                login: match host.settings.r#become.get() {
                    Become::Sudo | Become::Doas => Login::Ops,
                    Become::Auto | Become::None => Login::Root,
                },
                uplink,
                management: address,
                lans: lans.attach(host),
                loopback: loopback(inventory, host),
                init: Init::Plain,
                hide: Vec::new(),
            });
        }
        roaming(inventory, management, &mut hosts, &mut routers, &mut addresses)?;
        let spec = Self {
            name: inventory.fleet.value.clone(),
            names: names(inventory, &hosts, &routers, &lans),
            users: users(inventory),
            hosts,
            routers,
            lans: lans.segments,
            internet,
            management,
        };
        spec.distinct()?;
        Ok(spec)
    }

    /// The same lab under another name.
    #[must_use]
    pub fn named(self, name: FleetName) -> Self {
        Self { name, ..self }
    }

    /// Refuses hosts that the lab could not tell apart.
    fn distinct(&self) -> Result<(), SpecError> {
        let mut public: HashMap<IpAddr, &HostName> = HashMap::new();
        let mut aliases: HashMap<&str, &HostName> = HashMap::new();
        for host in &self.hosts {
            for addr in host.uplink.addresses.iter().filter(|_| !host.uplink.nat) {
                if let Some(other) = public.insert(*addr, &host.name) {
                    let (a, b) = (other.clone(), host.name.clone());
                    return Err(SpecError::SharedAddress { a, b, addr: *addr });
                }
            }
            let known = host.ssh.iter().flatten().map(String::as_str).chain([host.name.as_str()]);
            for ssh in known {
                if let Some(other) = aliases.insert(ssh, &host.name)
                    && *other != host.name
                {
                    let (a, b) = (other.clone(), host.name.clone());
                    return Err(SpecError::SharedSsh { a, b, ssh: ssh.to_owned() });
                }
            }
        }
        Ok(())
    }
}

/// `internet`, then one router for each site.
fn routers(inventory: &Inventory, addresses: &mut Addresses) -> Result<Vec<Router>, SpecError> {
    let mut gateways = Vec::new();
    addresses.fill(&mut gateways, false, "the router `internet`")?;
    let mut routers =
        vec![Router { name: "internet".into(), gateways, uplink: None, forwards: Vec::new() }];
    for (index, site) in inventory.sites.iter().enumerate() {
        let name = format!("router-{}", site.name.value);
        // The declared endpoint of a host behind NAT is an address of its router.
        let here = inventory
            .hosts
            .iter()
            .filter(|host| host.settings.nat.get() && host.site == Some(index));
        let mut own: Vec<IpAddr> = Vec::new();
        for addr in
            here.flat_map(|host| endpoints(&host.interfaces, |i| i.settings.endpoint.as_ref()))
        {
            if !own.contains(&addr) {
                own.push(addr);
            }
        }
        addresses.fill(&mut own, false, &name)?;
        let gateways = [Family::V4, Family::V6]
            .iter()
            .filter_map(|f| own.iter().find(|addr| Family::of_addr(addr) == *f).copied())
            .collect();
        let mtu = site.underlay.mtu.as_ref().map_or(1500, |mtu| mtu.value.get());
        let uplink = Cabling { router: 0, addresses: own, local: Vec::new(), mtu, nat: false };
        routers.push(Router { name, gateways, uplink: Some(uplink), forwards: Vec::new() });
    }
    Ok(routers)
}

/// The router of a host without a site: such a host is at a place of its own, behind a NAT of its own where
/// it is behind one.
fn own_router(
    host: &Host,
    routers: &mut Vec<Router>,
    addresses: &mut Addresses,
) -> Result<usize, SpecError> {
    if !host.settings.nat.get() {
        return Ok(0);
    }
    let name = format!("router-{}", host.name.value);
    // The name of the one of unmanaged peers is taken.
    let taken = name == ROAMING || routers.iter().any(|router| router.name == name);
    let name = if taken { format!("{name}-nat") } else { name };
    let mut own = endpoints(&host.interfaces, |i| i.settings.endpoint.as_ref());
    addresses.fill(&mut own, false, &name)?;
    let gateways = [Family::V4, Family::V6]
        .iter()
        .filter_map(|f| own.iter().find(|addr| Family::of_addr(addr) == *f).copied())
        .collect();
    let uplink = Cabling { router: 0, addresses: own, local: Vec::new(), mtu: 1500, nat: false };
    routers.push(Router { name, gateways, uplink: Some(uplink), forwards: Vec::new() });
    Ok(routers.len() - 1)
}

/// A host's cable to its router, and the port-forwards that its endpoints imply.
fn uplink(
    inventory: &Inventory,
    host: &Host,
    router: usize,
    routers: &mut [Router],
    addresses: &mut Addresses,
) -> Result<Cabling, SpecError> {
    let mut own = if host.settings.nat.get() {
        Vec::new()
    } else {
        endpoints(&host.interfaces, |i| i.settings.endpoint.as_ref())
    };
    // A private address means something at its own site only, unless a private net joins several.
    let site = host.site.map(|site| &inventory.sites[site]);
    let apart = site.is_some_and(|site| site.underlay.name.is_none());
    let inner: Vec<IpAddr> = own.extract_if(.., |addr| apart && is_private(*addr)).collect();
    addresses.fill(&mut own, host.settings.nat.get(), host.name.value.as_str())?;
    let in_lan = |addr: &IpAddr| host.subnets.iter().any(|net| net.value.contains(addr));
    let local = endpoints(&host.interfaces, |i| i.settings.local_endpoint.as_ref());
    let mut all: Vec<IpAddr> = Vec::new();
    for addr in inner.into_iter().chain(local) {
        if !own.contains(&addr) && !all.contains(&addr) && !in_lan(&addr) {
            all.push(addr);
        }
    }
    let local = all;
    let cabling =
        Cabling { router, addresses: own, local, mtu: 1500, nat: host.settings.nat.get() };
    if host.settings.nat.get() {
        for interface in &host.interfaces {
            let Some(endpoint) = &interface.settings.endpoint else { continue };
            let router = &mut routers[router];
            let public = match &endpoint.value.host {
                EndpointHost::Addr(addr) => *addr,
                EndpointHost::Name(_) => match router.gateways.first() {
                    Some(addr) => *addr,
                    None => continue,
                },
            };
            let Some(to) = cabling.source(Family::of_addr(&public)) else { continue };
            let from_port = endpoint.value.port;
            let to_port =
                interface.settings.listen_port.as_ref().map_or(from_port, |port| port.value);
            router.forwards.push(Forward { from: public, from_port, to, to_port });
        }
    }
    Ok(cabling)
}

/// The LANs, and who stands in them.
#[derive(Default)]
struct Lans {
    segments: Vec<Lan>,
    taken: Vec<HashSet<IpAddr>>,
    by_site: HashMap<usize, Vec<usize>>,
    by_host: HashMap<HostName, Vec<usize>>,
    counts: BTreeMap<String, usize>,
    addresses: HashMap<(HostName, usize), IpNet>,
}

impl Lans {
    /// The LANs of all sites that have a gateway.
    fn of_sites(&mut self, inventory: &Inventory) -> Result<(), SpecError> {
        for (index, site) in inventory.sites.iter().enumerate() {
            let here: Vec<&Host> =
                inventory.hosts.iter().filter(|host| host.site == Some(index)).collect();
            if !here.iter().any(|host| host.settings.gateway.get()) {
                continue;
            }
            for net in site.subnets.iter().filter(|net| wide(&net.value)) {
                let lan = self.segment(site.name.value.as_str(), net.value, &here)?;
                self.by_site.entry(index).or_default().push(lan);
            }
        }
        Ok(())
    }

    /// The LANs behind one host.
    fn of_host(&mut self, host: &Host) -> Result<(), SpecError> {
        for net in host.subnets.iter().filter(|net| wide(&net.value)) {
            let lan = self.segment(host.name.value.as_str(), net.value, &[host])?;
            self.by_host.entry(host.name.value.clone()).or_default().push(lan);
        }
        Ok(())
    }

    /// Adds a segment: gateways at the start of the prefix, the client further up.
    fn segment(&mut self, owner: &str, net: IpNet, here: &[&Host]) -> Result<usize, SpecError> {
        let index = self.segments.len();
        let count = self.counts.entry(owner.to_owned()).or_default();
        *count += 1;
        let name = format!("lan-{owner}-{count}");
        let full = || SpecError::NoAddress(name.clone());
        let of = |addr| IpNet::new(addr, net.prefix_len()).map_err(|_| full());
        let mut taken = HashSet::new();
        // Declared addresses first, so that none of them is handed out.
        let declared = |host: &Host| {
            let local = endpoints(&host.interfaces, |i| i.settings.local_endpoint.as_ref());
            local.into_iter().find(|addr| net.contains(addr))
        };
        let mut gateway = None;
        for host in here {
            if let Some(addr) = declared(host) {
                taken.insert(addr);
                self.addresses.insert((host.name.value.clone(), index), of(addr)?);
            }
        }
        for host in here {
            // A host that is asked for by name in `of_host` routes its own subnets.
            if !(host.settings.gateway.get() || here.len() == 1) {
                continue;
            }
            let key = (host.name.value.clone(), index);
            let addr = if let Some(net) = self.addresses.get(&key) {
                net.addr()
            } else {
                let addr = take_near(&net, 1, &mut taken).ok_or_else(full)?;
                self.addresses.insert(key, of(addr)?);
                addr
            };
            gateway.get_or_insert(addr);
        }
        let client = take_near(&net, 100, &mut taken).ok_or_else(full)?;
        let client = of(client)?;
        let gateway = gateway.ok_or_else(full)?;
        self.segments.push(Lan { name, subnet: net, client, gateway });
        self.taken.push(taken);
        Ok(index)
    }

    /// The LANs that a host stands in, with its address in each.
    fn attach(&self, host: &Host) -> Vec<(usize, IpNet)> {
        let site = host.site.and_then(|site| self.by_site.get(&site)).into_iter().flatten();
        let own = self.by_host.get(&host.name.value).into_iter().flatten();
        site.chain(own)
            .filter_map(|lan| {
                self.addresses.get(&(host.name.value.clone(), *lan)).map(|addr| (*lan, *addr))
            })
            .collect()
    }
}

/// Whether a prefix has room for a gateway and a client.
fn wide(net: &IpNet) -> bool {
    net.prefix_len() < net.max_prefix_len()
}

/// The addresses behind a host that are a whole prefix each.
fn loopback(inventory: &Inventory, host: &Host) -> Vec<IpAddr> {
    let site = host
        .site
        .filter(|_| host.settings.gateway.get())
        .map(|site| &inventory.sites[site].subnets);
    let all = host.subnets.iter().chain(site.into_iter().flatten());
    all.filter(|net| !wide(&net.value)).map(|net| net.value.addr()).collect()
}

/// Unmanaged peers: hosts without sshd; those without an endpoint share one NAT, like phones.
fn roaming(
    inventory: &Inventory,
    management: Ipv4Net,
    hosts: &mut Vec<HostSpec>,
    routers: &mut Vec<Router>,
    addresses: &mut Addresses,
) -> Result<(), SpecError> {
    if inventory.peers.is_empty() {
        return Ok(());
    }
    let mut own = Vec::new();
    addresses.fill(&mut own, false, "the router of roaming peers")?;
    let roaming = routers.len();
    routers.push(Router {
        name: ROAMING.into(),
        gateways: own.clone(),
        uplink: Some(Cabling {
            router: 0,
            addresses: own,
            local: Vec::new(),
            mtu: 1500,
            nat: false,
        }),
        forwards: Vec::new(),
    });
    for peer in &inventory.peers {
        let literal = peer.settings.endpoint.as_ref().and_then(|e| e.value.socket_addr());
        let nat = peer.settings.endpoint.is_none();
        let mut own: Vec<IpAddr> = literal.into_iter().map(|addr| addr.ip()).collect();
        addresses.fill(&mut own, nat, peer.name.value.as_str())?;
        let router = if nat { roaming } else { 0 };
        let address = nth(&IpNet::V4(management), hosts.len() as u128 + 2);
        let Some(IpAddr::V4(address)) = address else {
            return Err(SpecError::NoAddress("the management segment".to_owned()));
        };
        hosts.push(HostSpec {
            name: peer.name.value.clone(),
            ssh: None,
            login: Login::Root,
            uplink: Cabling { router, addresses: own, local: Vec::new(), mtu: 1500, nat },
            management: address,
            lans: Vec::new(),
            loopback: peer
                .settings
                .subnets
                .iter()
                .filter_map(|net| nth(&net.value, u128::from(wide(&net.value))))
                .collect(),
            init: Init::Plain,
            hide: Vec::new(),
        });
    }
    Ok(())
}

/// The DNS name of an endpoint that has one.
fn dns_name(endpoint: Option<&Declared<Endpoint>>) -> Option<&str> {
    match &endpoint?.value.host {
        EndpointHost::Name(name) => Some(name),
        EndpointHost::Addr(_) => None,
    }
}

/// What /etc/hosts says: every endpoint and every host by name, IPv4 only, so that each name has
/// one meaning whatever the resolver prefers.
fn names(
    inventory: &Inventory,
    hosts: &[HostSpec],
    routers: &[Router],
    lans: &Lans,
) -> Vec<(String, IpAddr)> {
    let mut known = HashSet::new();
    let mut names: Vec<(String, IpAddr)> = Vec::new();
    let mut say = |name: &str, addr: Option<IpAddr>| {
        if let Some(addr) = addr
            && known.insert(name.to_owned())
        {
            names.push((name.to_owned(), addr));
        }
    };
    for (host, spec) in inventory.hosts.iter().zip(hosts) {
        let own = spec.uplink.source(Family::V4);
        // Behind NAT it is the router that forwards a port.
        let public = if host.settings.nat.get() {
            routers[spec.uplink.router].gateways.first().copied()
        } else {
            own
        };
        for interface in &host.interfaces {
            if let Some(name) = dns_name(interface.settings.endpoint.as_ref()) {
                say(name, public);
            }
            if let Some(name) = dns_name(interface.settings.local_endpoint.as_ref()) {
                say(name, lans.attach(host).first().map(|(_, net)| net.addr()).or(own));
            }
        }
    }
    for (peer, spec) in inventory.peers.iter().zip(&hosts[inventory.hosts.len()..]) {
        if let Some(name) = dns_name(peer.settings.endpoint.as_ref()) {
            say(name, spec.uplink.source(Family::V4));
        }
    }
    for host in hosts {
        say(host.name.as_str(), host.uplink.source(Family::V4));
    }
    names
}

#[cfg(test)]
#[path = "derive_tests.rs"]
mod tests;
