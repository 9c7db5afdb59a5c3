use super::*;

fn open(text: &str) -> Result<Network, Wrong> {
    let spec = toml::from_str(text).expect("it can be read");
    Network::open(&spec, Path::new("."))
}

fn topology(text: &str, seed: u64) -> Topology {
    let network = open(text).expect("the topology is valid");
    network.topology(seed).expect("a topology is generated")
}

fn shared(name: &str) -> Option<Network> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let folder = root.join("shared/data/topologies");
    if !folder.join(name).exists() {
        eprintln!("skipped: {name} is not in {}", folder.display());
        return None;
    }
    let spec = toml::from_str(&format!("kind = 'file'\npath = '{name}'")).expect("it can be read");
    Some(Network::open(&spec, &folder).expect("the file is a topology"))
}

#[test]
fn every_shape_can_be_had_in_one_part() {
    for text in [
        "kind = 'line'\nnodes = 1",
        "kind = 'ring'\nnodes = 9",
        "kind = 'star'\nnodes = 9",
        "kind = 'grid'\nwidth = 3\nheight = 4",
        "kind = 'tree'\nnodes = 20\nbranching = 3",
        "kind = 'complete'\nnodes = 9",
        "kind = 'erdos-renyi'\nnodes = 50\nprobability = 0.1",
        "kind = 'barabasi-albert'\nnodes = 50\nlinks = 2",
        "kind = 'watts-strogatz'\nnodes = 50\nneighbours = 4\nrewire = 0.3",
        "kind = 'demo'",
    ] {
        for seed in 0..5 {
            let topology = topology(text, seed);
            assert_eq!(topology.parts(), 1, "{text}");
        }
    }
}

#[test]
fn a_random_topology_depends_on_its_seed_alone() {
    let text = "kind = 'erdos-renyi'\nnodes = 50\nprobability = 0.1";
    assert_eq!(topology(text, 7), topology(text, 7));
    assert_ne!(topology(text, 7), topology(text, 8));
    assert_eq!(
        topology("kind = 'ring'\nnodes = 5", 7),
        topology("kind = 'ring'\nnodes = 5", 8)
    );
}

#[test]
fn links_are_as_fast_as_the_table_says() {
    let text = "kind = 'demo'\nlatency_ms = 2.5\nbandwidth_mbit = 100";
    let topology = topology(text, 0);
    assert_eq!(topology.find("D"), Some(3));
    assert!(topology.links.iter().all(|link| link.latency_us == 2_500));
    assert!(
        topology
            .links
            .iter()
            .all(|link| link.bits_per_second == 100_000_000)
    );
}

#[test]
fn what_can_not_be_is_refused_by_key() {
    for (text, key, reason) in [
        ("kind = 'ring'", "topology.kind", "needs `nodes`"),
        ("kind = 'ring'\nnodes = 0", "topology.nodes", "at least 1"),
        (
            "kind = 'ring'\nnodes = 99999999",
            "topology.nodes",
            "at most",
        ),
        (
            "kind = 'ring'\nnodes = 9\nlinks = 3",
            "topology.links",
            "has no `links`",
        ),
        (
            "kind = 'demo'\nnodes = 9",
            "topology.nodes",
            "has no `nodes`",
        ),
        (
            "kind = 'grid'\nwidth = 3",
            "topology.kind",
            "needs `height`",
        ),
        (
            "kind = 'grid'\nwidth = 99999\nheight = 99999",
            "topology.width",
            "at most",
        ),
        (
            "kind = 'tree'\nnodes = 9\nbranching = 0",
            "topology.branching",
            "1 or more",
        ),
        (
            "kind = 'barabasi-albert'\nnodes = 3\nlinks = 3",
            "topology.links",
            "less than",
        ),
        (
            "kind = 'watts-strogatz'\nnodes = 9\nneighbours = 3\nrewire = 0",
            "topology.neighbours",
            "even",
        ),
        (
            "kind = 'erdos-renyi'\nnodes = 100\nprobability = 0.001",
            "topology.kind",
            "no connected network",
        ),
        (
            "kind = 'star'\nnodes = 5000",
            "topology.kind",
            "n0 has 4999 links",
        ),
        (
            "kind = 'file'\npath = 'no/such.graphml'",
            "topology.path",
            "no/such.graphml can't be read",
        ),
    ] {
        let wrong = open(text).expect_err(text);
        assert_eq!(wrong.key, key, "{text}");
        assert!(wrong.reason.contains(reason), "{text}: {wrong}");
    }
}

#[test]
fn a_network_in_parts_is_had_when_that_is_said() {
    let text = "kind = 'erdos-renyi'\nnodes = 100\nprobability = 0.001\nconnected = false";
    assert!(topology(text, 0).parts() > 1);
}

#[test]
fn geant_has_forty_nodes_in_places_that_are_known() {
    let Some(network) = shared("Geant2012.graphml") else {
        return;
    };
    assert!(network.digest().is_some());
    let topology = network.topology(0).expect("the network is connected");
    assert_eq!((topology.nodes.len(), topology.links.len()), (40, 61));
    let known = |is: fn(&crate::topology::Vertex) -> bool| {
        topology.nodes.iter().filter(|it| is(it)).count()
    };
    assert_eq!(known(|place| place.country.is_some()), 37);
    assert_eq!(known(|place| place.position.is_some()), 37);
    let paces: std::collections::BTreeSet<_> = topology
        .links
        .iter()
        .map(|link| link.bits_per_second)
        .collect();
    assert!(paces.len() > 1, "links differ in bandwidth: {paces:?}");
    // The longest link of the file is some thousand kilometres.
    let slowest = topology.links.iter().map(|link| link.latency_us).max();
    assert!(
        slowest.is_some_and(|us| (5_000..60_000).contains(&us)),
        "{slowest:?}"
    );
}

#[test]
fn abilene_has_eleven_nodes() {
    let Some(network) = shared("Abilene.graphml") else {
        return;
    };
    let topology = network.topology(0).expect("the network is connected");
    assert_eq!((topology.nodes.len(), topology.links.len()), (11, 14));
    assert!(topology.find("New York").is_some());
}
