//! Files that commands of the lab write.

use std::path::PathBuf;

/// A file for a plot, as the command line takes it: what is drawn is SVG, and no other name promises that.
pub(super) fn svg(text: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(text);
    let ending = file.extension().unwrap_or_default();
    match ending.eq_ignore_ascii_case("svg") {
        true => Ok(file),
        false => Err("the plot is an SVG file; give a name that ends in .svg".to_owned()),
    }
}

/// Endings that promise one file of some kind.
const FILE_ENDINGS: [&str; 10] = [
    "csv", "gz", "html", "json", "pdf", "png", "svg", "toml", "txt", "zip",
];

/// A folder for results, as the command line takes it: they are several files, which no name of one promises.
pub(super) fn results(text: &str) -> Result<PathBuf, String> {
    let folder = PathBuf::from(text);
    let ending = folder.extension().unwrap_or_default().to_string_lossy();
    let is_one = |it: &&str| ending.eq_ignore_ascii_case(it);
    match FILE_ENDINGS.into_iter().find(is_one) {
        Some(ending) if !folder.is_dir() => Err(format!(
            "results are a folder with results.json, results.csv and report.html; give a name that does not end \
             in .{ending}"
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
