//! What a template of an export knows of one device.

use std::net::IpAddr;

use ipnet::IpNet;
use serde::Serialize;

use super::super::{DesiredHost, DesiredInterface, DesiredPeer};
use crate::model::{Endpoint, EndpointHost, Keepalive, Port, PublicKey};

/// One interface of a host or an unmanaged peer. Secrets are marks, which are replaced afterwards.
#[derive(Debug, Serialize)]
pub(super) struct DeviceContext<'a> {
    fleet: &'a str,
    name: &'a str,
    network: &'a str,
    interface: &'a str,
    private_key: &'a str,
    public_key: String,
    has_own_key: bool,
    addresses: Vec<String>,
    listen_port: Option<u16>,
    fwmark: Option<String>,
    mtu: u16,
    dns: &'a [String],
    dns_servers: Vec<&'a str>,
    dns_search: Vec<&'a str>,
    table: String,
    routes: Vec<String>,
    /// The default routes of a full tunnel; none without one.
    full_tunnel: Vec<String>,
    peers: Vec<PeerContext<'a>>,
}

/// A peer of that interface.
#[derive(Debug, Serialize)]
struct PeerContext<'a> {
    name: &'a str,
    public_key: String,
    preshared_key: Option<String>,
    allowed_ips: Vec<String>,
    endpoint: Option<String>,
    endpoint_host: Option<String>,
    endpoint_port: Option<u16>,
    keepalive: Option<u16>,
}

/// What an interface is to have: `private_key` and `preshared_key` are what stands for its secrets.
pub(super) fn context<'a>(
    fleet: &'a str,
    (host, own): (&'a DesiredHost, &'a DesiredInterface),
    has_own_key: bool,
    private_key: &'a str,
    preshared_key: &dyn Fn(&PublicKey) -> String,
) -> DeviceContext<'a> {
    let mut peers: Vec<PeerContext<'a>> =
        own.peers.iter().map(|(key, peer)| peer_context(key, peer, preshared_key)).collect();
    peers.sort_by_key(|peer| peer.name);
    let texts = |nets: &mut dyn Iterator<Item = IpNet>| nets.map(|net| net.to_string()).collect();
    let all = || own.peers.values().flat_map(|peer| peer.allowed_ips.iter().copied());
    let mut defaults: Vec<IpNet> =
        all().filter(|net| own.full_tunnel() && net.prefix_len() == 0).collect();
    defaults.sort();
    defaults.dedup();
    let is_server = |text: &&String| text.parse::<IpAddr>().is_ok();
    let servers = || own.dns.iter().filter(is_server);
    DeviceContext {
        fleet,
        name: host.name.as_str(),
        network: own.network.as_str(),
        interface: own.name.as_str(),
        private_key,
        public_key: own.public_key.to_string(),
        has_own_key,
        addresses: texts(&mut own.addresses.iter().copied()),
        listen_port: own.listen_port.map(Port::get),
        fwmark: own.fwmark.map(|mark| mark.to_string()),
        mtu: own.mtu.get(),
        dns: &own.dns,
        dns_servers: servers().map(String::as_str).collect(),
        dns_search: own.dns.iter().filter(|text| !is_server(text)).map(String::as_str).collect(),
        table: own.table.to_string(),
        routes: texts(&mut own.routes().into_iter().map(|(_, net)| net)),
        full_tunnel: texts(&mut defaults.into_iter()),
        peers,
    }
}

fn peer_context<'a>(
    key: &PublicKey,
    peer: &'a DesiredPeer,
    preshared_key: &dyn Fn(&PublicKey) -> String,
) -> PeerContext<'a> {
    let host_of = |endpoint: &Endpoint| match &endpoint.host {
        EndpointHost::Addr(address) => address.to_string(),
        EndpointHost::Name(name) => name.to_string(),
    };
    PeerContext {
        name: peer.name.as_str(),
        public_key: key.to_string(),
        preshared_key: peer.psk_epoch.map(|_| preshared_key(key)),
        allowed_ips: peer.allowed_ips.iter().map(ToString::to_string).collect(),
        endpoint: peer.endpoint.as_ref().map(ToString::to_string),
        endpoint_host: peer.endpoint.as_ref().map(host_of),
        endpoint_port: peer.endpoint.as_ref().map(|endpoint| endpoint.port.get()),
        keepalive: peer.keepalive.map(Keepalive::get),
    }
}
