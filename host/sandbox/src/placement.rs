//! `PlacementGuest`: a placement policy in the sandbox.

use dataverse_core::policy::{Fault, NodeView, Placement, PlacementRequest};
use wasmtime::component::Func;

use crate::contract::{self, Node, Request};
use crate::instance::{About, Cost, Instance};
use crate::program::Program;
use crate::refusal::Refusal;

type Arguments<'a> = (Request<'a>, &'a [Node<'a>]);
type Answer = (Vec<u32>,);

/// One instance of a placement policy.
pub struct PlacementGuest {
    instance: Instance,
    place: Func,
}

impl PlacementGuest {
    pub(crate) fn new(mut instance: Instance) -> Result<Self, Refusal> {
        let place = instance.function(contract::PLACEMENT, "place")?;
        instance.typed::<Arguments<'_>, Answer>(place, "place")?;
        Ok(Self { instance, place })
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

impl Placement for PlacementGuest {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        let candidates: Vec<Node<'_>> = candidates.iter().map(Node::from).collect();
        let request = Request {
            file: (&request.file).into(),
            factor: request.factor,
            now: request.now,
        };
        let place = self.place;
        let (order,) = self.instance.call(|store| {
            // Types that borrow can't be kept, so they are compared again; it takes a fraction of the call.
            let place = place.typed::<Arguments<'_>, Answer>(&*store)?;
            place.call(store, (request, &candidates))
        })?;
        self.instance.bounded(order)
    }
}
