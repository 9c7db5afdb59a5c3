//! Maps the driver's errors to the status codes that dataverse.proto promises.

use dataverse_node::driver::{BodyError, DeleteError, LinkError, ReadError, WriteError};
use tonic::Status;

pub(super) fn write(error: WriteError) -> Status {
    let text = error.to_string();
    match error {
        WriteError::Invalid(_) => Status::invalid_argument(text),
        WriteError::Condition(_) => Status::failed_precondition(text),
        WriteError::TooLarge(_) => Status::out_of_range(text),
        WriteError::NoSpace(_) | WriteError::Busy(_) => Status::resource_exhausted(text),
        WriteError::Body(error) => body(error),
        WriteError::Unavailable(_) => Status::unavailable(text),
        WriteError::Failed(_) => Status::internal(text),
    }
}

pub(super) fn body(error: BodyError) -> Status {
    let text = error.to_string();
    match error {
        BodyError::Client(_) => Status::invalid_argument(text),
        BodyError::Stalled { .. } | BodyError::TooSlow { .. } => Status::deadline_exceeded(text),
        BodyError::Source(_) => Status::unavailable(text),
        BodyError::Failed(_) => Status::internal(text),
    }
}

pub(super) fn read(error: ReadError) -> Status {
    let text = error.to_string();
    match error {
        ReadError::NotFound { .. } => Status::not_found(text),
        ReadError::Unknown { .. }
        | ReadError::Lost { .. }
        | ReadError::Away { .. }
        | ReadError::Unconfirmed { .. }
        | ReadError::Superseded { .. }
        | ReadError::Source(_) => Status::unavailable(text),
        ReadError::Failed(_) => Status::internal(text),
    }
}

pub(super) fn delete(error: DeleteError) -> Status {
    match error {
        DeleteError::Read(error) => read(error),
        DeleteError::Condition(failed) => Status::failed_precondition(failed.to_string()),
        DeleteError::Unavailable(text) => Status::unavailable(text),
    }
}

pub(super) fn link(error: LinkError) -> Status {
    let text = error.to_string();
    match error {
        LinkError::Invalid(_) => Status::invalid_argument(text),
        LinkError::Refused(_) | LinkError::Ambiguous(_) => Status::failed_precondition(text),
        LinkError::Unreachable(_) | LinkError::Wrong(_) => Status::unavailable(text),
        LinkError::Unknown(_) => Status::not_found(text),
        LinkError::Failed(_) => Status::internal(text),
    }
}

#[cfg(test)]
mod tests {
    use dataverse_core::key::Key;
    use tonic::Code;

    use super::*;

    #[test]
    fn a_miss_is_told_from_not_knowing() {
        let key = Key::parse("ada/x").expect("a valid key");
        let miss = read(ReadError::NotFound { key: key.clone() });
        assert_eq!(miss.code(), Code::NotFound);
        assert!(miss.message().contains("ada/x"));
        let outcome = "partial";
        let silent = dataverse_node::driver::Silent::default();
        let unknown = ReadError::Unknown {
            key,
            outcome,
            silent,
        };
        let unknown = delete(unknown.into());
        assert_eq!(unknown.code(), Code::Unavailable);
        assert!(unknown.message().contains("partial"));
    }

    #[test]
    fn a_body_that_stalls_is_told_from_a_broken_one() {
        let stalled = write(BodyError::Stalled { seconds: 30 }.into());
        assert_eq!(stalled.code(), Code::DeadlineExceeded);
        let broken = write(BodyError::Client("it ended".to_owned()).into());
        assert_eq!(broken.code(), Code::InvalidArgument);
    }
}
