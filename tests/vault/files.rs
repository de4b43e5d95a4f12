//! Files that are moved, cut, hostile, or readable by others.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use wgfleet::vault::{Identities, Recipient, Unattended, Vault, VaultError, identity};

use crate::bench::{Answer, Bench, host, now};

#[test]
fn files_that_are_moved_swapped_cut_or_missing_are_each_a_clear_error() {
    let bench = Bench::new();
    let (a, b) = (bench.key_file("a"), bench.key_file("b"));
    let (of_a, of_b) = (fs::read(&a).unwrap(), fs::read(&b).unwrap());
    let open = || bench.unlock().private_key(&host("a")).unwrap_err();

    fs::write(&a, &of_b).unwrap();
    assert!(matches!(open(), VaultError::ForeignFile { found, .. } if found == "b"));

    // Another key of the same host, from another branch.
    let mut other = Vault::create(
        &bench.path("other"),
        &"acme".parse().unwrap(),
        &bench.identities.recipients(),
        now(),
    )
    .unwrap();
    other.ensure_keys(&[host("a")], &bench.identities, now()).unwrap();
    let file = fs::read_dir(bench.path("other/keys")).unwrap().next().unwrap().unwrap().path();
    fs::copy(file, &a).unwrap();
    assert!(matches!(open(), VaultError::Mismatch { .. }));
    for file in ["psk/1.age", "fingerprint.age"] {
        let own = bench.path("vault").join(file);
        let before = fs::read(&own).unwrap();
        fs::copy(bench.path("other").join(file), &own).unwrap();
        assert!(matches!(bench.unlock().verify()[..], [VaultError::Mismatch { .. }, ..]), "{file}");
        fs::write(&own, before).unwrap();
    }
    fs::copy(bench.path("other/fingerprint.age"), bench.path("vault/fingerprint.age")).unwrap();
    let error = bench.unlock().fingerprint_key(&host("a")).unwrap_err();
    assert!(matches!(error, VaultError::Mismatch { .. }), "{error}");
    fs::copy(bench.path("other/psk/1.age"), &a).unwrap();
    assert!(matches!(open(), VaultError::Damaged { .. }));

    for length in [0, 1, 20, 60, of_a.len() / 2, of_a.len() - 20, of_a.len() - 2] {
        fs::write(&a, &of_a[..length]).unwrap();
        assert!(matches!(open(), VaultError::Damaged { .. }), "cut at {length}: {}", open());
    }
    fs::remove_file(&a).unwrap();
    assert!(matches!(open(), VaultError::Missing { .. }));
    assert_eq!(bench.vault().oddities().unwrap().missing, std::slice::from_ref(&a));
    assert!(bench.vault().ensure_keys(&[host("a")], &bench.identities, now()).unwrap().is_empty());

    fs::write(&a, &of_a).unwrap();
    assert!(bench.unlock().private_key(&host("a")).is_ok());
}

#[test]
fn identity_files_are_kept_private_and_out_of_the_repository() {
    let root = tempfile::tempdir().unwrap();
    let repository = root.path().join("fleet");
    fs::create_dir_all(repository.join(".git")).unwrap();
    fs::create_dir_all(repository.join("inventory")).unwrap();
    let inventory = repository.join("inventory");

    for inside in ["fleet/identity", "fleet/new/identity", "fleet/inventory/../identity"] {
        let path = root.path().join(inside);
        let error = identity::create(&path, &inventory, None, now()).unwrap_err();
        assert!(matches!(error, VaultError::InWorkTree { .. }), "{error}");
        assert!(!path.exists());
    }
    std::os::unix::fs::symlink(&repository, root.path().join("elsewhere")).unwrap();
    let path = root.path().join("elsewhere/identity");
    assert!(identity::create(&path, &inventory, None, now()).is_err());

    let path = root.path().join("config/wgfleet/identity-acme.txt");
    identity::create(&path, &inventory, None, now()).unwrap();
    let text = fs::read(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let folder = path.parent().unwrap();
    assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(identity::create(&path, &inventory, None, now()).is_err(), "it is never overwritten");
    assert_eq!(fs::read(&path).unwrap(), text);

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = Identities::load(&[path], &Unattended).unwrap_err();
    assert!(matches!(error, VaultError::IdentityExposed { mode: 0o644, .. }), "{error}");
}

#[test]
fn unusable_recipients_are_listed_by_line_and_never_repeated() {
    let bench = Bench::new();
    let secret = fs::read_to_string(bench.path("identity.txt")).unwrap();
    let secret = secret.lines().last().unwrap().to_owned();
    for line in [
        "# a comment",
        &secret,
        "age1abc",
        "ssh-rsa AAAA",
        "age1yubikey1qqqqqq",
        "ssh-ed25519 AAAA me",
        "colleague",
    ] {
        bench.add_recipient(line);
    }
    let error = Vault::open(&bench.path("vault")).unwrap_err().to_string();
    assert!(!error.contains(&secret));
    insta::assert_snapshot!(error.replace(bench.root.path().to_str().unwrap(), "…"), @r"
    …/vault/recipients.txt contains lines that are not recipients:
      line 7: this is a private identity: take it out of the file and out of git's history, and write its public part (`age-keygen -y FILE`) instead
      line 8: write `age1…` or `ssh-ed25519 AAAA… comment`, and comments on lines that start with '#'
      line 9: only ssh-ed25519 keys can be recipients; write an ssh-ed25519 or an age1… key
      line 10: this recipient of an age plugin is cut off or mistyped: its checksum is wrong
      line 11: write `age1…` or `ssh-ed25519 AAAA… comment`, and comments on lines that start with '#'
      line 12: write `age1…` or `ssh-ed25519 AAAA… comment`, and comments on lines that start with '#'
    ");
}

/// All files of a folder with their bytes.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else {
            let mut bytes = Vec::new();
            fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
            all.push((path, bytes));
        }
    }
    all.sort();
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is in whichever file: no panic, and no file that was there changes but the index.
    #[test]
    fn hostile_bytes_never_panic_and_are_never_overwritten(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        keep in any::<bool>(),
        junk in prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..200),
            "[ -~\n]{0,200}".prop_map(String::into_bytes),
            Just(b"age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA 30\n".to_vec()),
            Just(b"-----BEGIN AGE ENCRYPTED FILE-----\n".to_vec()),
        ],
    ) {
        let bench = Bench::new();
        let vault = bench.path("vault");
        let before = files(&vault);
        let (path, bytes) = &before[which.index(before.len())];
        let mut hostile = if keep { bytes.clone() } else { Vec::new() };
        let at = at.index(hostile.len() + 1);
        hostile.splice(at..at, junk);
        fs::write(path, &hostile).unwrap();
        let before = files(&vault);

        if let Ok(mut opened) = Vault::open(&vault) {
            let unlocked = opened.unlock(&bench.identities);
            let _ = unlocked.verify();
            let _ = unlocked.private_key(&host("a"));
            let _ = unlocked.fingerprint_key(&host("a"));
            let _ = opened.oddities();
            let _ = opened.ensure_keys(&[host("a"), host("c")], &bench.identities, now());
            let _ = opened.begin_rotation(&[host("a")], &bench.identities, now());
        }
        let after = files(&vault);
        for (path, bytes) in before {
            if path.file_name().unwrap() == "index.json" && Vault::open(&vault).is_ok() {
                continue;
            }
            prop_assert!(after.contains(&(path.clone(), bytes)), "{path:?} changed");
        }
        let _ = Identities::load(std::slice::from_ref(path), &Answer("x"));
    }

    #[test]
    fn no_text_panics_as_a_recipient(
        text in "\\PC{0,80}|age1[a-z0-9]{0,80}|ssh-ed25519 [A-Za-z0-9+/=]{0,80}",
    ) {
        let _ = text.parse::<Recipient>();
    }
}
