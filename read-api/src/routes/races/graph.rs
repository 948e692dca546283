//! Who has to do with whom, as GraphML: races, drivers, teams, makes and
//! tracks, and what joins them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::ports::rows::Snapshot;

use super::Found;
use crate::at_least::reflect;

const CONTENT_TYPE: HeaderValue = HeaderValue::from_static("application/graphml+xml; charset=utf-8");
/// Data that nodes and edges may have, with their types.
const KEYS: &[(&str, &str, &str)] = &[
    ("kind", "node", "string"),
    ("name", "node", "string"),
    ("season", "node", "int"),
    ("is", "edge", "string"),
    ("start", "edge", "int"),
    ("finish", "edge", "int"),
    ("status", "edge", "string"),
    ("races", "edge", "int"),
];

type Data = Vec<(&'static str, String)>;

/// Nodes by id, once each; edges in the order in which they were added.
#[derive(Default)]
pub struct Graph {
    nodes: BTreeMap<String, Data>,
    edges: Vec<(String, String, Data)>,
}

impl Graph {
    /// Answers the node's id.
    pub fn node(&mut self, kind: &'static str, id: &str, name: &str) -> String {
        let key = format!("{kind}:{id}");
        let data = vec![("kind", kind.to_owned()), ("name", name.to_owned())];
        self.nodes.entry(key.clone()).or_insert(data);
        key
    }

    pub fn season(&mut self, node: &str, season: i16) {
        if let Some(data) = self.nodes.get_mut(node)
            && !data.iter().any(|(key, _)| *key == "season")
        {
            data.push(("season", season.to_string()));
        }
    }

    pub fn edge(&mut self, from: &str, to: &str, is: &'static str, data: Data) {
        let data = std::iter::once(("is", is.to_owned())).chain(data).collect();
        self.edges.push((from.to_owned(), to.to_owned(), data));
    }

    fn xml(&self) -> String {
        let mut xml = String::from(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
        );
        for (name, of, kind) in KEYS {
            let _ = writeln!(
                xml,
                "  <key id=\"{of}-{name}\" for=\"{of}\" attr.name=\"{name}\" attr.type=\"{kind}\"/>"
            );
        }
        xml.push_str("  <graph edgedefault=\"directed\">\n");
        for (id, data) in &self.nodes {
            let _ = writeln!(xml, "    <node id=\"{}\">{}</node>", escaped(id), told("node", data));
        }
        for (from, to, data) in &self.edges {
            let (from, to) = (escaped(from), escaped(to));
            let _ =
                writeln!(xml, "    <edge source=\"{from}\" target=\"{to}\">{}</edge>", told("edge", data));
        }
        xml.push_str("  </graph>\n</graphml>\n");
        xml
    }
}

fn told(of: &str, data: &Data) -> String {
    let one = |(key, value): &(&str, String)| format!("<data key=\"{of}-{key}\">{}</data>", escaped(value));
    data.iter().map(one).collect()
}

/// XML has no way at all to write most control characters.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

pub fn answer(snapshot: &Snapshot, graph: &Graph) -> Response {
    let mut headers = HeaderMap::new();
    reflect(&mut headers, snapshot);
    headers.insert(header::CONTENT_TYPE, CONTENT_TYPE);
    (headers, graph.xml()).into_response()
}

/// One race: who drove what for whom, and who crashed together.
pub fn of_race(found: &Found, accidents: &[BTreeSet<String>]) -> Graph {
    let mut graph = Graph::default();
    let (row, race) = (&found.race, &found.race.race);
    let Some(details) = &race.details else { return graph };
    let here = graph.node("race", &row.id, if details.name.is_empty() { &row.id } else { &details.name });
    graph.season(&here, details.season);
    let track = graph.node("track", &details.track, &details.track);
    graph.edge(&here, &track, "at", vec![]);
    for entry in &race.entries {
        let driver = graph.node("driver", &entry.driver, &found.names.get(&entry.driver));
        let mut data = Data::new();
        data.extend(entry.start.map(|start| ("start", start.to_string())));
        if let Some(placed) = race.results.get(&entry.driver) {
            data.extend([("finish", placed.finish.to_string()), ("status", placed.status.clone())]);
        }
        graph.edge(&driver, &here, "drove_in", data);
        for (kind, is, name) in [("team", "for_team", &entry.team), ("make", "in_make", &entry.make)] {
            if let Some(name) = name {
                let node = graph.node(kind, name, name);
                graph.edge(&driver, &node, is, vec![]);
            }
        }
    }
    for accident in accidents {
        for (i, one) in accident.iter().enumerate() {
            for other in accident.iter().skip(i + 1) {
                graph.edge(&format!("driver:{one}"), &format!("driver:{other}"), "accident_with", vec![]);
            }
        }
    }
    graph
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_break_the_document() {
        let mut graph = Graph::default();
        let a = graph.node("driver", "a", "A \"<&>\" \u{1}B");
        let b = graph.node("team", "Ours & Sons", "Ours & Sons");
        graph.node("driver", "a", "again");
        graph.edge(&a, &b, "for_team", vec![]);
        let xml = graph.xml();
        assert!(xml.contains("<data key=\"node-name\">A &quot;&lt;&amp;&gt;&quot;  B</data>"), "{xml}");
        assert!(xml.contains("<edge source=\"driver:a\" target=\"team:Ours &amp; Sons\">"), "{xml}");
        assert_eq!(xml.matches("<node ").count(), 2);
    }
}
