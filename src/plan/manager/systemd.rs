//! Units of systemd.

use super::units::{Step, Units};
use crate::model::{InterfaceName, UnitName};
use crate::observed::LiveBackend;
use crate::plan::helper::HELPER_FOLDER;
use crate::plan::{Obstacle, Op};

/// Where units and their drop-ins are.
pub(super) const FOLDER: &str = "/etc/systemd/system/";

/// systemd as PID 1.
#[derive(Debug)]
pub(super) struct Systemd;

impl Units for Systemd {
    fn folder(&self) -> &'static str {
        FOLDER
    }

    fn reads_now(&self, path: &str, goes: bool) -> bool {
        !goes || path.contains(".service.d/")
    }

    fn reload(&self) -> Op {
        Op::Reload
    }

    fn operation(&self, step: Step, unit: UnitName) -> Op {
        match step {
            Step::Unmask => Op::Unmask { unit },
            Step::Enable => Op::Enable { unit },
            Step::Disable => Op::Disable { unit },
            Step::Start => Op::Start { unit },
            Step::Restart => Op::Restart { unit },
            Step::Stop => Op::Stop { unit },
        }
    }
}

/// Why there can be no unit for an interface.
pub(super) fn refuses(interface: &InterfaceName) -> Option<Obstacle> {
    let refused = interface.as_str().contains(['=', '+']);
    refused.then(|| Obstacle::NoUnit { interface: interface.clone() })
}

/// The line that says what wg-quick(8), or what stands in for it, starts where the kernel has no
/// `WireGuard`; `otherwise`: what it starts without a word, if that is what is wanted.
pub(super) fn environment(backend: LiveBackend, otherwise: bool) -> String {
    let program = match backend {
        LiveBackend::Embedded => format!("{HELPER_FOLDER}/wgfleet-tunnel"),
        LiveBackend::Userspace if !otherwise => "wireguard-go".to_owned(),
        LiveBackend::Userspace | LiveBackend::Kernel => return String::new(),
    };
    format!("Environment=WG_QUICK_USERSPACE_IMPLEMENTATION={program}\n")
}

/// The line that loads rules once the interface is up, where there are some.
pub(super) fn after_start(rules: Option<&str>) -> String {
    rules.map_or_else(String::new, |file| format!("ExecStartPost=-/usr/sbin/nft -f {file}\n"))
}
