//! Whole networks of the live driver in one thread: transport and store in memory, time that only passes when
//! nothing is left to do, and everything that can go wrong going wrong.
//!
//! A seed gives a run and replays it to the bit. [`run`](run::run) makes the world, lets clients work in it while
//! faults happen, heals everything, waits until it is quiet, and takes a snapshot. Then [`check`] judges: it
//! knows what clients were told ([`history`]) and what lies on the disks ([`snapshot`]), and nothing of how the
//! system works. [`watched`] judges while the run goes on, at every change of a store.
//!
//! Nothing here decides for the system, and nothing in the system knows that it is simulated.

pub mod chance;
pub mod check;
pub mod client;
pub mod findings;
pub mod history;
pub mod log;
pub mod lying;
pub mod profile;
pub mod run;
pub mod snapshot;
pub mod watched;
pub mod weather;
pub mod world;
