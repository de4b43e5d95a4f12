//! Whether a saved plan is still what would be done, and if not, what moved.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What of a saved plan differs from the plan of now, both as JSON: each line names a host and what
/// moved there. Why a host could not be read is ssh's affair and counts for nothing.
///
/// Empty: the saved plan is what would be done now.
#[must_use]
pub fn moved(saved: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if saved["version"] != now["version"] {
        let version = &saved["version"];
        found.push(format!("the plan has version {version}, and this wgfleet makes others"));
        return found;
    }
    if saved["fleet"] != now["fleet"] {
        found.push(format!("the plan is of fleet {}", text(&saved["fleet"])));
    }
    let (before, after) = (hosts(saved), hosts(now));
    for (name, host) in &before {
        match after.get(name) {
            Some(now) => found.extend(host_moved(name, host, now)),
            None => found.push(format!("{name} is not in the plan of now")),
        }
    }
    // More that ceases to work than was reviewed. Fewer, or other gains, may come of a session that
    // somebody began since.
    let lost = |plan: &Value| -> BTreeSet<(String, String)> {
        let rows = list(&plan["reachability"]["lost"]).iter();
        rows.map(|row| (text(&row["from"]).to_owned(), text(&row["to"]).to_owned())).collect()
    };
    for (from, to) in lost(now).difference(&lost(saved)) {
        found.push(format!("flows from {from} to {to} would cease to work as well"));
    }
    let new = after.keys().filter(|name| !before.contains_key(*name));
    found.extend(new.map(|name| format!("{name} is not in the saved plan")));
    found
}

/// Whether the plan of now has nothing to do on any host that it could read.
#[must_use]
pub fn is_done(now: &Value) -> bool {
    let ready = |host: &Value| state(host) == "ready" && list(&host["changes"]).is_empty();
    let hosts = hosts(now);
    !hosts.is_empty() && hosts.values().all(ready)
}

fn hosts(plan: &Value) -> Map<String, Value> {
    let all = list(&plan["hosts"]);
    all.iter().map(|host| (text(&host["host"]).to_owned(), host.clone())).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn state(host: &Value) -> &str {
    text(&host["state"]["state"])
}

fn host_moved(name: &str, saved: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (field, word) in [("ssh", "ssh target"), ("become", "way to become root")] {
        if saved[field] != now[field] {
            let (old, new) = (text(&saved[field]), text(&now[field]));
            found.push(format!("{name}: the {word} was {old} and is {new}"));
        }
    }
    match (state(saved), state(now)) {
        ("unreadable", "unreadable") => return found,
        (old, new) if old != new => {
            found.push(format!("{name}: it was {old} and is {new}"));
            return found;
        }
        _ => {}
    }
    if saved["state"] != now["state"] {
        found.push(format!("{name}: it is blocked for another reason"));
    }
    let (old, new) = (list(&saved["changes"]), list(&now["changes"]));
    let only = |these: &[Value], those: &[Value]| -> BTreeSet<String> {
        these.iter().filter(|change| !those.contains(change)).map(noun).collect()
    };
    let (gone, come) = (only(old, new), only(new, old));
    for what in gone.union(&come) {
        let how = match (gone.contains(what), come.contains(what)) {
            (true, true) => "would change in another way",
            (true, false) => "would no longer change",
            _ => "would change as well",
        };
        found.push(format!("{name}: {what} {how}"));
    }
    let bound = |host: &Value| {
        let mut host = host.clone();
        // What traffic feels follows from the changes, and from sessions that come and go.
        for felt in ["disruption", "feels"] {
            host.as_object_mut().map(|host| host.remove(felt));
        }
        host
    };
    if found.is_empty() && bound(saved) != bound(now) {
        let what = if saved["payload"] == now["payload"] {
            "its notes are not the same"
        } else {
            "what it is sent is not the same"
        };
        found.push(format!("{name}: {what}"));
    }
    found
}

/// What a change is about.
fn noun(change: &Value) -> String {
    let word = |field: &str| change[field].as_str();
    let at = word("interface").map(|interface| format!(" of {interface}")).unwrap_or_default();
    if let Some(path) = word("path").or_else(|| word("unit")) {
        return path.to_owned();
    }
    let what = change["change"].as_str().unwrap_or("a change").replace('-', " ");
    match change["peer"]["name"].as_str() {
        Some(peer) => format!("{what} {peer}{at}"),
        None => format!("{what}{at}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn plan(change: impl Fn(&mut Value)) -> Value {
        let mut plan = json!({ "version": 2, "fleet": "acme", "hosts": [
            { "host": "a", "ssh": "a", "become": "auto", "payload": "01", "state": { "state": "ready" },
              "changes": [{ "change": "file", "path": "/etc/wireguard/wg0.conf", "fingerprint": "aa" }] },
            { "host": "b", "ssh": "b", "become": "auto", "payload": null, "changes": [],
              "state": { "state": "unreadable", "reason": "Connection refused" } },
        ]});
        change(&mut plan);
        plan
    }

    #[test]
    fn more_lost_flows_than_were_reviewed_are_named() {
        let with = |rows: Value| plan(|plan| plan["reachability"] = json!({ "lost": rows }));
        let (a, b) = (json!({ "from": "`a`", "to": "`b`" }), json!({ "from": "`b`", "to": "`a`" }));
        let (one, two) = (with(json!([a])), with(json!([a, b])));
        assert_eq!(moved(&one, &two), ["flows from `b` to `a` would cease to work as well"]);
        assert_eq!(moved(&two, &one), [] as [&str; 0]);
        let felt = plan(|plan| plan["hosts"][0]["disruption"] = json!("flows"));
        assert_eq!(moved(&plan(|_| ()), &felt), [] as [&str; 0]);
    }

    #[test]
    fn what_moved_is_named_with_its_host() {
        let saved = plan(|_| ());
        let now = |change: fn(&mut Value)| moved(&saved, &plan(change)).join("\n");
        assert_eq!(now(|_| ()), "");
        assert_eq!(now(|plan| plan["hosts"][1]["state"]["reason"] = "timed out".into()), "");
        insta::assert_snapshot!([
            now(|plan| plan["version"] = 1.into()),
            now(|plan| plan["hosts"][0]["ssh"] = "root@198.51.100.1".into()),
            now(|plan| plan["hosts"][0]["changes"][0]["fingerprint"] = "bb".into()),
            now(|plan| plan["hosts"][0]["payload"] = "02".into()),
            now(|plan| plan["hosts"][0]["changes"] = json!([])),
            now(|plan| plan["hosts"][1]["state"] = json!({ "state": "ready" })),
            now(|plan| plan["hosts"] = json!([])),
            now(|plan| plan["hosts"][0]["changes"] = json!([
                { "change": "change-peer", "interface": "wg0", "peer": { "name": "b" } }
            ])),
        ].join("\n"), @r"
        the plan has version 2, and this wgfleet makes others
        a: the ssh target was a and is root@198.51.100.1
        a: /etc/wireguard/wg0.conf would change in another way
        a: what it is sent is not the same
        a: /etc/wireguard/wg0.conf would no longer change
        b: it was unreadable and is ready
        a is not in the plan of now
        b is not in the plan of now
        a: /etc/wireguard/wg0.conf would no longer change
        a: change peer b of wg0 would change as well
        ");
    }

    #[test]
    fn a_plan_that_is_carried_out_has_nothing_more_to_do() {
        assert!(!is_done(&plan(|_| ())));
        assert!(!is_done(&plan(|plan| plan["hosts"][0]["changes"] = json!([]))), "b is not read");
        assert!(is_done(&plan(|plan| {
            plan["hosts"][0]["changes"] = json!([]);
            plan["hosts"][1]["state"] = json!({ "state": "ready" });
        })));
    }

    #[test]
    fn no_saved_text_panics() {
        for text in ["null", "[]", "{}", r#"{"hosts":[1,{}]}"#, r#"{"version":2,"hosts":{"a":1}}"#]
        {
            let saved: Value = serde_json::from_str(text).unwrap();
            let _ = (moved(&saved, &plan(|_| ())), moved(&plan(|_| ()), &saved), is_done(&saved));
        }
    }
}
