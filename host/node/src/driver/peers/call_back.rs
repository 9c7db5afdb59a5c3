//! `CallBacks`: a node that asks for a link is called at the address that it names, and must answer there as the node
//! that it says it is, before the link is kept.
//!
//! So the table of links holds nodes that exist and can be reached, and not what somebody makes up: a search waits for
//! each neighbour that does not answer. Each address is called once at a time, and few are called at the same time, so
//! that nobody can have this node call others again and again.
//!
//! The call changes nothing at the other end, and is answered there without a call of its own. So two nodes that link
//! with each other at the same moment never wait for each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use dataverse_overlay::transport::{
    CallError, CommitAsk, Message, Refusal, Sender, Target, TransportExt,
};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::driver::Driver;
use crate::limits;

/// The addresses that are being called.
#[derive(Default)]
pub(in crate::driver) struct CallBacks(Mutex<BTreeSet<Arc<str>>>);

/// An address that is being called, until this is dropped.
struct Calling<'a> {
    call_backs: &'a CallBacks,
    address: Arc<str>,
}

impl CallBacks {
    fn begin(&self, address: &Arc<str>) -> Result<Calling<'_>, Refusal> {
        let mut called = self.0.lock();
        if called.len() >= limits::CALL_BACKS_MAX || !called.insert(Arc::clone(address)) {
            return Err(Refusal::Busy(format!(
                "this node is calling back others that ask for a link, or {address} already; try again"
            )));
        }
        Ok(Calling {
            call_backs: self,
            address: Arc::clone(address),
        })
    }
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.call_backs.0.lock().remove(&self.address);
    }
}

impl Driver {
    /// Checks that a node which asks for a link answers at the address that it names.
    ///
    /// # Errors
    /// [`Refusal::Busy`] when this node or the other has too much to do, [`Refusal::Absent`] when nobody answers,
    /// [`Refusal::Invalid`] when another node does.
    pub(super) async fn call_back(&self, sender: &Sender) -> Result<(), Refusal> {
        let address = &sender.node.address;
        let _calling = self.call_backs.begin(address)?;
        // A call that nodes of all releases answer. It goes to the address and not to the node, because its failure
        // must not keep this node from calling a node whose id somebody else uses.
        let nothing = self.message(CommitAsk::Abandon { preparation: 0 });
        let ask = self.transport.ask(Target::Address(address), nothing);
        let answer = timeout(self.settings.call_deadline / 2, ask).await;
        let answer = answer.unwrap_or_else(|_| {
            Err(CallError::Deadline {
                address: address.to_string(),
            })
        });
        let refused = match answer {
            Ok(answer) => match self.check_run(sender, answer) {
                Ok(()) => return Ok(()),
                Err(reason) => Refusal::Invalid(self.not_there(sender, &reason)),
            },
            Err(CallError::Refused(busy @ Refusal::Busy(_))) => return Err(busy),
            Err(CallError::Refused(reason)) => {
                Refusal::Invalid(self.not_there(sender, &reason.to_string()))
            }
            Err(error) => Refusal::Absent(self.not_there(sender, &error.to_string())),
        };
        tracing::debug!(node = %sender.node.name, %address, reason = %refused, "refused a link with a node that does not answer when it is called back");
        Err(refused)
    }

    /// Checks that an answer comes from the same run of the same node as the question.
    fn check_run<T>(&self, asked: &Sender, answer: Message<T>) -> Result<(), String> {
        let run = answer.sender.instance;
        self.answer_of(&asked.node, answer)
            .map_err(|error| error.to_string())?;
        // Earlier releases don't send their run.
        match run == asked.instance || [run, asked.instance].contains(&0) {
            true => Ok(()),
            false => Err("another run of this node answers there".to_owned()),
        }
    }

    fn not_there(&self, sender: &Sender, reason: &str) -> String {
        let Sender { node, .. } = sender;
        format!(
            "node {} says that it listens at {}, and node {} does not find it there ({reason}): give it an address at which others reach it (--advertise)",
            node.name, node.address, self.me.name
        )
    }
}
