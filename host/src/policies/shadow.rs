//! Stub.
use super::view::Comparison;
use crate::driver::*;
use dataverse_core::policy::{Conduct, FaultKind};
use std::io;
use std::sync::Arc;
pub struct Shadow;
pub struct ShadowReport {
    pub decisions: u64,
    pub faults: Vec<(FaultKind, u64)>,
    pub state: Conduct,
    pub dropped: u64,
    pub comparison: Comparison,
}
impl Shadow {
    pub fn placement(_: &Arc<Judges>, _: &str, _: u64, _: Maker<AnyPlacement>) -> io::Result<Self> {
        Ok(Self)
    }
    pub fn eviction(_: &Arc<Judges>, _: &str, _: u64, _: Maker<AnyEviction>) -> io::Result<Self> {
        Ok(Self)
    }
    pub fn relocation(
        _: &Arc<Judges>,
        _: &str,
        _: u64,
        _: Maker<AnyRelocation>,
    ) -> io::Result<Self> {
        Ok(Self)
    }
    pub fn report(&self) -> ShadowReport {
        ShadowReport {
            decisions: 0,
            faults: vec![],
            state: Conduct::Active,
            dropped: 0,
            comparison: Comparison::Relocation {
                agreement: None,
                bytes: 0,
                active_bytes: 0,
            },
        }
    }
}
