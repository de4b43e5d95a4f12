//! The programs that are measured.

use std::path::{Path, PathBuf};

/// A userspace tunnel.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
    /// What comes before the name of the interface.
    pub(crate) words: &'static [&'static str],
}

/// Where `make bench-tunnel` installs the ones of crates.io.
fn installed(program: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target"), PathBuf::from);
    target.join("bench/peers/bin").join(program)
}

/// Ours first, then the others: those that are named, or all that are there.
pub(crate) fn all(named: Option<Vec<String>>) -> Result<Vec<Candidate>, String> {
    let ours = std::env::var_os("WGFLEET").ok_or("WGFLEET names no binary")?;
    let ours = Candidate { name: "wgfleet".to_owned(), program: ours.into(), words: &["tunnel"] };
    let candidate =
        |name: &str, program: PathBuf, words| Candidate { name: name.to_owned(), program, words };
    // They ask for a login name otherwise, which a service has not.
    let keep: &[&str] = &["--disable-drop-privileges"];
    let mut known = vec![
        candidate("gotatun", installed("gotatun"), keep),
        candidate("boringtun", installed("boringtun-cli"), keep),
        candidate("wireguard-go", PathBuf::from("/usr/bin/wireguard-go"), &[]),
    ];
    if let Some(path) = std::env::var_os("WGFLEET_BENCH_PEER").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        known.push(candidate(&name, path.clone(), &[]));
    }
    let chosen = match named {
        None => known.into_iter().filter(|candidate| candidate.program.exists()).collect(),
        Some(wanted) => {
            let mut chosen = Vec::new();
            for name in wanted.iter().filter(|name| !name.is_empty() && *name != "none") {
                let found = known.iter().find(|candidate| candidate.name == **name);
                let found = found.ok_or_else(|| format!("nothing is called {name}"))?;
                if !found.program.exists() {
                    return Err(format!("{} is not there", found.program.display()));
                }
                chosen.push(found.clone());
            }
            chosen
        }
    };
    Ok([vec![ours], chosen].concat())
}
