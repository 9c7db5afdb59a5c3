//! The curves of a study: what share of requests is missed, over the room that there is, a line a policy.

use plotters::prelude::*;

use super::access::Unit;
use super::run::Row;

const SIZE: (u32, u32) = (900, 560);
/// Ink that the style below replaces, so that the drawing can be read on light and on dark.
const INK: RGBColor = RGBColor(1, 2, 3);
const GRID: RGBColor = RGBColor(4, 5, 6);
const STYLE: &str = "<style>\
    svg{background:#fff}text,[fill=\"#010203\"]{fill:#1c2024}[stroke=\"#010203\"]{stroke:#1c2024}\
    [stroke=\"#040506\"]{stroke:#d9dde1}\
    @media(prefers-color-scheme:dark){svg{background:#14171a}text,[fill=\"#010203\"]{fill:#e6e8ea}\
    [stroke=\"#010203\"]{stroke:#e6e8ea}[stroke=\"#040506\"]{stroke:#3a4046}}</style>";
/// Okabe and Ito's colours, told apart by the colour-blind and readable on light and on dark, and three more.
const COLOURS: [RGBColor; 10] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(128, 128, 128),
    RGBColor(124, 92, 214),
    RGBColor(178, 34, 52),
    RGBColor(112, 130, 20),
];

/// The curves as an SVG: object miss ratio over capacity, which goes up by factors.
///
/// # Errors
/// Why nothing could be drawn, for people.
pub fn curves_svg(rows: &[Row], unit: Unit) -> Result<String, String> {
    let curves = curves(rows);
    let points = || curves.iter().flat_map(|(_, points)| points);
    let lowest = points().map(|&(capacity, _)| capacity).min();
    let highest = points().map(|&(capacity, _)| capacity).max();
    let (Some(lowest), Some(highest)) = (lowest, highest) else {
        return Err("there is no figure to draw".to_owned());
    };
    let most = points().map(|&(_, miss)| miss).fold(0.01, f64::max);
    let mut svg = String::new();
    draw(
        &mut svg,
        &curves,
        lowest..highest.max(lowest + 1),
        most,
        unit,
    )
    .map_err(|error| error.to_string())?;
    let end = svg.find('>').map_or(0, |end| end + 1);
    svg.insert_str(end, STYLE);
    Ok(svg)
}

/// A policy's name and its points, by capacity.
type Curve<'a> = (&'a str, Vec<(u64, f64)>);

fn curves(rows: &[Row]) -> Vec<Curve<'_>> {
    let mut curves: Vec<Curve<'_>> = Vec::new();
    for row in rows {
        let Ok(figures) = &row.figures else { continue };
        let point = (row.capacity, figures.counts.object_miss());
        match curves.iter_mut().find(|(name, _)| *name == row.policy) {
            Some((_, points)) => points.push(point),
            None => curves.push((&row.policy, vec![point])),
        }
    }
    for (_, points) in &mut curves {
        points.sort_by_key(|&(capacity, _)| capacity);
    }
    curves
}

fn draw(
    svg: &mut String,
    curves: &[Curve<'_>],
    capacities: std::ops::Range<u64>,
    most: f64,
    unit: Unit,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    let text = ("sans-serif", 15).into_font().color(&INK);
    let mut chart = ChartBuilder::on(&area)
        .margin(18)
        .x_label_area_size(48)
        .y_label_area_size(64)
        .build_cartesian_2d(capacities.log_scale(), 0.0..most * 1.05)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(6)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .axis_style(INK)
        .label_style(text.clone())
        .axis_desc_style(text.clone())
        .x_desc(format!("capacity ({})", unit.as_str()))
        .y_desc("object miss ratio (misses per request)")
        .x_label_formatter(&|&capacity| label(capacity, unit))
        .draw()?;
    for ((name, points), number) in curves.iter().zip(0..) {
        let colour = COLOURS[number % COLOURS.len()];
        // Beyond the colours, curves are told apart by their points.
        let filled = number < COLOURS.len();
        let style = ShapeStyle {
            color: colour.to_rgba(),
            filled,
            stroke_width: 2,
        };
        let points = || points.iter().copied();
        chart
            .draw_series(LineSeries::new(points(), style))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
        chart.draw_series(points().map(|point| Circle::new(point, 3, style)))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .label_font(text)
        .border_style(GRID)
        .draw()?;
    area.present()?;
    Ok(())
}

fn label(capacity: u64, unit: Unit) -> String {
    match unit {
        Unit::Objects => capacity.to_string(),
        Unit::Bytes => indicatif::BinaryBytes(capacity).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::single::{Counts, Figures};

    fn row(policy: &str, capacity: u64, misses: u64) -> Row {
        let counts = Counts {
            requests: 100,
            misses,
            ..Counts::default()
        };
        Row {
            policy: policy.to_owned(),
            digest: None,
            capacity,
            figures: Ok(Figures {
                counts,
                ..Figures::default()
            }),
        }
    }

    #[test]
    fn every_policy_has_a_curve_and_the_drawing_has_axes() {
        let rows = [
            row("lru", 1000, 30),
            row("lru", 10, 60),
            row("<arc>", 10, 50),
        ];
        assert_eq!(curves(&rows)[0], ("lru", vec![(10, 0.6), (1000, 0.3)]));
        let svg = curves_svg(&rows, Unit::Objects).expect("it can be drawn");
        for expected in [
            "lru",
            "&lt;arc&gt;",
            "capacity (objects)",
            "object miss ratio",
        ] {
            assert!(svg.contains(expected), "{expected}");
        }
        roxmltree::Document::parse(&svg).expect("it is well-formed");
    }

    #[test]
    fn one_point_is_drawn_and_none_is_refused() {
        let one = curves_svg(&[row("lru", 5, 0)], Unit::Bytes).expect("it can be drawn");
        assert!(one.contains("<circle"));
        let failed = Row {
            figures: Err("it did not start".to_owned()),
            ..row("bad", 5, 0)
        };
        assert!(curves_svg(&[failed], Unit::Bytes).is_err());
    }
}
