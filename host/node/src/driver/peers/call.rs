//! Messages between nodes. Every message out carries this node's identity and clock; every message in is checked
//! for the same before anything else is done with it.

use std::sync::Arc;

use dataverse_core::limits::{CLOCK_ADOPTED_MS_MAX, CLOCK_AHEAD_MS_MAX};
use dataverse_core::search::Peer;
use dataverse_overlay::transport::{CallError, Message, Refusal, Sender};

use crate::driver::Driver;

/// The version of the overlay protocol. Nodes of different versions do not link.
pub const PROTOCOL: u32 = 1;

impl Driver {
    /// This node's identity, with its clock.
    pub(in crate::driver) fn sender(&self) -> Sender {
        Sender {
            node: self.me.clone(),
            clock: self.state.node().clock().last(),
            network: Arc::clone(&self.network),
            protocol: PROTOCOL,
            instance: self.instance,
        }
    }

    pub(in crate::driver) fn message<T>(&self, body: T) -> Message<T> {
        Message {
            sender: self.sender(),
            body,
        }
    }

    /// Checks the sender of a call that asks this node for something, and takes in its clock. Refuses a sender
    /// that uses another node's id, and every call while this node is isolated.
    pub(in crate::driver) fn admit_caller(&self, sender: &Sender) -> Result<(), Refusal> {
        self.refuse_isolated()?;
        self.refuse_double(sender)?;
        self.admit_sender(sender)?;
        self.is_heard(sender);
        Ok(())
    }

    /// Checks the sender's protocol, network and clock, and that it was not revoked; takes in the clock.
    pub(in crate::driver) fn admit_sender(&self, sender: &Sender) -> Result<(), Refusal> {
        if sender.protocol != PROTOCOL {
            return Err(Refusal::Invalid(format!(
                "node {} speaks overlay protocol {}, node {} speaks {PROTOCOL}: run the same version of dataverse on both",
                sender.node.name, sender.protocol, self.me.name
            )));
        }
        if sender.network != self.network {
            return Err(Refusal::Invalid(format!(
                "node {} belongs to network `{}`, node {} to `{}`: start both with the same --network to link them",
                sender.node.name, sender.network, self.me.name, self.network
            )));
        }
        // Its connections are refused as well; this holds whatever carries the message.
        if self.is_revoked(sender.node.id) {
            return Err(Refusal::Invalid(format!(
                "node {} was revoked in this network",
                sender.node.name
            )));
        }
        let now = self.now();
        let ahead_ms = sender.clock.millis().saturating_sub(now);
        if (CLOCK_ADOPTED_MS_MAX + 1..=CLOCK_AHEAD_MS_MAX).contains(&ahead_ms) {
            tracing::warn!(node = %sender.node.name, ahead_ms, "a clock is too far ahead to be followed: check the clocks of both machines");
        }
        let observed = self.state.node().observe(sender.clock, now);
        observed.map_err(|error| {
            tracing::warn!(node = %sender.node.name, ahead_ms = error.ahead_ms, "refused a clock that is too far ahead");
            Refusal::Invalid(format!("node {}: {error}", sender.node.name))
        })
    }

    /// The body of an answer, after checking that it comes from the node that was asked.
    pub(in crate::driver) fn answer_of<T>(
        &self,
        asked: &Peer,
        answer: Message<T>,
    ) -> Result<T, CallError> {
        self.admit_sender(&answer.sender)
            .map_err(CallError::Refused)?;
        if answer.sender.node.id != asked.id {
            return Err(CallError::Unreachable {
                address: asked.address.to_string(),
                reason: format!(
                    "node {} listens there now, not {}",
                    answer.sender.node.name, asked.name
                ),
            });
        }
        self.is_heard(&answer.sender);
        Ok(answer.body)
    }
}
