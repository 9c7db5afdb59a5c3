//! `man`: prints the manual.

use clap::CommandFactory as _;
use clap_mangen::Man as Page;

use super::Cli;
use super::failure::Failure;
use super::screen::Screen;

/// Print the manual: a page for the program and one for each command
#[derive(Debug, clap::Args)]
pub(super) struct Man {}

impl Man {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        let mut manual = Vec::new();
        render(&program, &mut manual)
            .map_err(|error| Failure::refused(format!("can't write the manual: {error}")))?;
        screen.bytes(&manual)
    }
}

/// Renders the page of a command and those of its subcommands.
fn render(command: &clap::Command, manual: &mut Vec<u8>) -> std::io::Result<()> {
    Page::new(command.clone()).render(manual)?;
    command
        .get_subcommands()
        .filter(|within| within.get_name() != "help")
        .try_for_each(|within| render(within, manual))
}
