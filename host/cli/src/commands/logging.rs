//! What the program says about itself while it works: always on standard error.

use std::io::IsTerminal as _;

use clap::{ArgAction, ValueEnum};
use tracing_subscriber::EnvFilter;

const VARIABLE: &str = "DATAVERSE_LOG_FORMAT";

/// How much is logged, and how it looks.
#[derive(Debug, clap::Args)]
pub(super) struct Logging {
    /// Log more; twice for still more. `RUST_LOG`, where set, decides instead
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Logging")]
    verbose: u8,
    /// How the log on standard error looks [env: DATAVERSE_LOG_FORMAT] [default: text]
    #[arg(long, global = true, help_heading = "Logging", value_name = "FORMAT")]
    log_format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A line for people
    Text,
    /// An object a line
    Json,
}

impl Logging {
    /// Starts logging. A node tells of its life, other commands of what is wrong.
    ///
    /// # Errors
    /// What is wrong with the format that the environment asks for.
    pub(super) fn start(&self, is_node: bool) -> Result<(), String> {
        let format = self.format()?;
        let filter = match std::env::var("RUST_LOG") {
            Ok(filter) if !filter.is_empty() => EnvFilter::builder().parse_lossy(filter),
            _ => EnvFilter::new(self.filter(is_node)),
        };
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal());
        // A second start in one process keeps the first log, which is what was asked for.
        let _kept = match format {
            Format::Text => subscriber.try_init(),
            Format::Json => subscriber.json().try_init(),
        };
        Ok(())
    }

    fn format(&self) -> Result<Format, String> {
        match (self.log_format, super::variable(VARIABLE)) {
            (Some(format), _) => Ok(format),
            (None, None) => Ok(Format::Text),
            (None, Some(word)) => Format::from_str(&word, false)
                .map_err(|_| format!("{VARIABLE} = {word:?}: expected text or json")),
        }
    }

    fn filter(&self, is_node: bool) -> String {
        const LEVELS: [&str; 4] = ["warn", "info", "debug", "trace"];
        let own = usize::from(self.verbose) + usize::from(is_node);
        let level = |verbosity: usize| LEVELS[verbosity.min(LEVELS.len() - 1)];
        // What the libraries say rarely helps: they follow two steps behind.
        let libraries = level(own.saturating_sub(2));
        format!("{libraries},dataverse={own}", own = level(own))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_v_says_more_and_a_node_more_than_other_commands() {
        let check = |verbose, is_node, expected: &str| {
            let logging = Logging {
                verbose,
                log_format: None,
            };
            assert_eq!(logging.filter(is_node), expected);
        };
        check(0, false, "warn,dataverse=warn");
        check(1, false, "warn,dataverse=info");
        check(0, true, "warn,dataverse=info");
        check(2, true, "info,dataverse=trace");
        check(255, true, "trace,dataverse=trace");
    }
}
