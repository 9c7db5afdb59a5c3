//! `Figure`: a drawing on the page, its caption, and its numbers to read and to save.

use super::canvas::Drawing;
use super::text::{csv_link, escaped};

/// Maximum number of rows that the page shows; the saved file has all.
const ROWS_SHOWN_MAX: usize = 120;

/// A drawing and its numbers.
pub(super) struct Figure {
    /// What it shows, in a few words.
    pub(super) title: String,
    /// What a reader needs to know to understand it; may be empty.
    pub(super) caption: String,
    /// A text alternative for readers who can't see it.
    pub(super) description: String,
    pub(super) drawing: Drawing,
    /// Column headings of the numbers.
    pub(super) head: Vec<String>,
    /// All numbers.
    pub(super) rows: Vec<Vec<String>>,
}

impl Figure {
    /// Renders it as part of the page; `number` is unique among the figures.
    pub(super) fn html(&self, number: usize) -> String {
        let id = format!("figure-{number}");
        let caption = match self.caption.as_str() {
            "" => String::new(),
            caption => format!("<p>{}</p>", escaped(caption)),
        };
        format!(
            "<figure id=\"{id}\"><figcaption><h3>{}</h3>{caption}</figcaption>{}{}</figure>\n",
            escaped(&self.title),
            self.drawing.in_page(&id, &self.title, &self.description),
            numbers(&self.title, &self.head, &self.rows)
        )
    }
}

/// Renders numbers as a collapsed table with a link to save them all.
pub(super) fn numbers(title: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let mut all = vec![head.to_vec()];
    all.extend(rows.iter().cloned());
    let left_out = rows.len().saturating_sub(ROWS_SHOWN_MAX);
    let more = match left_out {
        0 => String::new(),
        count => format!(" <span>The file has {count} more rows.</span>"),
    };
    let shown = &rows[..rows.len() - left_out];
    format!(
        "<details class=\"numbers\"><summary>Numbers</summary><p>{}{more}</p>{}</details>",
        csv_link(title, &all),
        table(&format!("Numbers of: {title}"), head, shown)
    )
}

/// Renders a plain table that scrolls horizontally when it is too wide.
pub(super) fn table(name: &str, head: &[String], rows: &[Vec<String>]) -> String {
    let cells = |row: &[String]| -> String {
        let (first, rest) = row.split_first().expect("every row has a first column");
        let rest: String = rest
            .iter()
            .map(|it| format!("<td>{}</td>", escaped(it)))
            .collect();
        format!("<tr><th scope=\"row\">{}</th>{rest}</tr>", escaped(first))
    };
    let head: String = (head.iter())
        .map(|it| format!("<th scope=\"col\">{}</th>", escaped(it)))
        .collect();
    let rows: String = rows.iter().map(|row| cells(row)).collect();
    scrolling(
        name,
        &format!("<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"),
    )
}

/// Wraps content that scrolls horizontally when it is too wide, by keyboard as well.
pub(super) fn scrolling(name: &str, inside: &str) -> String {
    let name = escaped(name);
    format!(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"{name}\">{inside}</div>"
    )
}
