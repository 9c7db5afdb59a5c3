//! `SearchPlans`: the search plan of each node that was searched from lately.
//!
//! Until a search finds the file, the nodes it asks and their timing depend on the links alone. So a plan is
//! computed once per node and kept until a link or a node comes or goes.

use std::collections::VecDeque;
use std::sync::Arc;

use super::routes::Routes;
use super::search_plan::SearchPlan;
use crate::limits;

/// The search plans over the routes of one network, in bounded memory.
pub(crate) struct SearchPlans {
    by_node: Vec<Option<Arc<SearchPlan>>>,
    kept: VecDeque<u32>,
    kept_max: usize,
    /// The changes of the routes when the plans were computed.
    changes: u64,
}

impl SearchPlans {
    /// None yet, for so many nodes.
    pub(crate) fn new(nodes: usize) -> Self {
        let bytes = SearchPlan::bytes(nodes).max(1);
        Self {
            by_node: vec![None; nodes],
            kept: VecDeque::new(),
            kept_max: (limits::LAB_ROUTES_BYTES_MAX / bytes).max(1),
            changes: 0,
        }
    }

    /// The plan of this node over the current routes.
    pub(crate) fn of(&mut self, routes: &Routes, from: u32) -> Arc<SearchPlan> {
        if self.changes != routes.changes() {
            self.changes = routes.changes();
            for from in self.kept.drain(..) {
                self.by_node[from as usize] = None;
            }
        }
        if let Some(search_plan) = &self.by_node[from as usize] {
            return Arc::clone(search_plan);
        }
        let search_plan = Arc::new(SearchPlan::new(routes, from));
        if self.kept.len() >= self.kept_max
            && let Some(oldest) = self.kept.pop_front()
        {
            self.by_node[oldest as usize] = None;
        }
        self.kept.push_back(from);
        self.by_node[from as usize] = Some(Arc::clone(&search_plan));
        search_plan
    }
}
