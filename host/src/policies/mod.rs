//! The policies of a node: which ones it has, which of them decides now, and how one takes over from another.
//!
//! `wish` is what the operator asked for (`policies.toml`), `view` what is told of it, `desk` what may be
//! asked of it, `name` what a policy may be called; `built_in` are the policies that come with the program. The decisions themselves go through
//! the driver's judges; nothing here takes one.

pub mod baselines;
pub mod built_in;
pub mod desk;
pub mod name;
pub mod view;
pub mod wish;
