//! `RelocationGuest`: a relocation policy in the sandbox.

use std::sync::Arc;

use dataverse_core::policy::{Fault, Relocation, RelocationVerdict, RemoteRead};
use wasmtime::component::TypedFunc;

use crate::contract::{self, Node, Read, Reused, Verdict};
use crate::instance::{About, Cost, Instance};
use crate::refusal::Refusal;

/// One instance of a relocation policy.
pub struct RelocationGuest {
    instance: Instance,
    on_read: TypedFunc<(Arc<Read>,), (Verdict,)>,
    read: Reused<Read>,
}

impl RelocationGuest {
    pub(crate) fn new(mut instance: Instance) -> Result<Self, Refusal> {
        let on_read = instance.function(contract::RELOCATION, "on-read")?;
        Ok(Self {
            on_read: instance.typed(on_read, "on-read")?,
            instance,
            read: Reused::default(),
        })
    }

    /// The policy's description of itself.
    #[must_use]
    pub fn about(&self) -> &About {
        self.instance.about()
    }

    /// The cost of the last call.
    #[must_use]
    pub fn last_cost(&self) -> Cost {
        self.instance.last_cost()
    }
}

impl Relocation for RelocationGuest {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        let read = self.read.overwrite(|kept| {
            kept.file.overwrite(&read.file);
            kept.reads = read.reads;
            Node::overwrite_all(&mut kept.path, &read.path);
            kept.now = read.now;
        });
        let on_read = &self.on_read;
        let (verdict,) = self.instance.call(|store| on_read.call(store, (read,)))?;
        Ok(RelocationVerdict {
            copy_to: self.instance.bounded(verdict.copy_to)?,
            move_to: verdict.move_to,
        })
    }
}
