//! `Chart`: lines over two axes, each with its name next to its end.

use plotters::chart::ChartContext;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::element::{
    Circle, Cross, DashedPathElement, PathElement, Polygon, Rectangle, Text, TriangleMarker,
};
use plotters::prelude::{ChartBuilder, SVGBackend};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, RGBColor};

use super::axis::Axis;
use super::canvas::{
    Canvas, Drawing, Drawn, LETTER_PIXELS, TEXT_PIXELS, filled, points, stroke, text,
};
use super::palette::{INK_COLOUR, LINES_TOLD_APART, MUTED_COLOUR, RULE_COLOUR, line_colour};
use super::text::{plain, short};

const WIDTH: f64 = 450.0;
const HEIGHT: f64 = 290.0;
/// Height of a title in pixels.
const TITLE: f64 = 26.0;
const TITLE_CHARS_MAX: usize = 60;
/// Maximum number of lines in one chart; more can't be told apart.
pub(super) const LINES_MAX: usize = 12;
/// Maximum number of points of a line that still gets marks and whiskers.
const MARKED_POINTS_MAX: usize = 24;
/// Maximum number of points drawn per line; of more, every n-th is drawn.
const DRAWN_POINTS_MAX: usize = 600;
/// Fraction of the axis over which the whiskers at one value are spread.
const ASIDE: f64 = 0.03;
/// Maximum letters in the label of the vertical axis.
const LABEL_CHARS_MAX: usize = 36;
/// Maximum letters in the name next to a line.
const NAME_CHARS_MAX: usize = 17;

/// How the points of a line are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// By straight lines.
    Straight,
    /// The value holds until the next point.
    Steps,
    /// Not at all: values between two points have no meaning.
    Apart,
}

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    /// Its name.
    pub(super) name: String,
    /// Its number, which determines its colour and mark: the same in every chart of a report.
    pub(super) number: usize,
    /// `x`, `y` and half the width of the interval of `y`; `x` ascending.
    pub(super) points: Vec<(f64, f64, Option<f64>)>,
}

/// Lines over two axes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chart {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) joined: Joined,
    /// Written above a stand-alone chart.
    pub(super) title: Option<String>,
    /// At most [`LINES_MAX`] of them are drawn.
    pub(super) lines: Vec<Line>,
}

type Axes<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Places, Places>>;

/// An axis as plotters sees it: positions, some of which have a tick label.
struct Places {
    ends: (f64, f64),
    marked: Vec<f64>,
}

impl Places {
    fn of(axis: &Axis) -> Self {
        Self {
            ends: axis.ends,
            marked: axis.marks.iter().map(|it| it.0).collect(),
        }
    }
}

impl Ranged for Places {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (place - self.ends.0) / (self.ends.1 - self.ends.0);
        (f64::from(from) + share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            Vec::new()
        } else {
            self.marked.clone()
        }
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.ends.0..self.ends.1
    }
}

impl Chart {
    /// Draws it.
    pub(super) fn drawing(&self) -> Drawing {
        let above = self.title.as_ref().map_or(0.0, |_| TITLE);
        Drawing::new((WIDTH, HEIGHT + above), |canvas| self.draw(canvas, above))
    }

    /// A sentence about lines hidden under others; empty if there are none.
    pub(super) fn hidden(&self) -> String {
        let shown: Vec<&Line> = self.shown().collect();
        let is_hidden = |place: usize| {
            let later = shown[place + 1..].iter();
            later
                .clone()
                .any(|other| other.points == shown[place].points)
        };
        let hidden = (0..shown.len()).filter(|place| is_hidden(*place));
        let names: Vec<&str> = hidden.map(|place| shown[place].name.as_str()).collect();
        match names[..] {
            [] => String::new(),
            [one] => format!(" {one} is hidden under an identical line."),
            _ => format!(" {} are hidden under identical lines.", names.join(", ")),
        }
    }

    fn shown(&self) -> impl Iterator<Item = &Line> {
        let shown = self.lines.iter().filter(|line| !line.points.is_empty());
        shown.take(LINES_MAX)
    }

    fn draw(&self, canvas: &Canvas<'_>, above: f64) -> Drawn {
        let letters = |it: &str| it.chars().count() as f64 * LETTER_PIXELS;
        let names = self
            .shown()
            .map(|line| letters(&short(&line.name, NAME_CHARS_MAX)));
        let right = names.fold(0.0, f64::max) + 26.0;
        let y_marks = self.y.marks.iter().map(|it| letters(&it.1));
        let left = y_marks.fold(0.0, f64::max) + 2.2 * TEXT_PIXELS;
        let x = self.x.clone().thinned(WIDTH - left - right, LETTER_PIXELS);
        let mut axes = ChartBuilder::on(canvas)
            .margin_top(points(10.0 + above))
            .margin_left(points(4.0))
            .margin_right(points(right))
            .x_label_area_size(points(3.4 * TEXT_PIXELS))
            .y_label_area_size(points(left))
            .build_cartesian_2d(Places::of(&x), Places::of(&self.y))?;
        axes.configure_mesh()
            .disable_x_mesh()
            .bold_line_style(stroke(RULE_COLOUR, 1.0, 1.0))
            .axis_style(stroke(MUTED_COLOUR, 1.0, 1.0))
            .set_all_tick_mark_size(points(4.0))
            .label_style(text(MUTED_COLOUR))
            .axis_desc_style(text(INK_COLOUR))
            .x_desc(plain(&self.x.label))
            .y_desc(short(&self.y.label, LABEL_CHARS_MAX))
            .x_label_formatter(&|place| x.mark(*place))
            .y_label_formatter(&|place| self.y.mark(*place))
            .draw()?;
        if let Some(title) = &self.title {
            let at = (points(8.0), points(8.0));
            canvas.draw(&Text::new(
                short(title, TITLE_CHARS_MAX),
                at,
                text(INK_COLOUR),
            ))?;
        }
        for line in self.shown() {
            self.draw_line(canvas, &mut axes, line)?;
        }
        self.draw_names(canvas, &axes)
    }

    fn draw_line(&self, canvas: &Canvas<'_>, axes: &mut Axes<'_, '_>, line: &Line) -> Drawn {
        let colour = line_colour(line.number);
        let few = line.points.len() <= MARKED_POINTS_MAX;
        let every = line.points.len().div_ceil(DRAWN_POINTS_MAX).max(1);
        let last = line.points.len() - 1;
        let kept = (line.points.iter().enumerate())
            .filter(|(place, _)| place % every == 0 || *place == last)
            .map(|(_, &(x, y, half))| (self.x.place(x), self.y.place(y), half));
        let mut kept: Vec<(f64, f64, Option<f64>)> = kept.collect();
        if few && kept.iter().any(|it| it.2.is_some()) && self.joined == Joined::Straight {
            // Slightly apart, so that whiskers don't hide each other.
            let lines = self.lines.len().min(LINES_MAX) as f64;
            let aside = (line.number as f64 + 0.5) / lines - 0.5;
            let width = (self.x.ends.1 - self.x.ends.0) * ASIDE;
            kept.iter_mut().for_each(|it| it.0 += aside * width);
        }
        let whole: Vec<(f64, f64)> = kept.iter().map(|&(x, y, _)| (x, y)).collect();
        if !few && kept.iter().any(|it| it.2.is_some()) {
            axes.draw_series([band(&kept, colour)])?;
        }
        let path = match self.joined {
            Joined::Straight => whole,
            Joined::Steps => steps(&whole),
            Joined::Apart => Vec::new(),
        };
        let style = stroke(colour, 1.0, 2.0);
        if line.number < LINES_TOLD_APART {
            axes.draw_series([PathElement::new(path, style)])?;
        } else {
            let (dash, gap) = (points(6.0), points(4.0));
            axes.draw_series([DashedPathElement::new(path, dash, gap, style)])?;
        }
        if few {
            self.draw_whiskers(axes, &kept, colour)?;
            for &(x, y, _) in &kept {
                draw_mark(canvas, axes.backend_coord(&(x, y)), line.number)?;
            }
        }
        Ok(())
    }

    /// Draws the intervals that are large enough to be visible.
    fn draw_whiskers(
        &self,
        axes: &mut Axes<'_, '_>,
        kept: &[(f64, f64, Option<f64>)],
        colour: RGBColor,
    ) -> Drawn {
        let (low, high) = self.y.ends;
        let cap = (self.x.ends.1 - self.x.ends.0) * 0.008;
        for &(x, y, half) in kept {
            let half = half.unwrap_or(0.0);
            if half > (high - low) * 0.005 {
                let (from, to) = ((y - half).max(low), (y + half).min(high));
                let paths = [
                    vec![(x, from), (x, to)],
                    vec![(x - cap, from), (x + cap, from)],
                    vec![(x - cap, to), (x + cap, to)],
                ];
                axes.draw_series(
                    paths.map(|path| PathElement::new(path, stroke(colour, 1.0, 1.2))),
                )?;
            }
        }
        Ok(())
    }

    /// Writes the lines' names at their ends, one below the other where they would overlap.
    fn draw_names(&self, canvas: &Canvas<'_>, axes: &Axes<'_, '_>) -> Drawn {
        let (across, down) = axes.plotting_area().get_pixel_range();
        let (edge, bottom) = (across.end, down.end);
        let mut names: Vec<(i32, (i32, i32), &Line)> = self
            .shown()
            .map(|line| {
                let &(x, y, _) = line
                    .points
                    .last()
                    .expect("lines without points are not shown");
                let end = axes.backend_coord(&(self.x.place(x), self.y.place(y)));
                (end.1, end, line)
            })
            .collect();
        names.sort_by_key(|&(height, _, line)| (height, line.number));
        let mut heights: Vec<i32> = names.iter().map(|it| it.0).collect();
        set_apart(&mut heights, points(TEXT_PIXELS * 1.15), bottom);
        for (&(_, end, line), height) in names.iter().zip(heights) {
            let colour = line_colour(line.number);
            let start = (edge + points(16.0), height);
            let lead = vec![
                end,
                (edge + points(6.0), height),
                (edge + points(13.0), height),
            ];
            if self.joined == Joined::Apart {
                draw_mark(canvas, (edge + points(9.0), height), line.number)?;
            } else {
                canvas.draw(&PathElement::new(lead, stroke(colour, 0.7, 1.0)))?;
            }
            let beside = text(INK_COLOUR).pos(Pos::new(HPos::Left, VPos::Center));
            canvas.draw(&Text::new(short(&line.name, NAME_CHARS_MAX), start, beside))?;
        }
        Ok(())
    }
}

/// The area within the intervals of a line with many points.
fn band(points: &[(f64, f64, Option<f64>)], colour: RGBColor) -> Polygon<(f64, f64)> {
    let edge = |sign: f64| {
        points
            .iter()
            .map(move |&(x, y, half)| (x, y + sign * half.unwrap_or(0.0)))
    };
    let outline: Vec<(f64, f64)> = edge(1.0).chain(edge(-1.0).rev()).collect();
    Polygon::new(outline, colour.mix(0.16))
}

fn steps(whole: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut path: Vec<(f64, f64)> = Vec::with_capacity(2 * whole.len());
    for &(x, y) in whole {
        if let Some(&(_, before)) = path.last() {
            path.push((x, before));
        }
        path.push((x, y));
    }
    path
}

/// Draws one of four shapes, so that lines can be told apart without colour.
pub(super) fn draw_mark(canvas: &Canvas<'_>, (x, y): (i32, i32), number: usize) -> Drawn {
    let colour = line_colour(number);
    let style = filled(colour, 1.0);
    let half = points(2.9);
    match number % 4 {
        0 => canvas.draw(&Circle::new((x, y), points(3.3), style)),
        1 => canvas.draw(&TriangleMarker::new((x, y), points(4.2), style)),
        2 => canvas.draw(&Rectangle::new(
            [(x - half, y - half), (x + half, y + half)],
            style,
        )),
        _ => canvas.draw(&Cross::new((x, y), points(3.2), stroke(colour, 1.0, 2.0))),
    }
}

/// Moves ascending heights apart by `gap`; none goes below `bottom` as long as there is space above.
fn set_apart(heights: &mut [i32], gap: i32, bottom: i32) {
    let mut least = 0;
    for height in heights.iter_mut() {
        *height = (*height).max(least);
        least = *height + gap;
    }
    let mut most = bottom;
    for height in heights.iter_mut().rev() {
        *height = (*height).min(most);
        most = *height - gap;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_do_not_overlap() {
        let check = |heights: &[i32], expected: &[i32]| {
            let mut apart = heights.to_vec();
            set_apart(&mut apart, 10, 100);
            assert_eq!(apart, expected);
        };
        check(&[20, 21, 22], &[20, 30, 40]);
        check(&[20, 95, 96], &[20, 90, 100]);
        check(&[100, 100, 100], &[80, 90, 100]);
    }

    #[test]
    fn a_line_under_another_is_told() {
        let line = |name: &str, y: f64| Line {
            name: name.to_owned(),
            number: 0,
            points: vec![(0.0, y, None)],
        };
        let axis = || Axis::over("x", [0.0, 1.0].into_iter());
        let hidden = |lines: Vec<Line>| {
            let chart = Chart {
                x: axis(),
                y: axis(),
                joined: Joined::Straight,
                title: None,
                lines,
            };
            chart.hidden()
        };
        assert_eq!(hidden(vec![line("a", 1.0), line("b", 0.5)]), "");
        assert_eq!(
            hidden(vec![line("a", 1.0), line("b", 0.5), line("c", 1.0)]),
            " a is hidden under an identical line."
        );
    }

    #[test]
    fn a_value_holds_until_the_next() {
        assert_eq!(
            steps(&[(0.0, 1.0), (2.0, 3.0)]),
            [(0.0, 1.0), (2.0, 1.0), (2.0, 3.0)]
        );
    }
}
