//! The sizes of the files in a catalogue.

use std::path::Path;

use dataverse_core::limits;

use super::spec::{Sizes, Spec};
use crate::sample::Draw;

/// The sizes that a file lists, one per line.
///
/// # Errors
/// Why the file can't be used, with the line.
pub(super) fn read(path: &Path) -> Result<Vec<u64>, String> {
    let shown = path.display();
    let text = crate::file::text(path)?;
    let mut sizes = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let size = line
            .parse()
            .ok()
            .filter(|size| (1..=limits::FILE_BYTES_MAX).contains(size));
        let size = size.ok_or_else(|| {
            format!(
                "{shown}, line {}: `{line}` is not a size in bytes",
                number + 1
            )
        })?;
        sizes.push(size);
    }
    match sizes.is_empty() {
        true => Err(format!("{shown} lists no sizes")),
        false => Ok(sizes),
    }
}

/// The size of each file, the most popular first; from one byte to the size limit of a file.
pub(super) fn drawn(spec: &Spec, listed: &[u64], draw: &mut Draw) -> Vec<u64> {
    let mean = spec.size.0 as f64;
    let whole = |size: f64| libm::round(size).clamp(1.0, limits::FILE_BYTES_MAX as f64) as u64;
    let one = |at: u32| match spec.sizes {
        Sizes::Constant => spec.size.0.max(1),
        Sizes::File => listed[at as usize % listed.len()],
        Sizes::LogNormal => {
            let sigma = spec.sigma.value();
            let log_mean = libm::log(mean) - sigma * sigma / 2.0;
            whole(libm::exp(log_mean + sigma * draw.normal()))
        }
        Sizes::Pareto => {
            let shape = spec.shape.value();
            let least = mean * (shape - 1.0) / shape;
            whole(least * libm::pow(1.0 - draw.unit(), -1.0 / shape))
        }
    };
    (0..spec.files).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_of(text: &str) -> f64 {
        let spec: Spec = toml::from_str(text).expect("it can be read");
        let sizes = drawn(&spec, &[1, 3], &mut Draw::new(2));
        sizes.iter().sum::<u64>() as f64 / sizes.len() as f64
    }

    #[test]
    fn sizes_have_the_mean_that_is_asked_for() {
        assert_eq!(mean_of("size = 77"), 77.0);
        assert_eq!(mean_of("sizes = 'file'"), 2.0);
        let mean = mean_of("sizes = 'log-normal'\nfiles = 200000\nsize = 100000\nsigma = 0.8");
        assert!((mean / 1e5 - 1.0).abs() < 0.01, "{mean}");
        let mean = mean_of("sizes = 'pareto'\nfiles = 200000\nsize = 100000\nshape = 3");
        assert!((mean / 1e5 - 1.0).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_list_of_sizes_is_checked_line_by_line() {
        let folder = tempfile::tempdir().expect("the disk has space");
        let path = folder.path().join("sizes");
        let list = |text: &str| {
            std::fs::write(&path, text).expect("it can be written");
            read(&path)
        };
        assert_eq!(list("# bytes\n10\n\n20 # two\n"), Ok(vec![10, 20]));
        for (text, expected) in [
            ("1\nx", "line 2: `x`"),
            ("0", "line 1"),
            ("#", "lists no sizes"),
        ] {
            let error = list(text).expect_err(text);
            assert!(error.contains(expected), "{error}");
        }
    }
}
