//! `man`: prints the manual.

use clap::CommandFactory as _;
use clap_mangen::Man as Page;

use super::Cli;
use super::failure::Failure;
use super::screen::Screen;

/// Print the manual: a page for the program, then one for each command
#[derive(Debug, clap::Args)]
pub(super) struct Man {}

impl Man {
    pub(super) fn run(self, screen: &mut Screen<'_>) -> Result<(), Failure> {
        let mut program = Cli::command().disable_help_subcommand(true);
        program.build();
        let mut manual = Vec::new();
        let failed = |error| Failure::refused(format!("can't write the manual: {error}"));
        Page::new(program.clone())
            .render(&mut manual)
            .map_err(failed)?;
        for command in program.get_subcommands() {
            Page::new(command.clone())
                .render(&mut manual)
                .map_err(failed)?;
        }
        screen.bytes(&manual)
    }
}
