//! What peers and devices that nobody logs in to get: files, QR codes, exports.

mod bench;
mod render;

/// Two hosts, phones of both kinds, and a partner with a key of its own.
const FLEET: &str = "# The fleet of acme.
fleet: acme
networks:
  n: { interface: wg0, prefixes: [10.9.0.0/24, 'fd09::/64'], psk: pairwise }
hosts:
  a: { endpoint: 'a.example.com:51820', exit: true, transit: true, masquerade: true }
  b: { endpoint: 'b.example.com:51820' }
peers:
  phone: { via: a } # Alice's
  tablet: { via: a, full_tunnel: true, dns: 10.9.0.1 }
  partner: { via: a, public_key: hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo= }
";
