//! A progress bar for slow operations.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Anything shorter needs no bar.
const SHOWN_AFTER: Duration = Duration::from_millis(500);

/// The progress of an operation.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    began: Instant,
    drawn: bool,
}

impl Progress {
    /// A transfer of this many bytes, if that is known. `drawn` shows the bar on standard error.
    pub(super) fn of(name: &str, size: Option<u64>, drawn: bool) -> Self {
        let template = match size {
            Some(_) => {
                "{msg} [{bar:30}] {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}"
            }
            None => "{msg} {spinner} {binary_bytes} {binary_bytes_per_sec}",
        };
        Self::with(template, name, size, drawn)
    }

    /// An operation of this many steps, if that is known.
    pub(super) fn of_steps(name: &str, steps: Option<u64>, drawn: bool) -> Self {
        let template = match steps {
            Some(_) => "{msg} [{bar:30}] {human_pos}/{human_len} {eta} left",
            None => "{msg} {spinner} {human_pos}",
        };
        Self::with(template, name, steps, drawn)
    }

    fn with(template: &str, name: &str, length: Option<u64>, drawn: bool) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(template).expect("the template is constant");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(super::screen::printable(name));
        Self {
            bar,
            began: Instant::now(),
            drawn: !drawn,
        }
    }

    /// This many more bytes are done.
    pub(super) fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
        self.show();
    }

    /// This many steps are done in total.
    pub(super) fn reach(&mut self, steps: u64) {
        self.bar.set_position(steps);
        self.show();
    }

    fn show(&mut self) {
        if !self.drawn && self.began.elapsed() >= SHOWN_AFTER {
            self.drawn = true;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    /// This many bytes were done before.
    pub(super) fn begin_at(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
        self.bar.reset_eta();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
