//! Lies about the neighbours of the member.

use dataverse_core::id::NodeId;
use dataverse_core::search::{Answer, Peer};

use crate::chance::Chance;

/// An answer to a probe that leads elsewhere, or nowhere.
pub(super) fn lie(chance: &mut Chance, truth: Answer, asker: &Peer) -> Answer {
    let mut neighbours = truth.neighbours;
    match chance.below(5) {
        0 => neighbours.clear(),
        1 => neighbours.push(nobody(chance)),
        // More than any node may have.
        2 => neighbours.extend((0..1_100).map(|_| nobody(chance))),
        // The address of one as that of another.
        3 if neighbours.len() > 1 => {
            let (a, b) = chance.two_below(neighbours.len());
            neighbours[a].address = neighbours[b].address.clone();
        }
        _ => {
            for neighbour in &mut neighbours {
                neighbour.address = asker.address.clone();
            }
            neighbours.push(Peer {
                id: NodeId::from(chance.wide()),
                ..asker.clone()
            });
        }
    }
    Answer {
        neighbours,
        ..truth
    }
}

fn nobody(chance: &mut Chance) -> Peer {
    Peer {
        id: NodeId::from(chance.wide()),
        name: "nobody".into(),
        address: "nobody.test:1".into(),
    }
}
