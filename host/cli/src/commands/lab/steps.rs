//! Shows how far a study is: a progress bar, or a line now and then where there is no terminal.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use indicatif::{FormattedDuration, HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex;

/// Anything shorter needs no bar.
const BAR_AFTER: Duration = Duration::from_millis(500);
/// Anything shorter needs no line.
const LINE_AFTER: Duration = Duration::from_secs(2);
/// How often a line is written where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Decides when lines are written.
#[derive(Debug)]
pub(super) struct Lines {
    next: Mutex<Instant>,
}

impl Lines {
    pub(super) fn new() -> Self {
        Self {
            next: Mutex::new(Instant::now() + LINE_AFTER),
        }
    }

    /// Whether a line is due. The first caller to get true writes it.
    pub(super) fn due(&self) -> bool {
        let mut next = self.next.lock();
        let now = Instant::now();
        let due = now >= *next;
        if due {
            *next = now + LINE_EVERY;
        }
        due
    }
}

/// Writes a line to standard error. A closed standard error is not a failure.
pub(super) fn unheard(text: &str) {
    let _unheard = writeln!(io::stderr(), "{text}");
}

/// The remaining time at the pace so far; `None` before anything is done.
pub(super) fn left(bar: &ProgressBar, began: Instant) -> Option<FormattedDuration> {
    let (done, all) = (bar.position(), bar.length()?);
    let to_do = all.saturating_sub(done);
    let left = (done > 0).then(|| began.elapsed().mul_f64(to_do as f64 / done as f64));
    left.map(FormattedDuration)
}

/// Steps of a study, counted from any thread.
#[derive(Debug)]
pub(super) struct Steps {
    name: String,
    bar: ProgressBar,
    /// When the bar is shown, if there is a terminal.
    show_at: Mutex<Option<Instant>>,
    is_sampled: bool,
    began: Instant,
    lines: Lines,
}

impl Steps {
    /// A study of this many steps, if that is known. A bar is drawn on standard error if `is_sampled`.
    pub(super) fn of(name: &str, steps: Option<u64>, is_sampled: bool) -> Self {
        let template = match steps {
            Some(_) => "{msg} [{bar:30}] {percent} %  {eta} left",
            None => "{msg} {spinner} {human_pos}",
        };
        let bar = ProgressBar::with_draw_target(steps, ProgressDrawTarget::hidden());
        let style = ProgressStyle::with_template(template).expect("the template is constant");
        bar.set_style(style.progress_chars("=> "));
        bar.set_message(name.to_owned());
        Self {
            name: name.to_owned(),
            bar,
            show_at: Mutex::new(is_sampled.then(|| Instant::now() + BAR_AFTER)),
            is_sampled,
            began: Instant::now(),
            lines: Lines::new(),
        }
    }

    /// This many more steps are done.
    pub(super) fn advance(&self, steps: u64) {
        self.bar.inc(steps);
        self.show();
    }

    /// This many steps are done in total.
    pub(super) fn reach(&self, steps: u64) {
        self.bar.set_position(steps);
        self.show();
    }

    fn show(&self) {
        if !self.is_sampled {
            if self.lines.due() {
                unheard(&self.line());
            }
            return;
        }
        let mut show_at = self.show_at.lock();
        if show_at.is_some_and(|at| Instant::now() >= at) {
            *show_at = None;
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn line(&self) -> String {
        let (name, done) = (&self.name, self.bar.position());
        match (self.bar.length(), left(&self.bar, self.began)) {
            (Some(all), Some(left)) => {
                let percent = 100 * done.min(all) / all.max(1);
                format!("{name}: {percent} %, {left} left")
            }
            _ => format!("{name}: {} so far", HumanCount(done)),
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_far_it_has_come() {
        let known = Steps::of("asking", Some(400), false);
        known.advance(100);
        known.advance(200);
        let line = known.line();
        assert!(line.starts_with("asking: 75 %, 00:00:"), "{line}");
        let unknown = Steps::of("reading", None, false);
        unknown.reach(1_234_567);
        assert_eq!(unknown.line(), "reading: 1,234,567 so far");
        let empty = Steps::of("empty", Some(0), false);
        assert_eq!(empty.line(), "empty: 0 so far");
    }

    #[test]
    fn lines_are_rare() {
        let lines = Lines {
            next: Mutex::new(Instant::now()),
        };
        assert_eq!([lines.due(), lines.due()], [true, false]);
        assert!(!Lines::new().due(), "what is over at once needs none");
    }
}
