//! A host for the script: namespaces of its own, with interfaces, rules and files that are there
//! before.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Namespaces with tmpfs over everything that the script writes to.
pub(crate) struct Sandbox {
    unshare: Child,
    /// PID 1 of the sandbox, as the outside sees it.
    init: u32,
    shell: &'static str,
}

/// Keys of the interfaces and peers that are there before.
pub(crate) const KEYS: [&str; 5] = [
    "eFZ4EjRWeBI0VngSNFZ4EjRWeBI0VngSNFZ4EjRWeFI=",
    "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=",
    "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=",
    "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=",
    "QEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEA=",
];

const SETUP: &str = r##"
set -e
for dir in /run /etc/wireguard /etc/sysctl.d /etc/systemd/system /usr/local/lib /var/lib; do
    mkdir -p $dir; mount -t tmpfs -o mode=755 none $dir
done
mkdir -p /run/wireguard /etc/systemd/system/kept.service.d
ip link set lo up
echo 0 > /proc/sys/net/ipv4/ip_forward
echo 0 > /proc/sys/net/ipv6/conf/all/forwarding
cd /etc/wireguard
umask 077
cat > wg0.conf <<END
[Interface]
PrivateKey = $K0
ListenPort = 51900
[Peer]
PublicKey = $K1
PresharedKey = $K3
AllowedIPs = 10.9.0.2/32, 192.168.50.0/24
Endpoint = 127.0.0.1:51901
[Peer]
PublicKey = $K2
AllowedIPs = 10.9.0.3/32
PersistentKeepalive = 25
END
cat > wg1.conf <<END
[Interface]
PrivateKey = $K4
ListenPort = 51908
Address = 10.8.0.1/24
MTU = 1380
[Peer]
PublicKey = $K1
AllowedIPs = 10.8.0.2/32, 172.20.0.0/16
END
echo "# Managed by wgfleet" > old.conf; chmod 640 old.conf
echo loose > loose.conf; chmod 644 loose.conf
mkdir empty; chmod 750 empty
ln -s wg1.conf link.conf
wireguard-go wg0 2>/dev/null
wg setconf wg0 wg0.conf
ip addr add 10.9.0.1/24 dev wg0
ip addr add 10.9.0.7/24 dev wg0
ip addr add fd09::1/64 dev wg0
ip link set wg0 mtu 1400 up
ip route add 192.168.50.0/24 dev wg0 metric 7
ip route add 10.99.0.0/16 dev wg0 table 77 src 10.9.0.7
ip -6 route add default dev wg0 table 78
WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go wg-quick up wg1 2>/dev/null
wireguard-go wg5 2>/dev/null
printf '[Interface]\nPrivateKey = %s\nListenPort = 51905\n' $K3 > /run/wg5; wg setconf wg5 /run/wg5; rm /run/wg5
ip addr add 10.7.0.1/24 dev wg5; ip link set wg5 up
nft -f - <<END
table inet wgfleet {
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        oifname != "wg0" ip saddr 10.9.0.0/24 masquerade comment "wgfleet-0123"
    }
}
table inet mine { chain input { type filter hook input priority 0; policy accept; }; }
END
"##;

/// All that a change may touch, as text that does not vary by itself.
const STATE: &str = r#"
for i in $(wg show interfaces | tr ' ' '\n' | sort); do echo "== $i"; wg showconf $i | sort; done
ip -o link | sed 's/^[0-9]*: //; s/ qdisc.*//' | sort
ip -o addr | sed 's/^[0-9]*: //; s/ valid_lft.*//; s/ tentative//' | grep -v fe80: | sort
ip -4 route show table all | sort
ip -6 route show table all | grep -v -e fe80: -e 'ff00::/8' -e anycast | sort
ip rule; ip -6 rule
cat /proc/sys/net/ipv4/conf/all/src_valid_mark
nft list tables | sort | while read -r t; do nft list $t; done
cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding
find /etc/wireguard /etc/sysctl.d /etc/systemd/system /usr/local/lib | sort | while read -r f; do
    stat -c '%n %F %a %u %g' "$f"; [ ! -f "$f" ] || sha256sum < "$f"
done
find /run/wireguard | sort
find /run/wgfleet 2>/dev/null | grep -v -e host.sh -e reverted -e '^/run/wgfleet$' | sort
"#;

fn require() {
    let missing: Vec<&str> =
        ["unshare", "nsenter", "wg", "wg-quick", "wireguard-go", "ip", "nft", "setsid"]
            .into_iter()
            .filter(|tool| {
                let found =
                    Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool]).output();
                !found.is_ok_and(|found| found.status.success())
            })
            .collect();
    assert!(missing.is_empty(), "this test needs {missing:?}: run `scripts/setup.sh test`");
    assert!(Path::new("/dev/net/tun").exists(), "this test needs /dev/net/tun");
    let user = Command::new("id").arg("-u").output().expect("id runs");
    assert_eq!(user.stdout, b"0\n", "this test makes namespaces and has to run as root");
}

impl Sandbox {
    pub(crate) fn new(shell: &'static str) -> Self {
        require();
        let unshare = Command::new("unshare")
            .args([
                "--mount",
                "--net",
                "--pid",
                "--fork",
                "--mount-proc",
                "--kill-child",
                "sleep",
                "infinity",
            ])
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare starts");
        let children = format!("/proc/{0}/task/{0}/children", unshare.id());
        let end = Instant::now() + Duration::from_secs(5);
        let init = loop {
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            let child = text.split_whitespace().next().and_then(|pid| pid.parse::<u32>().ok());
            let ready = child.filter(|pid| {
                std::fs::read(format!("/proc/{pid}/cmdline"))
                    .is_ok_and(|line| line.starts_with(b"sleep"))
            });
            if let Some(pid) = ready {
                break pid;
            }
            assert!(
                Instant::now() < end,
                "the namespaces are not there: no permission to unshare?"
            );
            sleep(Duration::from_millis(10));
        };
        let sandbox = Self { unshare, init, shell };
        let mut setup = String::new();
        for (index, key) in KEYS.iter().enumerate() {
            let _ = writeln!(setup, "K{index}='{key}'");
        }
        setup.push_str(SETUP);
        let done = sandbox.sh(&setup);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        sandbox
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.init.to_string(), "-m", "-n", "-p", "--", program]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn sh(&self, script: &str) -> Output {
        self.command("sh").args(["-c", script]).output().expect("nsenter runs")
    }

    pub(crate) fn state(&self) -> String {
        String::from_utf8(self.sh(STATE).stdout).expect("text")
    }

    /// Runs a verb of the script as wgfleet does.
    pub(crate) fn start(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &(impl AsRef<[u8]> + ?Sized),
    ) -> Child {
        let script = wgfleet::remote::HOST_SCRIPT;
        let mut parts = self.shell.split(' ');
        let mut command = self.command(parts.next().expect("a shell"));
        command.args(parts).args(["-c", script, "wgfleet", script, verb]).args(words);
        let mut child = command.stdin(Stdio::piped()).spawn().expect("nsenter runs");
        // A script that ends early leaves a broken pipe.
        let _ = child.stdin.take().expect("a pipe").write_all(stdin.as_ref());
        child
    }

    pub(crate) fn host(
        &self,
        verb: &str,
        words: &[&str],
        stdin: &(impl AsRef<[u8]> + ?Sized),
    ) -> String {
        let output = self.start(verb, words, stdin).wait_with_output().expect("it ends");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(errors, "", "{verb} {words:?}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Command lines of the script that still run.
    fn running(&self) -> String {
        let list = r#"for p in /proc/[0-9]*; do c=$(tr '\0' ' ' <$p/cmdline 2>/dev/null); case $c in *host.sh\ \ *|sleep\ [0-9]*) echo "${p#/proc/} $c";; esac; done"#;
        String::from_utf8(self.sh(list).stdout).expect("text")
    }

    /// A process that was told to end takes a moment.
    pub(crate) fn wait_until_quiet(&self) {
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end && !self.running().is_empty() {
            sleep(Duration::from_millis(50));
        }
        assert_eq!(self.running(), "");
    }

    /// The same, whatever of the script still runs.
    pub(crate) fn wait_for_files(&self, wanted: &str, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end && self.state() != wanted {
            sleep(Duration::from_millis(100));
        }
        assert_same(&self.state(), wanted, "after the deadline");
    }

    pub(crate) fn wait_for_state(&self, wanted: &str, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while Instant::now() < end && (self.state() != wanted || !self.running().is_empty()) {
            sleep(Duration::from_millis(100));
        }
        assert_same(&self.state(), wanted, "after the deadline");
        assert_eq!(self.running(), "");
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // --kill-child takes PID 1 along, and PID 1 all the rest.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
    }
}

#[track_caller]
pub(crate) fn assert_same(now: &str, before: &str, what: &str) {
    if now == before {
        return;
    }
    let (now, before): (Vec<&str>, Vec<&str>) = (now.lines().collect(), before.lines().collect());
    let first = now.iter().zip(&before).find(|(now, before)| now != before);
    let gone = before.iter().filter(|line| !now.contains(line)).map(|line| format!("- {line}\n"));
    let new = now.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}\n"));
    panic!("{what}: {first:?}\n{}", gone.chain(new).collect::<String>());
}
