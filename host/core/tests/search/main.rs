//! The search machine in a small simulated network with its own clock: hand-made graphs for exact meanings, and
//! random graphs against a checker that is independent of the machine.

mod by_hand;
mod over_graphs;
mod world;
