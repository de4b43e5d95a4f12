//! What hosts keep about the change that was confirmed last.

use serde_json::Value;

use crate::documents::document;
use crate::yard::{THREE, Yard, changes, of};

const PATH: &str = "/var/lib/wgfleet/three.json";

#[test]
fn a_host_keeps_a_record_of_what_was_confirmed_and_of_nothing_else() {
    let yard = Yard::up(THREE);
    let applied = yard.settle();
    assert!(changes(&applied, "branch-gw").contains(&"record".to_owned()), "{applied}");
    let text = yard.sh("branch-gw", &format!("cat {PATH}"));
    let record = document(text.as_bytes());
    assert_eq!((&record["version"], &record["fleet"]), (&1.into(), &"three".into()), "{text}");
    assert_eq!((&record["host"], &record["commit"]), (&"branch-gw".into(), &Value::Null), "{text}");
    assert_eq!(record["interfaces"]["wg0"], yard.key("branch-gw"), "{text}");
    assert!(record["fingerprints"]["/etc/wireguard/wg0.conf"].is_string(), "{text}");
    assert!(record["machine_id"].is_string() && record["host_key"].is_string(), "{text}");
    assert!(record["who"].as_str().is_some_and(|who| who.contains('@')), "{text}");
    let look = format!("stat -c '%a %u' {PATH}; stat -c '%a %u' /var/lib/wgfleet");
    assert_eq!(yard.sh("branch-gw", &look), "600 0\n700 0\n");
    let key = yard.sh("branch-gw", "sed -n 's/^PrivateKey = //p' /etc/wireguard/wg0.conf");
    assert!(key.trim().len() == 44 && !text.contains(key.trim()), "{text}");

    // What is rolled back is not recorded.
    yard.write(&THREE.replace("nat: true", "nat: true\n        post_up: /bin/false"));
    let ran = yard.run(&["apply", "--yes"]);
    assert_eq!(ran.code, 8, "{}{}", ran.stdout, ran.stderr);
    assert_eq!(yard.sh("branch-gw", &format!("cat {PATH}")), text);
    // Its interface was made anew twice, and was reached through NAT at another port meanwhile.
    let ping = yard.lab.ping("frankfurt-gw", "10.10.0.3", 3, 0.2);
    assert_eq!(ping.received, 3, "{ping:?}");
    yard.write(THREE);
    yard.settled();

    // Hosts of a version that kept none, and records that say something else, change for that alone.
    yard.sh("branch-gw", "rm -r /var/lib/wgfleet");
    let other = format!("sed -i 's/\"ssh\": .*/\"ssh\": \"elsewhere\",/' {PATH}");
    yard.sh("frankfurt-gw", &other);
    let ping = yard.lab.ping_on("branch-gw", "10.10.0.1", 0.05);
    let plan = yard.plan(2);
    for (host, action) in [("branch-gw", "create"), ("frankfurt-gw", "update")] {
        assert_eq!(changes(&plan, host), ["record"], "{plan}");
        assert_eq!(of(&plan, host)["changes"][0]["action"], action, "{plan}");
        assert_eq!(of(&plan, host)["disruption"], "none", "{plan}");
    }
    assert!(changes(&plan, "paris-gw").is_empty(), "{plan}");
    yard.settle();
    assert_eq!(ping.finish().lost(), 0);

    // A rotation records the new key.
    yard.done(&["rotate", "branch-gw", "--yes"]);
    let text = yard.sh("branch-gw", &format!("cat {PATH}"));
    assert!(text.contains(&yard.key("branch-gw")), "{text}");
    yard.settled();
}
