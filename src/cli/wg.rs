//! `wgfleet wg`: what wg(8) does, where wireguard-tools is missing.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::time::SystemTime;

use clap::Args;
use zeroize::Zeroizing;

use super::{CommandError, CommandResult, Exit};
use crate::model::{Endpoint, InterfaceName, PresharedKey, PrivateKey};
use crate::sys::read_limited;
use crate::tunnel::conf::{Conf, Dialect, sync};
use crate::tunnel::{self, DeviceChange, Field, Retries};

mod failure;
mod set;

use failure::{error, failed};

/// The largest configuration file that is read.
const LARGEST_FILE: u64 = 256 << 20;
/// Tells `syncconf` that an interface is to have no key or no peers.
const ALLOW_EMPTY: &str = "--allow-empty";

/// Show and change WireGuard interfaces as wg(8) does
///
/// Takes the arguments of wg(8): show, showconf, set, setconf, addconf, syncconf, genkey, genpsk
/// and pubkey, with the same output and exit codes.
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(super) struct WgArgs {
    /// The arguments of wg(8)
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    arguments: Vec<OsString>,
}

const USAGE: &str = "\
Usage: wg <cmd> [<args>]

Available subcommands:
  show: Shows the current configuration and device information
  showconf: Shows the current configuration of a given WireGuard interface, for use with `setconf'
  set: Change the current configuration, add peers, remove peers, or change peers
  setconf: Applies a configuration file to a WireGuard interface
  addconf: Appends a configuration file to a WireGuard interface
  syncconf: Synchronizes a configuration file to a WireGuard interface
  genkey: Generates a new private key and writes it to stdout
  genpsk: Generates a new preshared key and writes it to stdout
  pubkey: Reads a private key from stdin and writes a public key to stdout
";
const SHOW_USAGE: &str = "Usage: wg show { <interface> | all | interfaces } [public-key | \
     private-key | listen-port | fwmark | peers | preshared-keys | endpoints | allowed-ips | \
     latest-handshakes | transfer | persistent-keepalive | dump | dropped]";

pub(super) fn cmd_wg(args: WgArgs) -> CommandResult {
    let words: Vec<String> = args
        .arguments
        .into_iter()
        .map(|word| word.into_string().map_err(|_| failed("an argument is not UTF-8")))
        .collect::<Result<_, _>>()?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => show(&[]),
        ["show", rest @ ..] => show(rest),
        ["-h" | "--help" | "help"] => print(USAGE),
        ["-v" | "--version" | "version"] => print(&format!(
            "wgfleet v{} - stands in for wireguard-tools\n",
            env!("CARGO_PKG_VERSION")
        )),
        ["showconf", interface] => print(&tunnel::show_conf(&access(interface)?)),
        ["set", interface, words @ ..] if !words.is_empty() => {
            let change = set::parse(words, &mut resolver()?)?;
            modify(&name(interface)?, &change)
        }
        ["setconf", interface, file] => {
            let change = read_conf(file)?.setconf(resolver()?)?;
            modify(&name(interface)?, &change)
        }
        ["addconf", interface, file] => {
            let change = read_conf(file)?.addconf(resolver()?)?;
            modify(&name(interface)?, &change)
        }
        ["syncconf", interface, file] => synchronize(interface, file, false),
        ["syncconf", ALLOW_EMPTY, interface, file] => synchronize(interface, file, true),
        ["genkey"] => print_key(&PrivateKey::from_random(random()?).expose_base64()),
        ["genpsk"] => print_key(&PresharedKey::from_bytes(random()?).expose_base64()),
        ["pubkey"] => {
            let mut text = Zeroizing::new(String::with_capacity(256));
            io::stdin().take(256).read_to_string(&mut text)?;
            let key =
                PrivateKey::parse(text.trim_matches(|c: char| c.is_whitespace() || c == '\0'));
            let key = key.map_err(|_| failed("Key is not the correct length or format"))?;
            print(&format!("{}\n", key.public()))
        }
        [command @ ("set" | "setconf" | "addconf" | "syncconf"), ..] => {
            Err(failed(format!("Usage: wg {command} <interface> …, see wg(8)")))
        }
        [command @ ("showconf" | "genkey" | "genpsk" | "pubkey"), ..] => {
            Err(failed(format!("wg {command}: wrong number of arguments, see wg(8)")))
        }
        [other, ..] => Err(failed(format!("Invalid subcommand: `{other}'")).hint("see wg --help")),
    }
}

/// Without the buffer of `std::io::Stdout`, which would keep what it printed.
fn print(text: &str) -> CommandResult {
    let mut out =
        std::fs::File::from(rustix::io::dup(rustix::stdio::stdout()).map_err(io::Error::from)?);
    out.write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

fn print_key(key: &str) -> CommandResult {
    print(&Zeroizing::new(format!("{key}\n")))
}

fn random() -> Result<Zeroizing<[u8; 32]>, CommandError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|_| failed("the system has no randomness"))?;
    Ok(bytes)
}

fn name(interface: &str) -> Result<InterfaceName, CommandError> {
    interface.parse().map_err(|why| error(&why))
}

fn access(interface: &str) -> Result<tunnel::DeviceSnapshot, CommandError> {
    tunnel::get(&name(interface)?)
        .map_err(|why| failed(format!("Unable to access interface: {}", reason(&why))))
}

fn modify(interface: &InterfaceName, change: &DeviceChange) -> CommandResult {
    match tunnel::set(interface, change) {
        Ok(()) => Ok(Exit::Done),
        Err(why) => Err(failed(format!("Unable to modify interface: {}", reason(&why)))),
    }
}

/// The text of strerror(3), without Rust's "(os error 19)".
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

fn read_conf(file: &str) -> Result<Conf, CommandError> {
    let text =
        Zeroizing::new(read_limited(Path::new(file), LARGEST_FILE).map_err(|why| error(&why))?);
    Conf::parse(&text, Dialect::Wg).map_err(|why| failed(format!("{file}: {why}")))
}

/// Makes an interface what a file says. A file that says nothing is most often the output of a command
/// that failed, so it takes no key and no peers away unless it is told to.
fn synchronize(interface: &str, file: &str, allow_empty: bool) -> CommandResult {
    let conf = read_conf(file)?;
    let now = access(interface)?;
    let missing = match (&conf.interface.private_key, conf.peers.is_empty()) {
        (None, _) if now.private_key.is_some() => Some("private key"),
        (_, true) if !now.peers.is_empty() => Some("peer"),
        _ => None,
    };
    if let Some(missing) = missing.filter(|_| !allow_empty) {
        let why = format!("{file} has no {missing}, and {interface} has: nothing was changed");
        let told =
            format!("if that is meant: wgfleet wg syncconf {ALLOW_EMPTY} {interface} {file}");
        return Err(failed(why).hint(told));
    }
    let change = sync(conf.setconf(resolver()?)?, &now);
    modify(&name(interface)?, &change)
}

/// Resolves endpoints with the patience that the environment asks for.
fn resolver()
-> Result<impl FnMut(&Endpoint) -> Result<std::net::SocketAddr, CommandError>, CommandError> {
    let retries = match std::env::var("WG_ENDPOINT_RESOLUTION_RETRIES") {
        Ok(text) => text.parse().map_err(|_| {
            failed(format!("Unable to parse WG_ENDPOINT_RESOLUTION_RETRIES: `{text}'"))
        })?,
        Err(_) => Retries::default(),
    };
    Ok(move |endpoint: &Endpoint| {
        tunnel::resolve(endpoint, retries, |why, wait| {
            let seconds = wait.as_secs_f32();
            anstream::eprintln!("{why}: `{endpoint}'. Trying again in {seconds:.2} seconds...");
        })
        .map_err(|why| error(&why))
    })
}

fn show(words: &[&str]) -> CommandResult {
    let field = |word: &str| {
        let field: Result<Field, ()> = word.parse();
        field.map_err(|()| failed(format!("Invalid parameter: `{word}'")).hint(SHOW_USAGE))
    };
    match words {
        ["-h" | "--help" | "help"] => print(&format!("{SHOW_USAGE}\n")),
        ["interfaces"] => {
            let names = tunnel::interfaces()?;
            let names: Vec<&str> = names.iter().map(InterfaceName::as_str).collect();
            print(&if names.is_empty() { String::new() } else { names.join(" ") + "\n" })
        }
        [] | ["all"] => show_all(None),
        ["all", word] => show_all(Some(field(word)?)),
        [interface] => print_human(interface, &access(interface)?),
        [interface, word] => {
            let device = access(interface)?;
            print(&tunnel::show_field(&device, field(word)?, None))
        }
        _ => Err(failed(SHOW_USAGE)),
    }
}

fn show_all(field: Option<Field>) -> CommandResult {
    let names = tunnel::interfaces()?;
    let (mut shown, last) = (names.is_empty(), names.len().saturating_sub(1));
    for (number, name) in names.iter().enumerate() {
        let device = match tunnel::get(name) {
            Ok(device) => device,
            Err(why) => {
                let why = reason(&why);
                anstream::eprintln!("Unable to access interface {name}: {why}");
                continue;
            }
        };
        shown = true;
        if let Some(field) = field {
            print(&tunnel::show_field(&device, field, Some(name.as_str())))?;
        } else {
            print_human(name.as_str(), &device)?;
            if number < last {
                print("\n")?;
            }
        }
    }
    Ok(if shown { Exit::Done } else { Exit::Failed })
}

fn print_human(name: &str, device: &tunnel::DeviceSnapshot) -> CommandResult {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let reveal = std::env::var("WG_HIDE_KEYS").is_ok_and(|value| value == "never");
    let text = tunnel::show_human(name, device, now, reveal);
    let colour = match std::env::var("WG_COLOR_MODE").as_deref() {
        Ok("always") => true,
        Ok("never") => false,
        _ => io::stdout().is_terminal(),
    };
    if colour {
        print(&text)
    } else {
        print(&Zeroizing::new(anstream::adapter::strip_str(&text).to_string()))
    }
}
