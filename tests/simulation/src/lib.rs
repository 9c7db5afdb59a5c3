//! Simulation of whole networks of the live driver in one thread: transport and store in memory, time that only
//! passes when nothing is left to do, and every kind of fault.
//!
//! A seed determines a run and replays it exactly. [`run`](run::run) creates the world, lets clients work in it
//! while faults happen, heals everything, waits until it is quiet, and takes a snapshot. Then [`check`] judges it:
//! it knows what clients observed ([`history`]) and what is on the disks ([`snapshot`]), but nothing about how the
//! system works. [`watched`] checks every change of a store while the run goes on.
//!
//! [`race`](race::race) is another kind of run: clients race with conditional and unconditional writes, deletions
//! and newest reads on few files, and each file's history must be [linearizable](check::linearizable).
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
pub mod race;
pub mod run;
pub mod snapshot;
pub mod watched;
pub mod weather;
pub mod world;
