//! Questions as text, for fault messages. The text is built only when there was a fault.

use dataverse_core::policy::{FileView, PlacementRequest};

/// Bytes shown of a file's name.
const SHOWN_BYTES: usize = 120;

/// The text of a placement question.
pub(crate) fn of_placement(request: &PlacementRequest, candidates: usize) -> String {
    let PlacementRequest { file, factor, .. } = request;
    format!(
        "asked to place {factor} of {}, {} bytes; candidates: {candidates}",
        name_of(file),
        file.size
    )
}

/// The text of a relocation question.
pub(crate) fn of_read(file: &FileView, reads: u32, nodes: usize) -> String {
    format!(
        "asked about read {reads} of {}, {} bytes; nodes on the path: {nodes}",
        name_of(file),
        file.size
    )
}

fn name_of(file: &FileView) -> String {
    let name = format!("{}/{}", file.user, file.name);
    match name.floor_char_boundary(SHOWN_BYTES) {
        end if end < name.len() => format!("{:?}…", &name[..end]),
        _ => format!("{name:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_told_in_a_line_of_bounded_length() {
        let mut file = FileView {
            id: 7,
            user: "ada".to_owned(),
            name: "notes\n.txt".to_owned(),
            size: 1000,
        };
        let told = of_read(&file, 3, 4);
        assert!(
            told.contains(r#"read 3 of "ada/notes\n.txt", 1000 bytes"#),
            "{told}"
        );
        file.name = "ü".repeat(1000);
        let request = PlacementRequest {
            file,
            factor: 2,
            now: 0,
        };
        let told = of_placement(&request, 5);
        assert!(
            told.len() < 200 && told.ends_with("candidates: 5"),
            "{told}"
        );
    }
}
