//! Tests with whole networks of memberships in one thread, in simulated time.

mod network;

use std::time::Duration;

use bytes::Bytes;
use dataverse_core::id::NodeId;
use dataverse_core::members::Liveness;
use proptest::prelude::*;

use self::network::{Heard, Network, Node, acquainted, address, status, until};
use super::PublishedStatus;

const SECOND: Duration = Duration::from_secs(1);

async fn all_see(nodes: &[Node], other: u32, state: Liveness, within: Duration) -> Duration {
    let sees = |node: &Node| node.state_of(other) == Some(state);
    let what = format!("all see node {other} {state:?}");
    until(within, &what, || nodes.iter().all(sees)).await
}

#[tokio::test(start_paused = true)]
async fn four_in_a_line_know_each_other_within_three_seconds() {
    for seed in 0..20 {
        let network = Network::new(seed, 0);
        acquainted(&network.line(4), 3 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn forty_in_a_line_know_each_other_though_packets_get_lost() {
    let network = Network::new(1, 5);
    acquainted(&network.line(40), 15 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn one_that_died_is_gone_for_all_within_ten_seconds_fifteen_among_forty() {
    for (count, seeds, within) in [(4, 20, 10 * SECOND), (40, 1, 15 * SECOND)] {
        for seed in 0..seeds {
            let network = Network::new(seed, 0);
            let mut nodes = network.line(count);
            acquainted(&nodes, 15 * SECOND).await;
            nodes.remove(1).membership.stop().await;
            all_see(&nodes, 1, Liveness::Gone, within).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_leaves_is_gone_at_once() {
    let network = Network::new(1, 0);
    let mut nodes = network.line(4);
    acquainted(&nodes, 3 * SECOND).await;
    let mut revision = nodes[0].membership.subscribe();
    revision.mark_unchanged();
    nodes.remove(2).membership.leave().await;
    all_see(&nodes, 2, Liveness::Gone, SECOND / 2).await;
    assert!(revision.has_changed().expect("the task runs"));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_gone_because_packets_get_lost() {
    let network = Network::new(1, 10);
    let nodes = network.line(8);
    acquainted(&nodes, 15 * SECOND).await;
    let gone_anywhere = || {
        let members = nodes
            .iter()
            .flat_map(|node| node.membership.members().to_vec());
        members.into_iter().any(|seen| seen.state == Liveness::Gone)
    };
    let end = tokio::time::Instant::now() + 120 * SECOND;
    until(200 * SECOND, "two minutes pass", || {
        assert!(!gone_anywhere());
        tokio::time::Instant::now() >= end
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_that_restarts_elsewhere_is_seen_there() {
    for seen_dead in [false, true] {
        let network = Network::new(1, 0);
        let mut nodes = network.line(4);
        acquainted(&nodes, 3 * SECOND).await;
        nodes.remove(3).membership.stop().await;
        if seen_dead {
            all_see(&nodes, 3, Liveness::Gone, 10 * SECOND).await;
        }
        let back = network.start(3, "127.0.0.1:9999", 2_000);
        back.membership.announce_to(&nodes[2].peer);
        let moved = |node: &Node| {
            node.sees(3).is_some_and(|seen| {
                seen.state == Liveness::Alive && &*seen.peer.address == "127.0.0.1:9999"
            })
        };
        until(3 * SECOND, "all see it there", || nodes.iter().all(moved)).await;
        nodes.push(back);
        acquainted(&nodes, 3 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_whose_clock_went_back_a_year_comes_back() {
    let (before_ms, year_ms) = (4_000_000_000_000, 365 * 24 * 3_600_000);
    let network = Network::new(1, 0);
    let mut nodes = network.line(3);
    let first = network.start(3, &address(3), before_ms);
    first.membership.announce_to(&nodes[0].peer);
    nodes.push(first);
    acquainted(&nodes, 3 * SECOND).await;
    nodes.remove(3).membership.stop().await;
    all_see(&nodes, 3, Liveness::Gone, 10 * SECOND).await;

    let back = network.start(3, &address(3), before_ms - year_ms);
    back.membership.publish(PublishedStatus {
        load: 77,
        ..status(3)
    });
    back.membership.announce_to(&nodes[0].peer);
    let is_renewed = |node: &Node| {
        let seen = node.sees(3).filter(|seen| seen.state == Liveness::Alive);
        seen.and_then(|seen| seen.status)
            .is_some_and(|status| status.load == 77)
    };
    until(10 * SECOND, "it is alive and its status new", || {
        nodes.iter().all(is_renewed)
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_could_reach_for_a_while_comes_back_by_itself() {
    for count in [2, 4, 40] {
        let network = Network::new(u64::from(count), 0);
        let nodes = network.line(count);
        acquainted(&nodes, 15 * SECOND).await;
        network.split(&nodes[..1]);
        all_see(&nodes[1..], 0, Liveness::Gone, 20 * SECOND).await;
        tokio::time::sleep(10 * SECOND).await;
        network.heal();
        acquainted(&nodes, 15 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_halves_of_a_network_find_together() {
    let network = Network::new(1, 0);
    let nodes = network.line(20);
    acquainted(&nodes, 15 * SECOND).await;
    network.split(&nodes[..10]);
    for lost in 10..20 {
        all_see(&nodes[..10], lost, Liveness::Gone, 60 * SECOND).await;
    }
    network.heal();
    acquainted(&nodes, 30 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_changed_status_spreads_and_an_equal_one_does_not() {
    let network = Network::new(1, 0);
    let nodes = network.line(8);
    acquainted(&nodes, 15 * SECOND).await;
    let changed = PublishedStatus {
        free: 17,
        ..status(0)
    };
    nodes[0].membership.publish(changed.clone());
    let status_counter = |node: &Node| {
        let seen = node.sees(0).and_then(|seen| seen.status)?;
        (seen.free == 17).then_some(seen.counter)
    };
    until(3 * SECOND, "all know the change", || {
        nodes[1..].iter().all(|node| status_counter(node).is_some())
    })
    .await;
    let counter = status_counter(&nodes[7]);
    nodes[0].membership.publish(changed);
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(status_counter(&nodes[7]), counter);
}

#[tokio::test(start_paused = true)]
async fn one_that_comes_later_learns_what_was_told_before() {
    let network = Network::new(1, 0);
    let mut nodes = network.line(30);
    acquainted(&nodes, 15 * SECOND).await;
    tokio::time::sleep(60 * SECOND).await;
    let late = network.start(30, &address(30), 1_000);
    late.membership.announce_to(&nodes[4].peer);
    nodes.push(late);
    acquainted(&nodes, 15 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_packets_stops_nobody() {
    let network = Network::new(1, 0);
    let mut nodes = network.line(3);
    acquainted(&nodes, 3 * SECOND).await;
    for _ in 0..10 {
        for (from, packet) in network.heard() {
            nodes[1].membership.packet(from, packet);
        }
        for _ in 0..10_000 {
            let noise = Bytes::from_static(&[0; 40_000]);
            nodes[1].membership.packet(nodes[0].peer.id, noise);
        }
        tokio::time::sleep(SECOND / 10).await;
    }
    let late = network.start(3, &address(3), 1_000);
    late.membership.announce_to(&nodes[1].peer);
    nodes.push(late);
    acquainted(&nodes, 15 * SECOND).await;
}

#[tokio::test(start_paused = true)]
async fn a_packet_counts_only_if_its_source_has_sent_it() {
    let elsewhere = Network::new(2, 0);
    // What the stranger sends is meant for node 1.
    let strangers: Vec<Node> = [7, 1]
        .into_iter()
        .map(|node| elsewhere.start(node, &address(node), 1_000))
        .collect();
    strangers[0].membership.announce_to(&strangers[1].peer);
    tokio::time::sleep(60 * SECOND).await;
    let stranger = NodeId::from(7);
    let heard = elsewhere.heard().into_iter();
    let packets: Vec<Bytes> = heard
        .filter(|(from, _)| *from == stranger)
        .map(|it| it.1)
        .collect();
    assert!(!packets.is_empty());
    let network = Network::new(1, 0);
    let nodes = network.line(2);
    acquainted(&nodes, 3 * SECOND).await;
    for (from, is_known) in [(nodes[0].peer.id, false), (stranger, true)] {
        for packet in &packets {
            nodes[1].membership.packet(from, packet.clone());
        }
        tokio::time::sleep(SECOND / 10).await;
        assert_eq!(nodes[1].state_of(7).is_some(), is_known);
    }
}

/// Damages real packets: cuts them off, extends them, changes bytes.
fn break_packet(packet: &[u8], cut: usize, tail: &[u8], changes: &[(usize, u8)]) -> Vec<u8> {
    let mut broken = packet[..packet.len() - cut % (packet.len() + 1)].to_vec();
    broken.extend_from_slice(tail);
    for (at, byte) in changes {
        if !broken.is_empty() {
            let at = at % broken.len();
            broken[at] = *byte;
        }
    }
    broken
}

/// Sends these packets to one of three nodes; the network must survive and accept a fourth.
async fn survives(broken: impl FnOnce(Vec<Heard>) -> Vec<Heard>) {
    let network = Network::new(1, 0);
    let mut nodes = network.line(3);
    acquainted(&nodes, 3 * SECOND).await;
    for (from, packet) in broken(network.heard()) {
        nodes[1].membership.packet(from, packet);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let late = network.start(3, &address(3), 1_000);
    late.membership.announce_to(&nodes[1].peer);
    let works = || {
        nodes
            .iter()
            .all(|node| node.state_of(3) == Some(Liveness::Alive))
    };
    until(20 * SECOND, "all see the fourth", works).await;
    nodes.push(late);
}

fn in_simulated_time(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime").block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bytes_that_are_no_packets_are_harmless(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..200),
    ) {
        let from = NodeId::from(0);
        let packets = packets.into_iter().map(|packet| (from, packet.into()));
        in_simulated_time(survives(|_| packets.collect()));
    }

    #[test]
    fn broken_packets_are_harmless(
        breaks in prop::collection::vec(
            (
                any::<prop::sample::Index>(),
                prop_oneof![Just(0_usize), 0..300_usize],
                prop::collection::vec(any::<u8>(), 0..8),
                prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
            ),
            1..200,
        ),
    ) {
        in_simulated_time(survives(|heard| {
            breaks
                .iter()
                .map(|(index, cut, tail, changes)| {
                    let (from, packet) = &heard[index.index(heard.len())];
                    (*from, break_packet(packet, *cut, tail, changes).into())
                })
                .collect()
        }));
    }
}
