//! What is said while an experiment runs: a bar with the time left, or a line now and then where there is no
//! terminal to draw on.

use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dataverse_lab::experiment::{EndedRun, Experiment, Watch};
use indicatif::{FormattedDuration, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::screen::printable;

/// How often a line is written where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// How far an experiment has come, on standard error.
pub(super) struct Told {
    bar: ProgressBar,
    is_drawn: bool,
    runs: usize,
    ended: AtomicU64,
    began: Instant,
    last_line: Mutex<Instant>,
}

impl Told {
    pub(super) fn of(experiment: &Experiment, is_drawn: bool) -> Self {
        let target = match is_drawn {
            true => ProgressDrawTarget::stderr(),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(Some(experiment.requests()), target);
        let template = "[{bar:30}] {percent} %  {msg}  {eta} left";
        let style = ProgressStyle::with_template(template).expect("the template is constant");
        bar.set_style(style.progress_chars("=> "));
        let told = Self {
            bar,
            is_drawn,
            runs: experiment.runs(),
            ended: AtomicU64::new(0),
            began: Instant::now(),
            last_line: Mutex::new(Instant::now()),
        };
        told.bar.set_message(told.runs_ended());
        told
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn runs_ended(&self) -> String {
        format!(
            "{} of {} runs",
            self.ended.load(Ordering::Relaxed),
            self.runs
        )
    }

    /// At the pace so far.
    fn left(&self) -> Option<Duration> {
        let (done, all) = (self.bar.position(), self.bar.length()?);
        let to_do = all.saturating_sub(done);
        (done > 0).then(|| self.began.elapsed().mul_f64(to_do as f64 / done as f64))
    }

    fn line_now_and_then(&self) {
        if self.is_drawn {
            return;
        }
        let mut last = self
            .last_line
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < LINE_EVERY {
            return;
        }
        *last = Instant::now();
        let left = self.left().map_or_else(String::new, |left| {
            format!(", {} left", FormattedDuration(left))
        });
        unheard(&format!("{}{left}", self.runs_ended()));
    }

    fn line(&self, text: &str) {
        if self.is_drawn {
            self.bar.println(text);
        } else {
            unheard(text);
        }
    }
}

/// A line on standard error. That nobody listens any more is no reason for a run to fail.
fn unheard(text: &str) {
    let _unheard = writeln!(io::stderr(), "{text}");
}

impl Watch for Told {
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
