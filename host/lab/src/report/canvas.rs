//! Canvas basics: sizes, styles, and the SVG frame around what plotters draws. No other module knows them.
//!
//! plotters draws on whole points, so a drawing has eight points per pixel, and its frame scales it to the
//! available space.

use plotters::coord::Shift;
use plotters::prelude::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea as _, SVGBackend};
use plotters::style::{Color as _, IntoFont as _, RGBColor, ShapeStyle, TextStyle};

use super::palette;
use super::text::escaped;

/// Points per pixel.
const POINTS: f64 = 8.0;
/// Approximate line height in pixels; letters are about half as wide.
pub(super) const TEXT_PIXELS: f64 = 13.0;
/// Pixels of one letter on average.
pub(super) const LETTER_PIXELS: f64 = 7.6;

/// The surface to draw on.
pub(super) type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// The result of drawing.
pub(super) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// A drawing for a page or a file.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    /// The output of plotters, without its frame.
    inside: String,
    size: (f64, f64),
}

/// Converts pixels to points.
pub(super) fn points(pixels: f64) -> i32 {
    (pixels * POINTS).round() as i32
}

/// A stroke of this width in pixels.
pub(super) fn stroke(colour: RGBColor, opacity: f64, pixels: f64) -> ShapeStyle {
    ShapeStyle {
        color: colour.mix(opacity),
        filled: false,
        stroke_width: points(pixels).max(1).unsigned_abs(),
    }
}

/// A filled shape.
pub(super) fn filled(colour: RGBColor, opacity: f64) -> ShapeStyle {
    ShapeStyle {
        filled: true,
        ..stroke(colour, opacity, 0.0)
    }
}

/// Text of the usual size.
pub(super) fn text(colour: RGBColor) -> TextStyle<'static> {
    // plotters divides the size by 1.24 when it writes it.
    let size = TEXT_PIXELS * POINTS * 1.24;
    ("sans-serif", size).into_font().color(&colour)
}

impl Drawing {
    /// Calls `draw` with a canvas of this many pixels.
    pub(super) fn new(
        (width, height): (f64, f64),
        draw: impl FnOnce(&Canvas<'_>) -> Drawn,
    ) -> Self {
        let mut svg = String::new();
        let size = [width, height].map(|it| points(it).unsigned_abs());
        let area = SVGBackend::with_string(&mut svg, (size[0], size[1])).into_drawing_area();
        draw(&area)
            .and_then(|()| area.present())
            .expect("drawing to a string never fails");
        drop(area);
        let inside = svg.split_once('>').map_or("", |(_, rest)| rest);
        let inside = inside.trim_end().trim_end_matches("</svg>");
        Self {
            inside: inside.to_owned(),
            size: (width, height),
        }
    }

    /// As part of a page.
    pub(super) fn in_page(&self, id: &str, title: &str, description: &str) -> String {
        self.framed(id, title, description, "", "")
    }

    /// As a stand-alone file.
    pub(super) fn alone(&self, title: &str, description: &str) -> String {
        let paper = format!(
            "<style>svg{{font-family:system-ui,sans-serif}}{}</style><rect width=\"100%\" height=\"100%\" \
             fill=\"#FEFEFE\"/>",
            palette::dark_rules()
        );
        let (width, height) = self.size;
        let more =
            format!(r#" xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}""#);
        self.framed("drawing", title, description, &more, &paper)
    }

    fn framed(&self, id: &str, title: &str, description: &str, more: &str, under: &str) -> String {
        let (width, height) = (points(self.size.0), points(self.size.1));
        let (title, description) = (escaped(title), escaped(description));
        format!(
            "<svg viewBox=\"0 0 {width} {height}\"{more} role=\"img\" aria-labelledby=\"{id}-title {id}-description\">\
             <title id=\"{id}-title\">{title}</title><desc id=\"{id}-description\">{description}</desc>{under}{}</svg>",
            self.inside
        )
    }
}
