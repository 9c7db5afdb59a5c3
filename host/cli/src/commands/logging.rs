//! Sets up the program's log, which always goes to standard error.

use std::io::IsTerminal as _;

use clap::{ArgAction, ValueEnum};
use tracing_subscriber::EnvFilter;

const VARIABLE: &str = "DATAVERSE_LOG_FORMAT";

/// How much is logged, and in which format.
#[derive(Debug, clap::Args)]
pub(super) struct Logging {
    /// Log more; repeat for even more. `RUST_LOG`, if set, takes precedence
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Logging")]
    verbose: u8,
    /// The format of the log on standard error [env: DATAVERSE_LOG_FORMAT] [default: text]
    #[arg(long, global = true, help_heading = "Logging", value_name = "FORMAT")]
    log_format: Option<Format>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One line of text per event
    Text,
    /// One JSON object per event
    Json,
}

impl Logging {
    /// Starts logging. A node logs its life cycle, other commands only warnings and errors.
    ///
    /// # Errors
    /// If the environment asks for an unknown format.
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
        // If logging was already started in this process, the first log is kept.
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
        // Libraries' messages rarely help, so their level is two steps lower.
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
