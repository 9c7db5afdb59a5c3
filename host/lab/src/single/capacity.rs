//! `Capacity`: the size of a cache, as a user gives it.

use super::access::Unit;
use super::survey::Survey;

/// The size of a cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Capacity {
    /// This many of the unit.
    Plain(u64),
    /// This many bytes.
    Bytes(u64),
    /// This share of all objects of the trace, or of their bytes: above 0; 1 means all.
    Share(f64),
}

impl Capacity {
    /// Whether it is a valid capacity, whatever the trace.
    ///
    /// # Errors
    /// Why it is not, for people.
    pub fn check(self, unit: Unit) -> Result<(), String> {
        match (self, unit) {
            (Self::Plain(0) | Self::Bytes(0), _) => {
                Err("a capacity of 0 caches nothing".to_owned())
            }
            (Self::Plain(_), _) | (Self::Bytes(_), Unit::Bytes) => Ok(()),
            (Self::Bytes(bytes), Unit::Objects) => Err(format!(
                "a capacity of {bytes} bytes makes no sense where objects are counted: use --unit bytes"
            )),
            (Self::Share(share), _) if share > 0.0 && share <= 1.0 => Ok(()),
            (Self::Share(share), _) => {
                let percent = 100.0 * share;
                Err(format!(
                    "{percent}% is not a capacity: a share must be above 0% and at most 100%"
                ))
            }
        }
    }

    /// The capacity in the unit, for this trace.
    ///
    /// # Errors
    /// Why it is not valid, for people.
    pub fn resolve(self, unit: Unit, survey: &Survey) -> Result<u64, String> {
        self.check(unit)?;
        Ok(match self {
            Self::Plain(units) | Self::Bytes(units) => units,
            Self::Share(share) => {
                let whole = match unit {
                    Unit::Objects => survey.objects as f64,
                    Unit::Bytes => survey.object_bytes as f64,
                };
                (whole * share).max(1.0) as u64
            }
        })
    }
}
