//! GraphML, as the Internet Topology Zoo writes it (Knight et al. 2011).
//!
//! Attributes that are read of a node: `label` (its name), `Country`, `Latitude` and `Longitude`; of an edge:
//! `LinkSpeedRaw` (bits per second), `latency_ms` and `bandwidth_mbit`. The latency of a link between two nodes
//! with known positions is that of light in fibre along the great circle: two thirds of the speed of light in
//! vacuum. Parallel links between two nodes count as one, the fastest of them.

use std::collections::BTreeMap;

use roxmltree::{Document, Node, ParsingOptions};

use super::graph::{Edge, Link, Topology, Vertex, edge};

/// Mean radius of the earth (IUGG).
const EARTH_KM: f64 = 6371.0088;
/// Two thirds of the speed of light in vacuum.
const FIBRE_KM_PER_S: f64 = 299_792.458 * 2.0 / 3.0;

/// Reads a file. `like` supplies what an edge omits.
///
/// # Errors
/// Where the file is invalid, and why.
pub(super) fn read(text: &str, like: Link) -> Result<Topology, String> {
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: 1 << 24,
        ..ParsingOptions::default()
    };
    let document =
        Document::parse_with_options(text, options).map_err(|error| error.to_string())?;
    let root = document.root_element();
    let graph = child(root, "graph").ok_or("it has no <graph> element")?;
    let keys: BTreeMap<&str, &str> = root
        .children()
        .filter(|node| node.has_tag_name((namespace(root), "key")))
        .filter_map(|key| Some((key.attribute("id")?, key.attribute("attr.name")?)))
        .collect();
    let reader = Reader { root, keys, like };
    let (nodes, index) = reader.nodes(graph)?;
    let links = reader.links(graph, &nodes, &index)?;
    Ok(Topology {
        nodes,
        links: links.into_values().collect(),
    })
}

fn namespace<'a>(node: Node<'a, '_>) -> &'a str {
    node.tag_name().namespace().unwrap_or_default()
}

fn child<'a, 'b>(of: Node<'a, 'b>, name: &str) -> Option<Node<'a, 'b>> {
    of.children().find(|node| node.tag_name().name() == name)
}

struct Reader<'a, 'b> {
    root: Node<'a, 'b>,
    /// The name of each key in the file.
    keys: BTreeMap<&'a str, &'a str>,
    like: Link,
}

impl<'a, 'b> Reader<'a, 'b> {
    fn elements(
        &self,
        graph: Node<'a, 'b>,
        name: &'static str,
    ) -> impl Iterator<Item = Node<'a, 'b>> {
        let named = (namespace(self.root), name);
        graph
            .children()
            .filter(move |node| node.has_tag_name(named))
    }

    /// The value of an element's data of this name.
    fn data(&self, of: Node<'a, 'b>, name: &str) -> Option<&'a str> {
        let is_it = |key: &&str| self.keys.get(*key).is_some_and(|it| *it == name);
        let data = self.elements(of, "data");
        let mut named = data.filter(|data| data.attribute("key").as_ref().is_some_and(is_it));
        named.find_map(|data| data.text()).map(str::trim)
    }

    fn number(&self, of: Node<'a, 'b>, name: &str) -> Result<Option<f64>, String> {
        let Some(text) = self.data(of, name) else {
            return Ok(None);
        };
        let number = text.parse::<f64>().ok().filter(|number| number.is_finite());
        match number {
            Some(number) => Ok(Some(number)),
            None => Err(self.at(of, &format!("`{text}` is not a number for {name}"))),
        }
    }

    fn at(&self, node: Node<'_, '_>, reason: &str) -> String {
        let at = node.document().text_pos_at(node.range().start);
        format!("line {}: {reason}", at.row)
    }

    fn nodes(&self, graph: Node<'a, 'b>) -> Result<(Vec<Vertex>, BTreeMap<&'a str, u32>), String> {
        let (mut nodes, mut index) = (Vec::<Vertex>::new(), BTreeMap::new());
        let mut taken = BTreeMap::<String, u32>::new();
        for node in self.elements(graph, "node") {
            let id = node.attribute("id");
            let id = id.ok_or_else(|| self.at(node, "a node has no id"))?;
            if index.insert(id, nodes.len() as u32).is_some() {
                return Err(self.at(node, &format!("there are two nodes with the id `{id}`")));
            }
            let label = self.data(node, "label").filter(|label| !label.is_empty());
            let mut name = label.unwrap_or(id).to_owned();
            if taken.contains_key(&name) {
                name = format!("{name} ({id})");
            }
            taken.insert(name.clone(), nodes.len() as u32);
            let longitude = self.number(node, "Longitude")?;
            let latitude = self.number(node, "Latitude")?;
            nodes.push(Vertex {
                name,
                country: self.data(node, "Country").map(str::to_owned),
                position: longitude.zip(latitude),
            });
        }
        Ok((nodes, index))
    }

    fn links(
        &self,
        graph: Node<'a, 'b>,
        nodes: &[Vertex],
        index: &BTreeMap<&str, u32>,
    ) -> Result<BTreeMap<Edge, Link>, String> {
        let mut links = BTreeMap::<Edge, Link>::new();
        for element in self.elements(graph, "edge") {
            let end = |name: &str| {
                let id = element.attribute(name).unwrap_or_default();
                let found = index.get(id).copied();
                found.ok_or_else(|| self.at(element, &format!("the {name} `{id}` is not a node")))
            };
            // A few files link a node with itself; such a link has no effect and is dropped.
            let Some(ends) = edge(end("source")?, end("target")?) else {
                continue;
            };
            let link = self.link(element, ends, nodes)?;
            let known = links.entry(ends).or_insert(link);
            known.latency_us = known.latency_us.min(link.latency_us);
            known.bits_per_second = known.bits_per_second.max(link.bits_per_second);
        }
        Ok(links)
    }

    fn link(&self, element: Node<'a, 'b>, ends: Edge, nodes: &[Vertex]) -> Result<Link, String> {
        let place = |end: u32| nodes[end as usize].position;
        let given_latency = self.number(element, "latency_ms")?.map(|ms| ms * 1e3);
        let by_distance = place(ends.0).zip(place(ends.1));
        let by_distance = by_distance.map(|(a, b)| distance_km(a, b) / FIBRE_KM_PER_S * 1e6);
        let given_bandwidth = self
            .number(element, "bandwidth_mbit")?
            .map(|mbit| mbit * 1e6);
        let pace = given_bandwidth.or(self.number(element, "LinkSpeedRaw")?);
        let whole = |number: f64| libm::round(number).clamp(0.0, 1e15) as u64;
        Ok(Link {
            ends,
            latency_us: given_latency
                .or(by_distance)
                .map_or(self.like.latency_us, whole),
            bits_per_second: pace
                .filter(|pace| *pace >= 1.0)
                .map_or(self.like.bits_per_second, whole),
        })
    }
}

/// The length of the great circle between two positions (longitude, latitude), by the haversine formula.
fn distance_km(a: (f64, f64), b: (f64, f64)) -> f64 {
    let half = |from: f64, to: f64| libm::sin((to - from).to_radians() / 2.0);
    let (across, up) = (half(a.0, b.0), half(a.1, b.1));
    let cosines = libm::cos(a.1.to_radians()) * libm::cos(b.1.to_radians());
    let haversine = up * up + cosines * across * across;
    2.0 * EARTH_KM * libm::asin(libm::sqrt(haversine.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIKE: Link = Link {
        ends: (0, 0),
        latency_us: 10_000,
        bits_per_second: 1_000_000_000,
    };

    fn written(body: &str) -> String {
        format!(
            r#"<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key attr.name="label" for="node" id="d1" /><key attr.name="Longitude" for="node" id="d2" />
<key attr.name="Latitude" for="node" id="d3" /><key attr.name="Country" for="node" id="d4" />
<key attr.name="LinkSpeedRaw" for="edge" id="d5" />
<graph edgedefault="undirected">{body}</graph></graphml>"#
        )
    }

    #[test]
    fn a_link_takes_as_long_as_light_in_fibre() {
        let body = r#"
<node id="0"><data key="d1">Berlin</data><data key="d2">13.405</data><data key="d3">52.52</data><data key="d4">Germany</data></node>
<node id="1"><data key="d1">Paris</data><data key="d2">2.3522</data><data key="d3">48.8566</data></node>
<node id="2"><data key="d1">Paris</data></node>
<edge source="0" target="1"><data key="d5">10000000000.0</data></edge>
<edge source="1" target="2" /><edge source="2" target="1" /><edge source="2" target="2" />"#;
        let topology = read(&written(body), LIKE).expect("it can be read");
        let names: Vec<_> = topology
            .nodes
            .iter()
            .map(|place| place.name.as_str())
            .collect();
        assert_eq!(names, ["Berlin", "Paris", "Paris (2)"]);
        assert_eq!(topology.nodes[0].country.as_deref(), Some("Germany"));
        assert_eq!(topology.nodes[0].position, Some((13.405, 52.52)));
        let [far, near] = topology.links.as_slice() else {
            panic!("expected two links: {:?}", topology.links);
        };
        // 877.5 km along the great circle, at 199,862 km per second.
        assert!((4_385..=4_395).contains(&far.latency_us), "{far:?}");
        assert_eq!(far.bits_per_second, 10_000_000_000);
        let expected = Link {
            ends: (1, 2),
            ..LIKE
        };
        assert_eq!(*near, expected);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (body, expected) in [
            (
                "<node id=\"0\" />\n<edge source=\"0\" target=\"7\" />",
                "the target `7`",
            ),
            (
                "<node id=\"0\" />\n<node id=\"0\" />",
                "two nodes with the id `0`",
            ),
            (
                "\n<node id=\"0\"><data key=\"d2\">east</data></node>",
                "`east` is not a number",
            ),
        ] {
            let error = read(&written(body), LIKE).expect_err(body);
            assert!(
                error.contains(expected) && error.starts_with("line 7"),
                "{error}"
            );
        }
        assert!(read("<graphml></graphml>", LIKE).is_err());
        assert!(read("GIF89a", LIKE).is_err());
    }
}
