//! A fleet with a lab and a vault of its own, for the length of one test.

use std::collections::BTreeMap;
use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::documents::document;
use crate::support::home::{Home, Ran};

/// An inventory in a folder of its own, its vault, and the lab that is its twin.
pub(crate) struct Fleet(Home);

impl Deref for Fleet {
    type Target = Home;

    fn deref(&self) -> &Home {
        &self.0
    }
}

impl Fleet {
    /// Raises the lab of an inventory and makes all keys; `options` go to `wgfleet lab up`.
    pub(crate) fn up(inventory: &str, options: &[&str]) -> Self {
        Self(Home::up(inventory, options))
    }

    /// The folder of the inventory.
    pub(crate) fn folder(&self) -> &Path {
        self.path()
    }

    /// `wgfleet` against this fleet with another ssh configuration.
    pub(crate) fn command_through(&self, ssh_config: &Path, args: &[&str]) -> Command {
        self.command_with(self.folder(), ssh_config, args)
    }

    /// Runs `wgfleet`, expects an exit code, and gives everything that it said.
    pub(crate) fn ends(&self, code: i32, args: &[&str]) -> String {
        ends(&self.command(args).output().unwrap(), code, args)
    }

    /// Runs `wgfleet` and expects it to succeed.
    pub(crate) fn done(&self, args: &[&str]) -> String {
        self.ends(0, args)
    }

    /// Applies, and expects that nothing is left to do.
    pub(crate) fn apply(&self) {
        self.done(&["apply", "--yes"]);
        self.in_order();
    }

    /// Expects an empty plan.
    pub(crate) fn in_order(&self) {
        self.done(&["plan", "--detailed-exitcode"]);
    }

    /// The plan as JSON, with the exit code.
    pub(crate) fn plan(&self, args: &[&str]) -> (i32, Value) {
        let mut all = vec!["plan", "--format", "json"];
        all.extend(args);
        let output = self.command(&all).output().unwrap();
        (output.status.code().unwrap(), document(&output.stdout))
    }

    /// The kinds of changes that the plan has, by host.
    pub(crate) fn changes(&self) -> BTreeMap<String, Vec<String>> {
        let (_, plan) = self.plan(&[]);
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let hosts = plan["hosts"].as_array().unwrap().iter();
        hosts
            .map(|host| {
                let changes = host["changes"].as_array().unwrap().iter();
                (text(&host["host"]), changes.map(|change| text(&change["change"])).collect())
            })
            .collect()
    }

    /// Replaces text in the inventory; it must be there.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let path = self.folder().join("fleet.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "the inventory has no {from:?}");
        fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Runs shell text in a node and gives what it printed, without the last newline.
    pub(crate) fn sh(&self, node: &str, script: &str) -> String {
        self.lab.ok(node, &["sh", "-c", script]).trim_end().to_owned()
    }

    /// Starts to wait in a node until shell text succeeds, looking every few milliseconds.
    pub(crate) fn watch(&self, node: &str, script: &str) -> std::process::Child {
        let text = format!("until {script}; do sleep 0.01; done");
        self.lab.spawn(node, &["sh", "-c", &text])
    }

    /// What the lab says of a node.
    fn node(&self, name: &str) -> Value {
        let args = ["lab", "status", "--format", "json", "--name", self.lab.name()];
        let output = self.command(&args).output().unwrap();
        let status = document(&output.stdout);
        let nodes = status["nodes"].as_array().unwrap();
        nodes.iter().find(|node| node["name"] == name).unwrap().clone()
    }

    /// An underlay address of a node, or that of a LAN client.
    pub(crate) fn address(&self, node: &str) -> String {
        self.node(node)["addresses"][0].as_str().unwrap().to_owned()
    }

    /// The process id of a host's PID 1, seen from here.
    pub(crate) fn pid(&self, host: &str) -> u32 {
        u32::try_from(self.node(host)["pid"].as_u64().unwrap()).unwrap()
    }

    /// The root folder of a host, seen from here.
    pub(crate) fn root(&self, host: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.pid(host)))
    }

    /// What a host's tunnels, routes, rules, files, packet filter, sysctls, units and processes are:
    /// for comparing. (The kernel makes a new `stable_secret` for every interface, and when an embedded
    /// tunnel sent its last initiation outlives it on purpose.)
    pub(crate) fn state(&self, host: &str) -> String {
        let script = "exec 2>/dev/null
            for i in $(wg show interfaces); do echo \"$i\"
                wg showconf \"$i\" | grep -v ^Endpoint | sort
                ip -o link show dev \"$i\" | grep -o 'mtu [0-9]*'
                ip -o addr show dev \"$i\" | awk '$4 !~ /^fe80/ { print $4 }' | sort
            done
            ip route show table all | grep -v 'proto kernel' | sort
            ip -6 route show table all | grep -v 'proto kernel\\|fe80\\|multicast' | sort
            ip rule; ip -6 rule
            find /etc/wireguard /etc/systemd/system /etc/sysctl.d /var/lib/wgfleet ! -path /var/lib/wgfleet ! -name '*.initiation' -printf '%m %U:%G %y %p %l\\n' | sort
            find /run/wireguard -mindepth 1 -printf '%m %y %p\\n' | sort
            sha256sum /var/lib/wgfleet/*.json /etc/resolv.conf /etc/iproute2/*
            find /etc/wireguard /etc/systemd/system /etc/sysctl.d -type f -exec sha256sum {} + | sort
            nft list ruleset | grep -v fe80:
            grep -r --exclude=stable_secret . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf | sort
            find /etc -name '*.wgfleet' -o -name '*.wgfleet-old'
            systemctl list-units --all --plain --no-legend 'wg*' | sed 's/ WireGuard.*//; s/  */ /g' | sort
            systemctl list-jobs --no-legend
            all=$(ps -e -o args=); echo \"$all\" | grep -E 'wireguard-go|wgfleet|wg-quick|sleep|host[.]sh' | grep -v -e grep -e ' -c ' |
                sed 's/wgfleet tunnel/wgfleet-tunnel/' | sort
            ls /run/wgfleet | grep -v -e ^reverted -e ^as-file || :";
        self.sh(host, script)
    }
}

/// Expects an exit code and gives everything that was said.
#[track_caller]
pub(crate) fn ends(output: &Output, code: i32, args: &[&str]) -> String {
    Ran::from(output.clone()).ends(code, args)
}
