//! The output of commands: data on one stream, everything else on the other.
//!
//! Names come from strangers. Text for people never contains a control character or one that reorders text, so no
//! file name can move the cursor or pass for another.

use std::io::{self, IsTerminal as _, Write};

use super::failure::Failure;

/// The two output streams of a command.
pub(super) struct Screen<'a> {
    data: Box<dyn Write + 'a>,
    notes: Box<dyn Write + 'a>,
    /// Whether progress bars can be drawn.
    pub(super) bars: bool,
    /// Whether a user can answer a question.
    asks: bool,
    has_data: bool,
}

impl Screen<'static> {
    /// This process's standard output and error.
    pub(super) fn of_the_process() -> Self {
        Self {
            data: Box::new(io::stdout()),
            notes: Box::new(io::stderr()),
            bars: io::stderr().is_terminal(),
            asks: io::stdin().is_terminal() && io::stderr().is_terminal(),
            has_data: false,
        }
    }
}

impl<'a> Screen<'a> {
    /// These two streams, without progress bars.
    #[cfg(test)]
    pub(super) fn of(data: impl Write + 'a, notes: impl Write + 'a) -> Self {
        Self {
            data: Box::new(data),
            notes: Box::new(notes),
            bars: false,
            asks: false,
            has_data: false,
        }
    }

    /// Prints a line of data.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Prints data unchanged.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.has_data |= !bytes.is_empty();
        self.data.write_all(bytes).map_err(not_written)
    }

    /// Whether any data was printed.
    pub(super) fn has_data(&self) -> bool {
        self.has_data
    }

    /// Prints a table of data.
    pub(super) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) -> Result<(), Failure> {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        if !head.is_empty() {
            table.set_header(head);
        }
        for row in rows {
            table.add_row(row.iter().map(|cell| printable(cell)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let text = table.to_string();
        for line in text.lines() {
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Prints a note that is not data. A closed stream is not a failure.
    pub(super) fn note(&mut self, text: &str) {
        let _unheard = writeln!(self.notes, "{}", printable_lines(text));
    }

    /// Reports why a command failed, unless that has happened.
    pub(super) fn failed(&mut self, failure: &Failure) {
        match failure {
            Failure::Told(_) | Failure::Closed => {}
            failure => self.note(&format!("error: {failure}")),
        }
    }

    /// Reports a failure as JSON on standard output, if JSON was requested and none was printed yet.
    pub(super) fn failed_as_json(&mut self, failure: &Failure) {
        if self.has_data() {
            return;
        }
        if let Some(json) = failure.as_json(&[]) {
            // A write error was reported before, or nobody is reading.
            let _unheard = self.line(&json.to_string());
        }
    }

    /// Asks a yes-or-no question; returns no if nobody can answer.
    pub(super) fn confirm(&mut self, question: &str) -> bool {
        if !self.asks {
            return false;
        }
        let _unheard = write!(self.notes, "{} [y/N] ", printable(question));
        let _unheard = self.notes.flush();
        let mut answer = String::new();
        let read = io::stdin().read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// Makes sure that all data has been written.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.data.flush().map_err(not_written)
    }
}

fn not_written(error: io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::Closed;
    }
    Failure::refused(format!("can't write the output: {error}"))
}

/// Escapes every character that would not be shown as itself.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// The same for text of several lines.
fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    lines.join("\n")
}

fn shown(char: char) -> String {
    let misleading = matches!(char,
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    if char.is_control() || misleading {
        char.escape_default().to_string()
    } else {
        char.to_string()
    }
}

/// A byte count for people.
pub(super) fn size(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// A duration for people; `-` if there is none.
pub(super) fn ago(seconds: Option<u64>) -> String {
    seconds.map_or("-".to_owned(), |seconds| {
        indicatif::HumanDuration(std::time::Duration::from_secs(seconds)).to_string()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_not_move_the_cursor_or_reorder_text() {
        assert_eq!(printable("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(printable("a\u{202e}txt.exe"), "a\\u{202e}txt.exe");
        assert_eq!(printable("tab\tü 文"), "tab\\tü 文");
    }

    #[test]
    fn a_closed_pipe_is_no_failure_to_tell() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut notes = Vec::new();
        let mut screen = Screen::of(Closed, &mut notes);
        let failure = screen.line("x").expect_err("nobody reads it");
        screen.failed(&failure);
        assert_eq!(failure.exit(), super::super::failure::Exit::Done);
        drop(screen);
        assert!(notes.is_empty());
    }
}
