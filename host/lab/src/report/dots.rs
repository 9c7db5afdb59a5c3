//! `Dots`: one number of several entries, one below the other, each with its interval.

use plotters::element::{PathElement, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::Axis;
use super::canvas::{Canvas, Drawing, Drawn, LETTER_PIXELS, TEXT_PIXELS, points, stroke, text};
use super::chart::draw_mark;
use super::palette::{INK_COLOUR, MUTED_COLOUR, RULE_COLOUR, line_colour};
use super::text::{plain, short};

const WIDTH: f64 = 450.0;
const ROW: f64 = 26.0;
const TOP: f64 = 10.0;
/// Space below the rows: ticks and the axis label.
const BOTTOM: f64 = 46.0;
/// Maximum letters of a name.
const NAME_CHARS_MAX: usize = 22;

/// One number of several entries.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dots {
    pub(super) x: Axis,
    /// Name, colour number, value, and half the width of the interval.
    pub(super) rows: Vec<(String, usize, f64, Option<f64>)>,
}

impl Dots {
    /// Draws it.
    pub(super) fn drawing(&self) -> Drawing {
        let height = TOP + ROW * self.rows.len() as f64 + BOTTOM;
        Drawing::new((WIDTH, height), |canvas| self.draw(canvas))
    }

    fn draw(&self, canvas: &Canvas<'_>) -> Drawn {
        let letters = self
            .rows
            .iter()
            .map(|it| it.0.chars().count().min(NAME_CHARS_MAX));
        let left = letters.max().unwrap_or(0) as f64 * LETTER_PIXELS + 14.0;
        let right = WIDTH - 24.0;
        let bottom = TOP + ROW * self.rows.len() as f64;
        let x = self.x.clone().thinned(right - left, LETTER_PIXELS);
        let across = |place: f64| {
            let share = (place - x.ends.0) / (x.ends.1 - x.ends.0);
            points(left + share.clamp(0.0, 1.0) * (right - left))
        };
        let line = |from: (i32, i32), to: (i32, i32), style| {
            canvas.draw(&PathElement::new(vec![from, to], style))
        };
        for (place, mark) in &x.marks {
            let at = across(*place);
            line(
                (at, points(TOP)),
                (at, points(bottom)),
                stroke(RULE_COLOUR, 1.0, 1.0),
            )?;
            let under = text(MUTED_COLOUR).pos(Pos::new(HPos::Center, VPos::Top));
            canvas.draw(&Text::new(mark.clone(), (at, points(bottom + 5.0)), under))?;
        }
        let middle = points((left + right) / 2.0);
        let label = text(INK_COLOUR).pos(Pos::new(HPos::Center, VPos::Top));
        canvas.draw(&Text::new(
            plain(&x.label),
            (middle, points(bottom + 5.0 + 1.5 * TEXT_PIXELS)),
            label,
        ))?;
        for (row, (name, number, value, half)) in self.rows.iter().enumerate() {
            let height = points(TOP + ROW * (row as f64 + 0.5));
            let half = half.unwrap_or(0.0);
            let (from, to) = (across(value - half), across(value + half));
            let style = stroke(line_colour(*number), 1.0, 2.0);
            line((from, height), (to, height), style)?;
            for end in [from, to] {
                let cap = points(4.0);
                line((end, height - cap), (end, height + cap), style)?;
            }
            draw_mark(canvas, (across(*value), height), *number)?;
            let beside = text(INK_COLOUR).pos(Pos::new(HPos::Right, VPos::Center));
            canvas.draw(&Text::new(
                short(name, NAME_CHARS_MAX),
                (points(left - 10.0), height),
                beside,
            ))?;
        }
        Ok(())
    }
}
