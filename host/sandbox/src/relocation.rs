//! `RelocationGuest`: a relocation policy in the sandbox.

use dataverse_core::policy::{Fault, Relocation, RelocationVerdict, RemoteRead};
use wasmtime::component::Func;

use crate::contract::{self, Node, Read, Verdict};
use crate::instance::{About, Cost, Instance};
use crate::program::Program;
use crate::refusal::Refusal;

/// One instance of a relocation policy.
pub struct RelocationGuest {
    instance: Instance,
    on_read: Func,
}

impl RelocationGuest {
    pub(crate) fn new(mut instance: Instance) -> Result<Self, Refusal> {
        let on_read = instance.function(contract::RELOCATION, "on-read")?;
        instance.typed::<(Read<'_>,), (Verdict,)>(on_read, "on-read")?;
        Ok(Self { instance, on_read })
    }

    /// How the policy introduced itself.
    #[must_use]
    pub fn about(&self) -> &About {
        self.instance.about()
    }

    /// What the last call took.
    #[must_use]
    pub fn last_cost(&self) -> Cost {
        self.instance.last_cost()
    }

    /// What it is an instance of.
    #[must_use]
    pub fn program(&self) -> &Program {
        self.instance.program()
    }
}

impl Relocation for RelocationGuest {
    fn on_read(&mut self, read: &RemoteRead) -> Result<RelocationVerdict, Fault> {
        let path: Vec<Node<'_>> = read.path.iter().map(Node::from).collect();
        let read = Read {
            file: (&read.file).into(),
            reads: read.reads,
            path: &path,
            now: read.now,
        };
        let on_read = self.on_read;
        let (verdict,) = self.instance.call(|store| {
            // Types that borrow can't be kept, so they are compared again; it takes a fraction of the call.
            let on_read = on_read.typed::<(Read<'_>,), (Verdict,)>(&*store)?;
            on_read.call(store, (read,))
        })?;
        Ok(RelocationVerdict {
            copy_to: self.instance.bounded(verdict.copy_to)?,
            move_to: verdict.move_to,
        })
    }
}
