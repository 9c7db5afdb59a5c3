//! The output files of the lab's commands.

use std::path::PathBuf;

/// Parses the file name of a plot. Plots are SVG, so no other ending is accepted.
pub(super) fn svg(text: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(text);
    let ending = file.extension().unwrap_or_default();
    match ending.eq_ignore_ascii_case("svg") {
        true => Ok(file),
        false => Err("the plot is an SVG file; give a name that ends in .svg".to_owned()),
    }
}

/// Endings that suggest a single file of some format.
const FILE_ENDINGS: [&str; 10] = [
    "csv", "gz", "html", "json", "pdf", "png", "svg", "toml", "txt", "zip",
];

/// Parses the name of a folder for results. Results are several files, so a name that suggests one file is
/// refused.
pub(super) fn results(text: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(text);
    let ending = folder.extension().unwrap_or_default().to_string_lossy();
    let is_one = |it: &&str| ending.eq_ignore_ascii_case(it);
    match FILE_ENDINGS.into_iter().find(is_one) {
        Some(ending) if !folder.is_dir() => Err(format!(
            "results are written to a folder, as results.json, results.csv and report.html; give a name that does not \
             end in .{ending}"
        )),
        _ => Ok(folder),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_a_folder() {
        for name in ["out", "a/b.v2", "run-0.5", "results"] {
            assert_eq!(results(name), Ok(PathBuf::from(name)));
        }
        for name in ["report.html", "a/results.CSV", "x.json"] {
            assert!(results(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_plot_is_called_what_it_is() {
        for name in ["x.svg", "a/b.SVG", ".hidden.svg", "x.png.svg"] {
            assert_eq!(svg(name), Ok(PathBuf::from(name)));
        }
        for name in ["x.png", "x", "x.svgz", "svg", ".svg", "", "x.svg.png"] {
            assert!(svg(name).is_err(), "{name}");
        }
    }
}
