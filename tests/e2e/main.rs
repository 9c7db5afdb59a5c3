//! End-to-end tests: the real binary, real processes, real sockets on ports that the system picks, real files.
//!
//! `world` starts and stops nodes and knows nothing of what is tested. Each other module covers one subject and
//! reads as a list of behaviours.

mod cli;
mod clocks;
mod conditions;
mod contract;
mod crashes;
mod drain;
mod earlier;
mod evil;
mod failures;
mod files;
mod grpc;
#[path = "../../host/sandbox/tests/guests/mod.rs"]
mod guests;
mod identity;
mod large;
mod linearizable;
mod policies;
mod recording;
mod refusals;
mod scrub;
mod soak;
mod story;
mod tampering;
mod weather;
mod world;
mod writers;
