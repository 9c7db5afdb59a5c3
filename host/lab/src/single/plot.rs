//! The curves of a study: the miss ratio over the capacity, one line per policy.

use super::access::Unit;
use super::run::Row;
use crate::report::{self, Curve};

/// The curves as an SVG file: object miss ratio over capacity.
///
/// # Errors
/// Why nothing could be drawn, for people.
pub fn curves_svg(rows: &[Row], unit: Unit) -> Result<String, String> {
    let curves = curves(rows);
    if curves.is_empty() {
        return Err("there are no results to draw".to_owned());
    }
    Ok(report::curves_svg(
        "Cache misses",
        &format!("capacity, {}", unit.as_str()),
        "object miss ratio, misses per request",
        &curves,
    ))
}

fn curves(rows: &[Row]) -> Vec<Curve> {
    let mut curves: Vec<Curve> = Vec::new();
    for row in rows {
        let Ok(figures) = &row.figures else { continue };
        let point = (row.capacity as f64, figures.counts.object_miss());
        match curves.iter_mut().find(|curve| curve.name == row.policy) {
            Some(curve) => curve.points.push(point),
            None => curves.push(Curve {
                name: row.policy.clone(),
                points: vec![point],
            }),
        }
    }
    for curve in &mut curves {
        curve.points.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    curves
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
        assert_eq!(curves(&rows)[0].points, [(10.0, 0.6), (1000.0, 0.3)]);
        let svg = curves_svg(&rows, Unit::Objects).expect("it can be drawn");
        for expected in [
            "lru",
            "&lt;arc&gt;",
            "capacity, objects",
            "object miss ratio",
        ] {
            assert!(svg.contains(expected), "{expected}");
        }
        roxmltree::Document::parse(&svg).expect("it is well-formed");
    }

    #[test]
    fn one_point_is_drawn_and_none_is_refused() {
        let one = curves_svg(&[row("lru", 5, 0)], Unit::Bytes).expect("it can be drawn");
        assert!(one.contains("lru"));
        let failed = Row {
            figures: Err("it did not start".to_owned()),
            ..row("bad", 5, 0)
        };
        assert!(curves_svg(&[failed], Unit::Bytes).is_err());
    }
}
