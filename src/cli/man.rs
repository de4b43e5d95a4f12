//! `wgfleet man`: a manual page for each command.

use std::path::{Path, PathBuf};

use clap_mangen::Man;
use roff::{Inline, Roff, bold, roman};

use super::environment::{Readers, VARIABLES};
use super::{CommandError, CommandResult, Context, Exit};
use crate::sys::{Mode, write_atomic};

/// Write the manual pages into a folder: wgfleet.1, wgfleet-plan.1, …
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  wgfleet man /usr/local/share/man/man1")]
pub(super) struct ManArgs {
    /// The folder; it is made where it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// The files that commands read and write, and whose they are.
const FILES: &[(&str, Readers, &str)] = &[
    ("fleet.yaml", Readers::Fleet, "The inventory."),
    ("fleet.lock", Readers::Fleet, "The addresses that the inventory leaves out, once allocated."),
    ("vault/", Readers::Fleet, "Keys in age files, recipients.txt, and the public index.json."),
    ("templates/wg0.conf.j2", Readers::Fleet, "A template of the fleet's own."),
    ("templates/export/TARGET.j2", Readers::Fleet, "A template of an export of the fleet's own."),
    (
        "~/.config/wgfleet/identity-FLEET.txt",
        Readers::Fleet,
        "The age identity that opens the vault, where no other is named.",
    ),
    (
        "~/.local/state/wgfleet/logins-FLEET.json",
        Readers::Fleet,
        "Where each host was last logged in to.",
    ),
    ("~/.ssh/config", Readers::Fleet, "How ssh(1) reaches the hosts."),
    ("/etc/wireguard/IF.conf", Readers::Every, "On a host: the configuration of an interface."),
    (
        "/etc/wireguard/wgfleet-FLEET.nft",
        Readers::Fleet,
        "On a host: the rules of the fleet for the next boot.",
    ),
    (
        "/etc/sysctl.d/60-wgfleet-FLEET.conf",
        Readers::Fleet,
        "On a host: forwarding for the next boot.",
    ),
    ("/var/lib/wgfleet/FLEET.json", Readers::Fleet, "On a host: the record of its last change."),
    ("/usr/local/lib/wgfleet/", Readers::Fleet, "On a host: wgfleet, where tools are missing."),
    ("/run/wgfleet/", Readers::Fleet, "On a host: a change that is under way."),
    ("/var/run/wireguard/IF.sock", Readers::Tools, "The socket of a userspace interface."),
];

/// Pages that are worth reading beside these.
const RELATED: &[(&str, &str)] = &[
    ("age", "1"),
    ("git", "1"),
    ("ssh", "1"),
    ("ssh_config", "5"),
    ("wg", "8"),
    ("wg-quick", "8"),
];

impl ManArgs {
    /// `root` has all commands.
    pub(super) fn run(&self, root: clap::Command, context: &Context) -> CommandResult {
        std::fs::create_dir_all(&self.dir)?;
        let pages = pages(root);
        for (name, page) in &pages {
            write_atomic(&self.dir.join(name), page, Mode::Public)
                .map_err(|error| CommandError::new(Exit::Failed, &error))?;
        }
        let dir: &Path = &self.dir;
        context.say(&format!(
            "wrote {} into {}",
            crate::model::count(pages.len(), "manual page"),
            dir.display()
        ));
        Ok(Exit::Done)
    }
}

/// The pages of all commands, with the names of their files.
fn pages(mut root: clap::Command) -> Vec<(String, Vec<u8>)> {
    root.build();
    let mut pages = Vec::new();
    add(&root, None, &mut pages);
    pages
}

/// Adds the page of a command and those of its subcommands.
fn add(command: &clap::Command, above: Option<&clap::Command>, pages: &mut Vec<(String, Vec<u8>)>) {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    // A vector takes everything.
    let _ = render(&man, command, above, &mut page);
    pages.push((man.get_filename(), page));
    for inner in shown(command) {
        add(inner, Some(command), pages);
    }
}

/// The subcommands that have pages.
fn shown(command: &clap::Command) -> impl Iterator<Item = &clap::Command> {
    command.get_subcommands().filter(|inner| !inner.is_hide_set() && inner.get_name() != "help")
}

fn render(
    man: &Man,
    command: &clap::Command,
    above: Option<&clap::Command>,
    page: &mut Vec<u8>,
) -> std::io::Result<()> {
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    if command.get_arguments().any(|one| !one.is_hide_set()) {
        man.render_options_section(page)?;
    }
    if shown(command).next().is_some() {
        man.render_subcommands_section(page)?;
    }
    let mut rest = Roff::new();
    examples(&mut rest, command);
    exit_status(&mut rest, command);
    let own = |of: Readers| of == Readers::Every || of == readers(command) || above.is_none();
    rest.control("SH", ["ENVIRONMENT"]);
    for variable in VARIABLES.iter().filter(|variable| own(variable.of)) {
        entry(&mut rest, variable.name, variable.meaning);
    }
    rest.control("SH", ["FILES"]);
    for (path, _, meaning) in FILES.iter().filter(|(_, of, _)| own(*of)) {
        entry(&mut rest, path, meaning);
    }
    see_also(&mut rest, command, above);
    rest.to_writer(page)
}

/// Whose variables and files a command uses.
fn readers(command: &clap::Command) -> Readers {
    let names = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut words = names.split('-');
    match words.nth(1) {
        Some("wg" | "quick" | "tunnel") => Readers::Tools,
        _ => Readers::Fleet,
    }
}

fn examples(page: &mut Roff, command: &clap::Command) {
    let Some(text) = command.get_after_help().map(ToString::to_string) else { return };
    let lines = text.lines().filter(|line| !line.starts_with("Example"));
    page.control("SH", ["EXAMPLES"]);
    page.control("nf", []);
    for line in lines {
        page.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    page.control("fi", []);
}

fn exit_status(page: &mut Roff, command: &clap::Command) {
    page.control("SH", ["EXIT STATUS"]);
    match command.get_display_name().unwrap_or_default() {
        "wgfleet-wg" => entry(page, "0, 1", "As wg(8): done, or failed."),
        name if name == "wgfleet-quick" || name.starts_with("wgfleet-quick-") => {
            entry(page, "0, 1, 64", "As wg-quick(8): done, failed, or wrong arguments.");
        }
        name => {
            for exit in Exit::ALL {
                entry(page, &exit.code().to_string(), exit.meaning());
            }
            if name == "wgfleet-lab-exec" {
                page.control("PP", []);
                page.text([roman("Where the command was started: its own exit status.")]);
            }
        }
    }
}

fn see_also(page: &mut Roff, command: &clap::Command, above: Option<&clap::Command>) {
    let name = |command: &clap::Command| {
        command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
    };
    let own = name(command);
    let beside = above.into_iter().flat_map(shown).map(name);
    let pages = above.map(name).into_iter().chain(beside).chain(shown(command).map(name));
    let pages = pages.filter(|page| *page != own).map(|page| (page, "1".to_owned()));
    let related = RELATED.iter().map(|(page, section)| ((*page).to_owned(), (*section).to_owned()));
    let mut line: Vec<Inline> = Vec::new();
    for (page, section) in pages.chain(related) {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(page), roman(format!("({section})"))]);
    }
    page.control("SH", ["SEE ALSO"]);
    page.text(line);
}

/// A word and what it means.
fn entry(page: &mut Roff, word: &str, meaning: &str) {
    page.control("TP", []);
    page.text([bold(word)]);
    page.text([roman(meaning)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments;

    /// A section of a page, as roff writes it.
    fn section<'a>(page: &'a str, name: &str) -> &'a str {
        let quoted = format!(".SH \"{name}\"\n");
        let plain = format!(".SH {name}\n");
        let rest = page.split_once(&quoted).or_else(|| page.split_once(&plain));
        rest.map_or("", |(_, rest)| rest.split(".SH ").next().unwrap_or_default())
    }

    fn all() -> Vec<(String, String)> {
        let text = |(name, page)| (name, String::from_utf8(page).unwrap());
        pages(arguments()).into_iter().map(text).collect()
    }

    #[test]
    fn every_command_has_a_page_with_its_full_name() {
        let pages = all();
        let names: std::collections::BTreeSet<&String> =
            pages.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), pages.len());
        let (_, page) = pages.iter().find(|(name, _)| name == "wgfleet-vault-init.1").unwrap();
        assert!(page.contains("wgfleet vault init"), "{page}");
    }

    #[test]
    fn every_page_has_the_sections_that_readers_look_for() {
        for (name, page) in all() {
            for wanted in ["EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"] {
                let text = section(&page, wanted);
                assert!(
                    text.lines().count() >= 3 || text.contains(", "),
                    "{name}: {wanted}: {page}"
                );
            }
            let other = if name == "wgfleet.1" { "plan" } else { "wgfleet" };
            assert!(section(&page, "SEE ALSO").contains(other), "{name}: {page}");
        }
    }

    #[test]
    fn the_exit_status_is_the_table_of_the_documentation() {
        let documented = include_str!("../../docs/exit-codes.md");
        let rows = documented.lines().filter_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split('|').map(str::trim);
            let code =
                cells.next().filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))?;
            Some((code, cells.nth(1)?.to_owned()))
        });
        let rows: Vec<(&str, String)> = rows.collect();
        assert!(rows.len() > 10, "{rows:?}");
        for (name, page) in all() {
            if name.starts_with("wgfleet-quick") || name.starts_with("wgfleet-wg") {
                continue;
            }
            let text = section(&page, "EXIT STATUS");
            let told: Vec<&str> = text.split(".TP\n").skip(1).collect();
            assert_eq!(told.len(), rows.len(), "{name}: {text}");
            for ((code, meaning), told) in rows.iter().zip(told) {
                assert!(told.starts_with(&format!("\\fB{code}\\fR\n")), "{name}: {told}");
                let plain = told.replace("\\-", "-").replace("\\*(Aq", "'");
                assert!(plain.contains(meaning), "{name}: {told}: {meaning}");
            }
        }
    }
}
