//! `PlacementGuest`: a placement policy in the sandbox.

use std::sync::Arc;

use dataverse_core::policy::{Fault, NodeView, Placement, PlacementRequest};
use wasmtime::component::TypedFunc;

use crate::contract::{self, Node, Request, Reused};
use crate::instance::{About, Cost, Instance};
use crate::refusal::Refusal;

type PlaceFunc = TypedFunc<(Arc<Request>, Arc<Vec<Node>>), (Vec<u32>,)>;

/// One instance of a placement policy.
pub struct PlacementGuest {
    instance: Instance,
    place: PlaceFunc,
    request: Reused<Request>,
    candidates: Reused<Vec<Node>>,
}

impl PlacementGuest {
    pub(crate) fn new(mut instance: Instance) -> Result<Self, Refusal> {
        let place = instance.function(contract::PLACEMENT, "place")?;
        Ok(Self {
            place: instance.typed(place, "place")?,
            instance,
            request: Reused::default(),
            candidates: Reused::default(),
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

impl Placement for PlacementGuest {
    fn place(
        &mut self,
        request: &PlacementRequest,
        candidates: &[NodeView],
    ) -> Result<Vec<u32>, Fault> {
        let request = self.request.overwrite(|kept| {
            kept.file.overwrite(&request.file);
            kept.factor = request.factor;
            kept.now = request.now;
        });
        let views = candidates;
        let candidates = self
            .candidates
            .overwrite(|kept| Node::overwrite_all(kept, views));
        let place = &self.place;
        let (order,) = self
            .instance
            .call(|store| place.call(store, (request, candidates)))?;
        self.instance.bounded(order)
    }
}
