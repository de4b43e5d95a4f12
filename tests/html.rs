//! The page of `check --html` in a real browser: it renders, it is clicked through, and nothing of
//! it comes from outside.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

/// Programs that Debian and others install it as.
const BROWSERS: &[&str] = &["chromium-headless-shell", "chromium", "google-chrome"];

/// A browser without a window, driven over a pipe by Chrome's debugging protocol.
struct Browser {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    session: String,
    next: u64,
    /// Every address that a page asked for.
    requests: Vec<String>,
    _profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Browser {
    fn start() -> Self {
        let folders = ["/usr/bin", "/usr/local/bin", "/usr/lib/chromium"];
        let program = BROWSERS
            .iter()
            .flat_map(|name| folders.iter().map(move |folder| Path::new(folder).join(name)))
            .find(|path| path.exists())
            .expect("no Chromium: run scripts/setup.sh test (Debian: chromium-headless-shell)");
        let profile = tempfile::tempdir().expect("a folder");
        // The protocol speaks on descriptors 3 and 4.
        let mut child = Command::new("sh")
            .args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null 2>&1", "sh"])
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--remote-debugging-pipe", "--no-first-run", "--hide-scrollbars"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh runs");
        let stdin = child.stdin.take().expect("it is piped");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut browser = Self {
            child,
            stdin,
            stdout,
            session: String::new(),
            next: 0,
            requests: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", &attach);
        session["sessionId"].as_str().expect("a session").clone_into(&mut browser.session);
        for domain in ["Page", "Network", "Runtime"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.stdout.read_until(0, &mut bytes).expect("the browser speaks");
        assert_eq!(bytes.pop(), Some(0), "the browser has ended");
        let message: Value = serde_json::from_slice(&bytes).expect("it is JSON");
        if message["method"] == "Network.requestWillBeSent" {
            let url = message["params"]["request"]["url"].as_str().unwrap_or_default();
            self.requests.push(url.to_owned());
        }
        assert_ne!(message["method"], "Runtime.exceptionThrown", "{message}");
        message
    }

    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.next += 1;
        let mut message = json!({ "id": self.next, "method": method, "params": params });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.stdin.write_all(message.to_string().as_bytes()).expect("the browser listens");
        self.stdin.write_all(&[0]).expect("the browser listens");
        loop {
            let answer = self.read();
            if answer["id"] == self.next {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    fn open(&mut self, path: &Path, (width, height): (u32, u32), scheme: &str) {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false,
        });
        self.call("Emulation.setDeviceMetricsOverride", &size);
        let media = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", &media);
        let url = format!("file://{}", path.display());
        self.call("Page.navigate", &json!({ "url": url }));
        while self.read()["method"] != "Page.loadEventFired" {}
    }

    fn eval(&mut self, script: &str) -> Value {
        let asked = json!({ "expression": script, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Presses the mouse in the middle of what a selector finds.
    fn click(&mut self, selector: &str) {
        let place = self.eval(&format!(
            "(() => {{ const e = document.querySelector({selector:?}); \
             e.scrollIntoView({{ block: 'center' }}); const r = e.getBoundingClientRect(); \
             return [r.x + r.width / 2, r.y + r.height / 2]; }})()"
        ));
        for kind in ["mousePressed", "mouseReleased"] {
            let event = json!({
                "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1,
            });
            self.call("Input.dispatchMouseEvent", &event);
        }
        // A new address is told to the page in a task of its own.
        let turn = "new Promise((done) => setTimeout(done, 0))";
        let asked = json!({ "expression": turn, "awaitPromise": true });
        self.call("Runtime.evaluate", &asked);
    }

    fn text(&mut self, selector: &str) -> String {
        let found = self.eval(&format!("document.querySelector({selector:?}).textContent"));
        found.as_str().unwrap_or_default().to_owned()
    }

    fn count(&mut self, selector: &str) -> u64 {
        self.eval(&format!("document.querySelectorAll({selector:?}).length")).as_u64().unwrap_or(0)
    }

    fn colour(&mut self) -> String {
        let found = self.eval("getComputedStyle(document.body).backgroundColor");
        found.as_str().unwrap_or_default().to_owned()
    }

    /// A picture of the page below target/, for people to look at.
    fn picture(&mut self, name: &str) {
        let shot = self.call("Page.captureScreenshot", &json!({ "format": "png" }));
        let bytes = decode(shot["data"].as_str().expect("a picture"));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        fs::write(folder.join(name), &bytes).expect("it can be written");
    }
}

/// Base64 without looking for mistakes: the browser makes none.
fn decode(text: &str) -> Vec<u8> {
    let value = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for c in text.bytes().filter(|c| *c != b'=') {
        held = (held << 6) | u32::from(value(c));
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((held >> bits) & 0xff).unwrap_or_default());
        }
    }
    bytes
}

/// Writes the page of an inventory with the real command.
fn page(folder: &Path, inventory: &str) -> PathBuf {
    let file = folder.join("fleet.yaml");
    fs::write(&file, inventory).expect("it can be written");
    let page = folder.join("report.html");
    let output = Command::new(env!("CARGO_BIN_EXE_wgfleet"))
        .args(["check", "--file"])
        .arg(&file)
        .arg("--html")
        .arg(&page)
        .output()
        .expect("the binary runs");
    assert!(page.exists(), "{}", String::from_utf8_lossy(&output.stderr));
    page
}

const BROKEN: &str = r#"
fleet: acme
networks:
  wan: { prefixes: [10.1.0.0/24, "fd01::/64"], links: { hub: [hub-east, hub-west] } }
  lab: { prefixes: 10.2.0.0/24, links: [[hub-east, lab-1], [lab-1, lab-2]] }
sites:
  east: { subnets: 172.23.1.0/24, hosts: { hub-east: { networks: { wan: { endpoint: "east.example.com:51820" }, lab: { endpoint: "east.example.com:51821" } }, gateway: true, peers: { turin-gw: { allowed_ips: [10.1.0.40, "fd01::40"] } } } } }
  west: { subnets: 172.23.2.0/24, hosts: { hub-west: { networks: wan, endpoint: "west.example.com:51820", gateway: true } } }
  lyon: { subnets: 172.23.3.0/24, hosts: { lyon-gw: { networks: wan, nat: true, gateway: true } } }
  turin: { subnets: [172.23.4.0/24, 172.23.5.0/24], underlay: { mtu: 1492 }, hosts: { turin-gw: { networks: wan, address: [10.1.0.40, "fd01::40"], nat: true, gateway: true }, turin-db: { networks: wan, nat: true, dns: 10.99.0.1 } } }
  lab: { hosts: { lab-1: { networks: lab, nat: true }, lab-2: { networks: lab, nat: true } } }
hosts:
  office-laptop: { networks: wan, nat: true }
peers:
  alice: { network: wan, via: hub-east, full_tunnel: true }
  partner: { network: wan, via: hub-west, subnets: 172.23.77.0/24, public_key: "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=" }
expect:
  - allow: { from: lyon, to: turin }
  - allow: { from: turin, to: partner }
"#;

#[test]
fn a_page_is_clicked_through() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = page(folder.path(), BROKEN);
    let text = fs::read_to_string(&page).expect("it can be read");
    for outside in ["src=\"", "@import", "url(http", "<link"] {
        assert!(!text.contains(outside), "{outside}");
    }
    let mut browser = Browser::start();
    browser.open(&page, (1500, 900), "light");
    assert_eq!(browser.count("#map .host"), 10);
    assert_eq!(browser.count("#map .site"), 5);
    assert!(browser.count("#map .link") >= 10);
    let findings = browser.count("[data-finding]");
    assert!(findings >= 3);
    let light = browser.colour();
    browser.picture("page-light.png");

    // A rule that fails: its witness, hop by hop, and the way drawn.
    let index = browser.eval("data.findings.findIndex((f) => f.code === 'WG0601')");
    browser.click(&format!("[data-finding=\"{index}\"]"));
    assert!(browser.text("#detail h2").starts_with("WG0601"), "{}", browser.text("#detail"));
    assert!(browser.count("#detail .trace li") >= 2);
    assert!(browser.count("#way circle") == 1 && browser.count("#way path") >= 1);
    assert!(browser.count(".host.chosen") >= 2);
    assert!(browser.text("#detail details pre").contains("# WG0601"));
    browser.picture("page-finding.png");

    // A host: its interfaces and peers, and its findings, which lead back.
    browser.click("[aria-label=\"turin-db\"] text");
    assert_eq!(browser.text("#detail h2"), "turin-db");
    assert!(browser.text("#detail table").contains("hub-east"));
    assert_eq!(browser.count("#way *"), 0, "the way of the finding is gone");
    browser.eval("[...document.querySelectorAll('#detail a')].find((a) => a.textContent.includes('DNS')).id = 'dns'");
    browser.click("#dns");
    assert!(browser.text("#detail h2").contains("DNS"), "{}", browser.text("#detail h2"));
    let hash = browser.eval("location.hash");
    assert!(hash.as_str().is_some_and(|hash| hash.starts_with("#finding-")));

    // The matrix: a cell that fails says why.
    assert!(browser.count("#reach td.all") >= 10);
    browser.click("#reach [data-fault]");
    assert!(browser.text("#detail h2").contains("does not reach"));
    assert!(browser.count("#detail .trace li") >= 1 && browser.count("#way circle") == 1);
    browser.picture("page-matrix.png");

    browser.open(&page, (1500, 900), "dark");
    assert_ne!(browser.colour(), light);
    browser.click(&format!("[data-finding=\"{index}\"]"));
    browser.picture("page-dark.png");
    browser.open(&page, (700, 900), "light");
    let overflow = "document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.eval(overflow), json!(true), "a narrow window scrolls sideways");

    let own = format!("file://{}", page.display());
    let outside: Vec<&String> = browser
        .requests
        .iter()
        .filter(|url| !url.starts_with(&own) && *url != "about:blank")
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

/// Boxes that lie over one another hide hosts.
const OVERLAPS: &str = "(() => { const boxes = [...document.querySelectorAll('.block > rect')]\
    .map((b) => b.getBBox()); let n = 0; boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => { \
    if (a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height) n++; \
    })); return n; })()";

#[test]
fn large_fleets_and_hostile_names_are_drawn() {
    let mut browser = Browser::start();
    let mut mesh =
        String::from("fleet: mesh\nnetworks: { n: { prefixes: 10.1.0.0/16 } }\nsites:\n");
    for site in 0..36 {
        let _ = writeln!(
            mesh,
            "  site-{site}: {{ subnets: 172.23.{site}.0/24, hosts: {{ gw-{site}: {{ endpoint: \
             \"gw-{site}.example.com:51820\", gateway: true }} }} }}"
        );
    }
    let mut star = String::from(
        "fleet: star\nnetworks: { n: { prefixes: 10.1.0.0/16, links: { hub: [hub-1, hub-2] } } }\nhosts:\n  \
         hub-1: { endpoint: \"h1.example.com:51820\" }\n  hub-2: { endpoint: \"h2.example.com:51820\" }\n",
    );
    for spoke in 0..60 {
        let _ = writeln!(star, "  spoke-{spoke}: {{ nat: true }}");
    }
    star.push_str("peers:\n");
    for phone in 0..40 {
        let _ = writeln!(star, "  phone-{phone}: {{ via: hub-1 }}");
    }
    for (name, text, hosts) in
        [("mesh", &mesh, 36), ("star", &star, 82), ("broken", &BROKEN.to_owned(), 10)]
    {
        let folder = tempfile::tempdir().expect("a folder");
        let page = page(folder.path(), text);
        browser.open(&page, (1500, 900), if name == "star" { "dark" } else { "light" });
        browser.picture(&format!("page-{name}.png"));
        assert_eq!(browser.count("#map .host"), hosts, "{name}");
        assert_eq!(browser.eval(OVERLAPS), json!(0), "{name}");
    }
    // Hundreds of sites are folded, hubs are not; a host is found by its name, with its lines.
    let mut large = String::from(
        "fleet: large\nnetworks: { n: { prefixes: 10.1.0.0/16, links: { hub: [hub-1, hub-2] } } }\nhosts:\n  \
         hub-1: { endpoint: \"h1.example.com:51820\" }\n  hub-2: { endpoint: \"h2.example.com:51820\" }\nsites:\n",
    );
    for site in 0..300 {
        let _ = writeln!(
            large,
            "  site-{site}: {{ hosts: {{ gw-{site}: {{ nat: true }}, db-{site}: {{ nat: true }} }} }}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let drawn = page(folder.path(), &large);
    browser.open(&drawn, (1500, 900), "light");
    browser.picture("page-large.png");
    assert_eq!((browser.count("#map .tile"), browser.count("#map .block.hub")), (300, 2));
    assert_eq!(browser.eval(OVERLAPS), json!(0));
    let wide = "Math.round(document.getElementById('map').getBoundingClientRect().width)";
    let before = browser.eval(wide).as_u64();
    browser.click("[data-zoom=\"1.25\"]");
    assert!(browser.eval(wide).as_u64() > before);
    browser.click("[data-zoom=\"0\"]");
    assert!(browser.eval(wide).as_u64() < before);
    browser.eval(
        "(() => { const s = document.getElementById('search'); s.value = 'gw-29'; \
         s.dispatchEvent(new Event('input')); })()",
    );
    assert_eq!(browser.count("#found button"), 11);
    browser.click("#found button");
    assert_eq!(browser.text("#detail h2"), "gw-29");
    assert_eq!((browser.count("#way line"), browser.count(".tile.chosen")), (2, 1));
    browser.click("[data-site=\"7\"]");
    assert_eq!(
        (browser.text("#detail h2").as_str(), browser.count("#detail li a")),
        ("site site-7", 2)
    );
    browser.click("[aria-label=\"hub-1\"] text");
    assert!(browser.text("#detail .loss").contains("would be lost"), "{}", browser.text("#detail"));
    browser.picture("page-large-hub.png");
    // On a phone, what was found stands first, and nothing scrolls sideways but the drawing.
    browser.open(&drawn, (390, 844), "light");
    browser.picture("page-phone.png");
    let sideways = "document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.eval(sideways), json!(true));
    let first = "document.getElementById('list').getBoundingClientRect().top < \
                 document.getElementById('drawing').getBoundingClientRect().top";
    assert_eq!(browser.eval(first), json!(true));
    // What a file says stays text, wherever it is shown.
    let folder = tempfile::tempdir().expect("a folder");
    let hostile = "fleet: x\nnetworks: { n: { prefixes: 10.1.0.0/24 } }\nhosts:\n  \
                   \"</script><img src=x onerror=alert(1)>\": {}\n";
    let page = page(folder.path(), hostile);
    browser.open(&page, (1500, 900), "light");
    assert_eq!(browser.count("img"), 0);
    assert!(browser.count("[data-finding]") >= 1);
}
