//! The main job where it gets rough: other users, jump hosts, lost power, lost ways in, new keys
//! under traffic, and what others can see meanwhile.
//!
//! Each test raises a lab of its own with the real ssh, systemd, wg-quick and wireguard-go. Needs
//! root, /dev/net/tun, openssh-server, sudo, doas, systemd, wireguard-tools, wireguard-go,
//! nftables, iproute2, iputils-ping and age.

mod asked;
mod back;
mod bare;
mod bastion;
mod confirming;
mod fleet;
mod full_tunnel;
mod interrupted;
mod logins;
mod meanwhile;
mod phone;
mod rolled_back;
mod rotation;
mod secrets;
#[path = "../support/mod.rs"]
mod support;
mod systemd;
mod takeover;
mod users;
mod watch;

use support::documents;
