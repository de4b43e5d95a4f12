//! Every file that the examples render is taken by the real `wg-quick strip` and `wg setconf`.
//!
//! Needs root, /dev/net/tun, wireguard-tools and wireguard-go; works in a network and mount
//! namespace of its own.

#[path = "laws/vault.rs"]
#[expect(dead_code, reason = "this program uses a part of the made-up vault")]
mod vault;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use wgfleet::fleet::load::load;
use wgfleet::model::{HostName, NetworkName};
use wgfleet::{desired, topology};

use vault::{Vault, render};

/// $1: folder with the files and a hosts file. Names are resolved from that alone.
const TAKE: &str = r#"
set -eu
cd "$1"
mount -t tmpfs none /run
# Not over the file itself: a bare system may have none.
mkdir /run/upper /run/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/upper,workdir=/run/work none /etc
cp hosts /etc/hosts
mkdir -p /run/wireguard
export WG_ENDPOINT_RESOLUTION_RETRIES=1
wireguard-go probe0 2>/dev/null
for f in */*.conf; do
    wg-quick strip "$PWD/$f" > stripped
    wg setconf probe0 stripped || { echo "refused: $f"; cat stripped; exit 1; }
    # Nothing was lost on the way: as many peers, and as many prefixes.
    peers=$(grep -c '^\[Peer\]' "$f" || :)
    prefixes=$(sed -n 's/^AllowedIPs = //p' "$f" | tr ',' '\n' | grep -c . || :)
    [ "$(wg show probe0 peers | grep -c . || :)" = "$peers" ] || { echo "peers: $f"; exit 1; }
    [ "$(wg show probe0 allowed-ips | cut -f 2 | tr ' ' '\n' | grep -c / || :)" = "$prefixes" ] || { echo "prefixes: $f"; exit 1; }
done
ip link del probe0
"#;

#[test]
fn the_real_tools_take_every_rendered_file() {
    for tool in ["unshare", "wg", "wg-quick", "wireguard-go", "ip"] {
        let found = Command::new("sh").args(["-c", "command -v \"$1\"", "sh", tool]).output();
        let found = found.is_ok_and(|found| found.status.success());
        assert!(found, "this test needs {tool}: run `make test`, which installs it");
    }
    assert!(Path::new("/dev/net/tun").exists(), "this test needs /dev/net/tun");
    let folder = tempfile::tempdir().expect("a folder");
    let vault = Vault { generation: 0, epoch: 1 };
    let mut hosts = String::from("127.0.0.1 localhost\n");
    let mut files = 0;
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for entry in fs::read_dir(examples).expect("the examples are there") {
        let path = entry.expect("an entry").path();
        if !path.join("fleet.yaml").exists() {
            continue;
        }
        let loaded = load(&path).expect("it can be read");
        let inventory = loaded.inventory.expect("an inventory");
        let addresses =
            |network: &NetworkName, name: &HostName| loaded.lock.address(network, name).to_vec();
        let topology = topology::build(&inventory, &addresses);
        let (state, missing) = desired::build(&inventory, &topology, &vault);
        assert!(missing.is_empty());
        for host in state.hosts.iter().chain(&state.issued) {
            let own = folder.path().join(format!("{}-{}", state.fleet, host.name));
            fs::create_dir(&own).expect("a folder");
            for (name, file) in render(&state, host, &vault).files {
                let path = own.join(format!("{name}.conf"));
                fs::write(&path, file.content.as_bytes()).expect("written");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("closed");
                files += 1;
            }
            for peer in host.interfaces.iter().flat_map(|i| i.peers.values()) {
                if let Some(endpoint) = &peer.endpoint {
                    let text = endpoint.to_string();
                    let name = text.rsplit_once(':').expect("a port").0;
                    let _ = writeln!(hosts, "192.0.2.1 {name}");
                }
            }
        }
    }
    assert!(files >= 15, "{files} files");
    fs::write(folder.path().join("hosts"), hosts).expect("written");
    let taken = Command::new("unshare")
        .args([
            "--mount",
            "--net",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "sh",
            "-c",
            TAKE,
            "sh",
        ])
        .arg(folder.path())
        .output()
        .expect("unshare runs");
    let (said, errors) =
        (String::from_utf8_lossy(&taken.stdout), String::from_utf8_lossy(&taken.stderr));
    assert!(taken.status.success(), "needs root; {said}{errors}");
}
