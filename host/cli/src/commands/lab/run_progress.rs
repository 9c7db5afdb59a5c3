//! Shows how far an experiment is: a bar with the time left, or a line now and then where there is no terminal.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use dataverse_core::plural::plural;
use dataverse_lab::experiment::{EndedRun, Experiment, Watch};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::steps::{Lines, left, unheard};
use crate::commands::screen::printable;

/// The progress of an experiment, on standard error.
pub(super) struct RunProgress {
    bar: ProgressBar,
    is_sampled: bool,
    runs: usize,
    ended: AtomicU64,
    began: Instant,
    lines: Lines,
}

impl RunProgress {
    pub(super) fn of(experiment: &Experiment, is_sampled: bool) -> Self {
        let target = match is_sampled {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(experiment.requests()), target);
        let template = "[{bar:30}] {percent} %  {msg}  {eta} left";
        let style = ProgressStyle::with_template(template).expect("the template is constant");
        bar.set_style(style.progress_chars("=> "));
        let progress = Self {
            bar,
            is_sampled,
            runs: experiment.runs(),
            ended: AtomicU64::new(0),
            began: Instant::now(),
            lines: Lines::new(),
        };
        progress.bar.set_message(progress.runs_ended());
        progress
    }

    /// Removes the bar.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn runs_ended(&self) -> String {
        let ended = self.ended.load(Ordering::Relaxed);
        format!("{ended} of {}", plural(self.runs as u64, "run", "runs"))
    }

    fn line_now_and_then(&self) {
        if self.is_sampled || !self.lines.due() {
            return;
        }
        let left = left(&self.bar, self.began);
        let left = left.map_or_else(String::new, |left| format!(", {left} left"));
        unheard(&format!("{}{left}", self.runs_ended()));
    }

    fn line(&self, text: &str) {
        if self.is_sampled {
            self.bar.println(text);
        } else {
            unheard(text);
        }
    }
}

impl Watch for RunProgress {
    fn advanced(&self, requests: u64) {
        self.bar.inc(requests);
        self.line_now_and_then();
    }

    fn ended(&self, run: &EndedRun<'_>) {
        self.ended.fetch_add(1, Ordering::Relaxed);
        self.bar.set_message(self.runs_ended());
        self.bar.inc(run.left_out);
        if let Some(error) = run.error {
            let at = match run.point {
                "" => String::new(),
                point => format!(" at {point}"),
            };
            self.line(&printable(&format!(
                "{}{at}, repetition {}: {error}",
                run.compare, run.repetition
            )));
        }
        self.line_now_and_then();
    }
}
