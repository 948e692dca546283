//! The bus as an AsyncAPI 3.0 document, out of the registry of event types.

use domain::columns::{self, Column, ColumnType};
use domain::registry::{EVENT_TYPES, schema_of};
use serde_json::{Map, Value, json};

const HEADERS: [(&str, &str); 6] = [
    ("Daybook-Position", "The event's position in the log"),
    ("Daybook-Tenant", "Whose it is"),
    ("Daybook-Type", "The event type"),
    ("Daybook-Schema", "Number of the payload's schema"),
    ("Daybook-Version", "Version in the event's stream"),
    ("Daybook-Leaf", "SHA-256 of the event's canonical bytes, hexadecimal"),
];

/// The gateway's live subjects: name, address, what is told there, event types.
const LIVE: [(&str, &str, &str, &[&str]); 5] = [
    ("requests", "requests.{tenant}.{app}.{category}.{type}", "A signal was taken in", &["signal.received"]),
    ("rejections", "responses.{tenant}.{app}.rejected", "A signal was rejected", &["signal.rejected"]),
    ("matches", "responses.{tenant}.{app}.matched.{rule}", "A signal matched a rule", &["rule.matched"]),
    (
        "anomalies",
        "anomalies.{tenant}.{app}.{rule}",
        "A window of something unusual opened, went on or closed",
        &["rule.anomaly_detected"],
    ),
    (
        "rules",
        "rules.{tenant}.{subject}",
        "What a rule found that acts and names the subject",
        &["rule.matched", "rule.anomaly_detected"],
    ),
];

/// `subjects` is the first word of the copy's subjects.
pub fn document(version: &str, subjects: &str, stream: &str) -> Value {
    let (mut channels, mut operations, mut messages) = (Map::new(), Map::new(), Map::new());
    let mut add = |name: &str, channel: Value, summary: &str| {
        channels.insert(name.to_owned(), channel);
        let reference = json!({"$ref": format!("#/channels/{}", escaped(name))});
        let operation = json!({"action": "send", "channel": reference, "summary": summary});
        operations.insert(format!("tell.{name}"), operation);
    };
    for known in EVENT_TYPES {
        messages.insert(known.name.to_owned(), message(known.name));
        let address = format!("{subjects}.{{tenant}}.{{kind}}.{}", known.name);
        let summary = format!("A copy of each {} in the log", known.name);
        add(known.name, channel(&address, &[known.name]), &summary);
    }
    for (name, address, summary, types) in LIVE {
        add(&format!("live.{name}"), channel(address, types), summary);
    }
    messages.insert("ring".into(), ring());
    let bell = channel(&format!("daybook.bell.{stream}.{{topic}}"), &["ring"]);
    add("bell", bell, "How far the log or a read model is");
    json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Daybook's bus",
            "version": version,
            "description": "A copy of the log on NATS JetStream: a message's sequence is its event's position. \
                Live subjects and the bell are plain messages that nobody keeps; the former only with nats.live.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages, "schemas": {"cloudevent": cloud_event()}},
    })
}

/// Of a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn channel(address: &str, messages: &[&str]) -> Value {
    let names = address.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let parameters: Map<String, Value> =
        names.map(|(name, _)| (name.to_owned(), json!({"description": meaning(name)}))).collect();
    let messages: Map<String, Value> = messages
        .iter()
        .map(|name| ((*name).to_owned(), json!({"$ref": format!("#/components/messages/{}", escaped(name))})))
        .collect();
    json!({"address": address, "parameters": parameters, "messages": messages})
}

fn meaning(parameter: &str) -> &'static str {
    match parameter {
        "tenant" => "Whose it is",
        "kind" => "Kind of the event's stream, such as band or taps",
        "app" => "The signal's app; - without one",
        "category" => "user, screen, interaction, commerce, system, custom, or - of a CloudEvent",
        "type" => "The signal's type; its dots are the subject's own",
        "rule" => "Id of the rule",
        "subject" => "A subject that rules name in their actions; its dots are the subject's own",
        _ => "log, or the name of a read model",
    }
}

fn message(name: &str) -> Value {
    let headers: Map<String, Value> = HEADERS
        .iter()
        .map(|(name, text)| ((*name).to_owned(), json!({"type": "string", "description": text})))
        .collect();
    json!({
        "name": name,
        "contentType": "application/cloudevents+json",
        "headers": {"type": "object", "properties": headers},
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/cloudevent"},
                {"type": "object", "properties": {
                    "type": {"const": name},
                    "schema": {"type": "integer", "maximum": schema_of(name)},
                    "data": payload(columns::of(name).unwrap_or_default()),
                }},
            ],
        },
    })
}

/// Of today's schema; older ones are brought up to it by who reads them.
fn payload(columns: &[Column]) -> Value {
    let properties: Map<String, Value> =
        columns.iter().map(|column| (column.name.to_owned(), kind(column))).collect();
    let required: Vec<&str> = columns.iter().filter(|c| c.required).map(|c| c.name).collect();
    json!({"type": "object", "properties": properties, "required": required})
}

fn kind(column: &Column) -> Value {
    match column.kind {
        ColumnType::Text => json!({"type": "string"}),
        ColumnType::Integer => json!({"type": "integer"}),
        ColumnType::Float => json!({"type": "number"}),
        ColumnType::Boolean => json!({"type": "boolean"}),
        ColumnType::Instant => json!({"type": "string", "format": "date-time"}),
        ColumnType::Json => json!({}),
    }
}

fn cloud_event() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "required": ["specversion", "id", "source", "type", "subject", "time", "tenant", "position",
            "streamversion", "schema", "recordedat", "actor", "commandid", "correlationid", "leaf"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "format": "uuid"},
            "source": text("/daybook/<tenant>"),
            "type": text("The event type"),
            "subject": text("<kind>/<stream id>"),
            "time": {"type": "string", "format": "date-time"},
            "tenant": text("Whose it is"),
            "position": text("In the log"),
            "streamversion": text("In its stream"),
            "schema": {"type": "integer"},
            "recordedat": {"type": "string", "format": "date-time"},
            "occurredat": {"type": "string", "format": "date-time"},
            "actor": text("Who caused it"),
            "commandid": {"type": "string", "format": "uuid"},
            "correlationid": text("In which context"),
            "causationid": {"type": "string", "format": "uuid"},
            "leaf": text("SHA-256 of the canonical bytes, hexadecimal"),
            "datacontenttype": {"const": "application/json"},
            "data": {"description": "The payload as it was written, with personal data sealed"},
            "dataomitted": {"const": true, "description": "Instead of data that is too large for a message"},
        },
    })
}

fn ring() -> Value {
    json!({
        "name": "ring",
        "contentType": "application/json",
        "summary": "Rings may be lost and may come late; who hears one looks for itself",
        "payload": {"type": "object", "required": ["position"], "properties": {
            "position": {"type": "integer"},
            "leaf": {"type": "string", "description": "Of the event at the position, for the log"},
        }},
    })
}
