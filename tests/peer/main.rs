//! What peers and devices that nobody logs in to get: files, QR codes, exports.

mod bench;
mod change;
#[path = "../support/documents.rs"]
mod documents;
mod export;
mod render;
mod show;

/// Two hosts, phones of both kinds, and a partner with a key of its own.
const FLEET: &str = "# The fleet of acme.
fleet: acme
networks:
  n: { interface: wg0, prefixes: [10.9.0.0/24, 'fd09::/64'], psk: pairwise }
hosts:
  a: { endpoint: 'a.example.com:51820', exit: true, transit: true, masquerade: true }
  b: { endpoint: 'b.example.com:51820' }
peers:
  phone: { via: a, keepalive: 25 } # Alice's
  tablet: { via: a, full_tunnel: true, dns: 10.9.0.1 }
  partner: { via: a, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= }
";

/// Questions to the text of a configuration.
trait Lines {
    /// Its lines without comments and blank ones.
    fn settings(&self) -> String;
    /// The value of its first setting of this name.
    fn setting(&self, name: &str) -> &str;
}

impl Lines for str {
    fn settings(&self) -> String {
        let lines = self.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.flat_map(|line| [line, "\n"]).collect()
    }

    #[track_caller]
    fn setting(&self, name: &str) -> &str {
        let mut values =
            self.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        values.next().unwrap_or_else(|| panic!("no {name}"))
    }
}
