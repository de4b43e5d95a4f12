//! What keeps a host from being changed, as programs read it.

use super::*;
use crate::model::schema::assert_reasons;

#[test]
fn every_obstacle_has_a_kind_and_survives_its_json() {
    let (host, other): (HostName, HostName) = ("b7".parse().unwrap(), "b8".parse().unwrap());
    let interface: InterfaceName = "wg0".parse().unwrap();
    let ssh: SshTarget = "root@192.0.2.8".parse().unwrap();
    let said = |text: &str| Untrusted::new(text);
    let owner = |host: &HostName| Owner { host: host.clone(), fleet: "acme".parse().unwrap() };
    assert_reasons(&[
        Obstacle::Armed { change: said("c1") },
        Obstacle::Unobserved { reason: Unanswered::Login { said: said("no route") } },
        Obstacle::NoBinary { machine: said("riscv64"), hint: "name a folder".to_owned() },
        Obstacle::NoKernelWireguard,
        Obstacle::NoWireguardGo,
        Obstacle::NoTun,
        Obstacle::TakenByKernel { interface: interface.clone(), backend: Backend::Auto },
        Obstacle::NoUnit { interface: interface.clone() },
        Obstacle::NoResolvconf { interface: interface.clone() },
        Obstacle::NoNft,
        Obstacle::NoIp,
        Obstacle::NoFile { path: said("/etc/x"), is: PathKind::Folder },
        Obstacle::OtherHost {
            ssh: ssh.clone(),
            host: host.clone(),
            other: other.clone(),
            because: said("so says /etc/x"),
        },
        Obstacle::OtherMachine {
            ssh,
            host: host.clone(),
            record: said("ann@ctl"),
            path: "/var/lib/x".to_owned(),
        },
        Obstacle::NewerRecord { host: host.clone(), found: 9 },
        Obstacle::SharedMachine { host: host.clone(), other: other.clone() },
        Obstacle::InterfaceTaken {
            interface: interface.clone(),
            owner: owner(&other),
            wanted: owner(&host),
        },
        Obstacle::PortTaken {
            port: Port::DEFAULT,
            by: "wg1".parse().unwrap(),
            owner: owner(&other),
            interface,
            wanted: owner(&host),
        },
        Obstacle::UnreadWhenPlanned,
        Obstacle::BlockedWhenPlanned,
    ]);
}
