//! Draws the secret of a new data folder from the system's random numbers.

use dataverse_core::secret::Secret;

/// A new random secret.
pub(crate) fn draw() -> Secret {
    Secret::from_bytes(rand::random())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_differ() {
        assert_ne!(draw(), draw());
    }
}
