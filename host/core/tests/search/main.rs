//! The search machine in a small simulated network with its own clock: by hand for exact meanings, and
//! over random graphs against a checker that knows nothing of the machine.

mod by_hand;
mod over_graphs;
mod world;
