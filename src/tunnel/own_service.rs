//! A tunnel's own service of systemd: it belongs to no login and to no unit that only configures it, and
//! when it dies, what configured it does so anew.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::model::InterfaceName;

/// Where systemd's manager listens; only in its own network namespace is it in the list of sockets.
const MANAGER: &str = "/run/systemd/private";

/// How often a service of the same name that still ends is looked at.
const PATIENCE: u32 = 50;
/// How long to wait in between.
const PAUSE: Duration = Duration::from_millis(100);

/// Starts a tunnel as a service; `false`: not here, or it did not start, and the caller is to start it
/// itself, which also says why.
pub(super) fn start(interface: &InterfaceName, binary: &Path, arguments: &[OsString]) -> bool {
    let unit = unit(interface);
    // Read as bytes: somebody else's socket may have any name.
    let read = |path| std::fs::read(path).unwrap_or_default();
    let cgroup = read("/proc/self/cgroup");
    if !Path::new("/run/systemd/system").is_dir()
        || is_in(&String::from_utf8_lossy(&cgroup), &unit)
        || !is_listed(&String::from_utf8_lossy(&read("/proc/self/net/unix")))
    {
        return false;
    }
    for _ in 0..PATIENCE {
        if !says("systemctl", &["is-active", &unit], &["deactivating", "activating"]) {
            break;
        }
        std::thread::sleep(PAUSE);
    }
    let mut command = Command::new("systemd-run");
    command.args(options(interface, &unit, binary)).arg("--").arg(binary).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// The service's name. systemd refuses some that interfaces may have (`wg+a`).
fn unit(interface: &InterfaceName) -> String {
    format!("wgfleet-userspace@{interface}.service")
}

/// Whether a process with these control groups is in that unit.
fn is_in(groups: &str, unit: &str) -> bool {
    groups.lines().any(|line| line.rsplit('/').next() == Some(unit))
}

/// Whether the manager listens in the namespace of this list (`/proc/self/net/unix`): a tunnel that is
/// started in another one would come up in the wrong place.
fn is_listed(sockets: &str) -> bool {
    sockets.lines().any(|line| line.split_ascii_whitespace().last() == Some(MANAGER))
}

/// Whether a program's output is one of these words.
fn says(program: &str, arguments: &[&str], words: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    output.is_ok_and(|output| words.contains(&String::from_utf8_lossy(&output.stdout).trim()))
}

/// What `wgfleet tunnel --ended` does once the service has ended: where it failed, the unit that gave the
/// tunnel its keys and addresses starts again. A tunnel alone has neither.
pub fn ended(interface: &InterfaceName) {
    // systemd.exec(5).
    if std::env::var_os("SERVICE_RESULT").is_none_or(|result| result == "success") {
        return;
    }
    for unit in [format!("wg-quick@{interface}.service"), format!("wgfleet-{interface}.service")] {
        if says("systemctl", &["is-active", &unit], &["active"]) {
            let mut command = Command::new("systemctl");
            command.args(["restart", "--no-block", &unit]).stdin(Stdio::null());
            if let Err(error) = command.status() {
                tracing::error!("{unit} was not started again: {error}");
            }
        }
    }
}

fn options(interface: &InterfaceName, unit: &str, binary: &Path) -> Vec<String> {
    let unit = format!("--unit={unit}");
    let description = format!("--description=WireGuard tunnel {interface} by wgfleet");
    let run = ["-q", "--collect", "--service-type=forking", &unit, &description];
    let mut properties: Vec<String> =
        CONFINED.lines().map(|property| format!("--property={property}")).collect();
    // systemd has rules of its own for what stands in a command line.
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if let Some(path) = binary.to_str().filter(|path| path.chars().all(plain)) {
        properties.push(format!("--property=ExecStopPost={path} tunnel --ended -- {interface}"));
    }
    run.map(str::to_owned).into_iter().chain(properties).collect()
}

/// What the tunnel does not need even before it confines itself (docs/security.md).
const CONFINED: &str = "\
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_SETPCAP CAP_SYS_CHROOT
LimitCORE=0
LockPersonality=yes
MemoryDenyWriteExecute=yes
Nice=-10
NoNewPrivileges=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
StateDirectory=wgfleet
StateDirectoryMode=0700
SystemCallArchitectures=native";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_unit_is_known_by_the_last_part_of_the_group() {
        let unit = unit(&"wg0".parse().unwrap());
        assert!(is_in(
            "0::/system.slice/system-wgfleet\\x2duserspace.slice/wgfleet-userspace@wg0.service\n",
            &unit
        ));
        assert!(is_in("2:cpu:/\n1:name=systemd:/a/wgfleet-userspace@wg0.service\n", &unit));
        for other in [
            "",
            "0::/\n",
            "0::/system.slice/wg-quick@wg0.service\n",
            "0::/wgfleet-userspace@wg0.service/sub\n",
            "0::/wgfleet-userspace@wg01.service\n",
        ] {
            assert!(!is_in(other, &unit), "{other}");
        }
    }

    #[test]
    fn the_manager_is_found_among_the_sockets_of_its_namespace() {
        let head = "Num       RefCount Protocol Flags    Type St Inode Path\n";
        let line = "0000000000000000: 00000002 00000000 00010000 0001 01  1234 ";
        assert!(is_listed(&format!("{head}{line}@abstract\n{line}/run/systemd/private\n")));
        assert!(!is_listed(head));
        assert!(!is_listed(&format!("{head}{line}/tmp/run/systemd/private\n{line}\n")));
    }
}
