//! Whole networks of the live driver in one thread: transport and store in memory, time that advances only when
//! nothing is left to do, and faults on demand.

mod doubles;
mod dripping;
mod faults;
mod goodbye;
mod judging;
mod lies;
mod linking;
mod reconciling;
mod relayout;
mod scrubbing;
mod trust;
mod wanted;
mod world;

pub(super) use world::{key, record};
