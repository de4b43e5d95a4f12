//! `wgfleet completions`: what a shell completes.

use clap_complete::Shell;

use super::{CommandResult, Exit, write_stdout};

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  wgfleet completions bash > /usr/local/share/bash-completion/completions/wgfleet
  wgfleet completions zsh > /usr/local/share/zsh/site-functions/_wgfleet
  wgfleet completions fish > ~/.config/fish/completions/wgfleet.fish")]
pub(super) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

impl CompletionsArgs {
    /// `root` has all commands.
    pub(super) fn run(&self, root: &mut clap::Command) -> CommandResult {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, root, "wgfleet", &mut text);
        write_stdout(&text)?;
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::arguments;

    #[test]
    fn every_shell_completes_every_command() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut arguments(), "wgfleet", &mut text);
            let text = String::from_utf8(text).unwrap();
            for command in ["init", "check", "plan", "apply", "keygen", "detailed-exitcode"] {
                assert!(text.contains(command), "{shell}: {command}");
            }
        }
    }
}
