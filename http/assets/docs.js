"use strict";
// Renders /openapi.json. Text from the document is only ever set as text.

const METHODS = ["get", "head", "post", "put", "patch", "delete"];
let api;

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

function resolve(thing) {
  for (let i = 0; thing && thing.$ref && i < 20; i++) {
    thing = thing.$ref.slice(2).split("/")
      .reduce((at, part) => at && at[part.replaceAll("~1", "/").replaceAll("~0", "~")], api);
  }
  return thing || {};
}

function typeName(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  const choices = schema.oneOf || schema.anyOf;
  if (choices) return choices.map(typeName).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum) return schema.enum.map((v) => JSON.stringify(v)).join(" | ");
  if (schema.type === "array") return `array of ${typeName(schema.items || {})}`;
  const type = [schema.type || "any"].flat().join(" | ");
  return schema.format ? `${type} (${schema.format})` : type;
}

/** The fields of a schema as nested lists; `seen` stops at recursion. */
function tree(schema, seen = []) {
  if (schema.$ref) {
    if (seen.includes(schema.$ref)) return null;
    seen = [...seen, schema.$ref];
  }
  const full = resolve(schema);
  if (full.type === "array") return tree(full.items || {}, seen);
  const parts = full.allOf || full.oneOf || full.anyOf;
  if (parts) return el("div", {}, ...parts.map((part) => tree(part, seen)));
  if (!full.properties) return null;
  const list = el("ul", { class: "tree" });
  for (const [name, field] of Object.entries(full.properties)) {
    const needed = (full.required || []).includes(name);
    list.append(el("li", {},
      el("code", {}, name), " ", el("span", { class: "dim" }, typeName(field) + (needed ? ", required" : "")),
      field.description ? ` ${field.description}` : undefined, tree(field, seen)));
  }
  return list;
}

/** A value to start from, made of examples and types. */
function sample(schema, depth = 0) {
  const full = resolve(schema);
  if (full.example !== undefined) return full.example;
  if (full.examples) return full.examples[0];
  if (full.default !== undefined) return full.default;
  if (full.const !== undefined) return full.const;
  if (full.enum) return full.enum[0];
  if (depth > 6) return null;
  const choices = full.oneOf || full.anyOf;
  if (choices) return sample(choices.find((c) => c.type !== "null") || {}, depth + 1);
  if (full.allOf) return Object.assign({}, ...full.allOf.map((part) => sample(part, depth + 1)));
  const type = [full.type].flat()[0];
  if (full.properties || type === "object") {
    const fields = Object.entries(full.properties || {}).filter(([name]) => (full.required || []).includes(name));
    return Object.fromEntries(fields.map(([name, field]) => [name, sample(field, depth + 1)]));
  }
  if (type === "array") return [sample(full.items || {}, depth + 1)];
  return { integer: 0, number: 0, boolean: false, string: "" }[type] ?? null;
}

function parameterRows(parameters, inputs) {
  return parameters.map((p) => {
    const input = el("input", { "aria-label": p.name, placeholder: p.required ? "required" : "" });
    inputs.push([p, input]);
    return el("tr", {},
      el("td", {}, el("code", {}, p.name), el("div", { class: "dim" }, p.in)),
      el("td", {}, typeName(p.schema || {}), el("div", { class: "dim" }, p.description || "")),
      el("td", {}, input));
  });
}

function bodyPart(operation) {
  const content = resolve(operation.requestBody).content;
  if (!content) return {};
  const [type, media] = Object.entries(content)[0];
  const example = media.example ?? sample(media.schema || {});
  const text = typeof example === "string" ? example : JSON.stringify(example, null, 2);
  const area = el("textarea", { rows: Math.min(14, text.split("\n").length + 1), "aria-label": "Body" });
  area.value = text;
  return { type, area, node: el("div", {}, el("h4", {}, `Body, ${type}`), tree(media.schema || {}), area) };
}

async function send(method, path, inputs, body, output) {
  const headers = {};
  const query = new URLSearchParams();
  for (const [parameter, input] of inputs) {
    const value = input.value;
    if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === "query") query.append(parameter.name, value);
    else if (value && parameter.in === "header") headers[parameter.name] = value;
  }
  const key = document.getElementById("key").value;
  if (key) headers["X-API-Key"] = key;
  if (body.area) headers["Content-Type"] = body.type;
  if (query.size) path += `?${query}`;
  output.replaceChildren(el("pre", {}, "…"));
  try {
    const started = performance.now();
    const response = await fetch(path, { method: method.toUpperCase(), headers, body: body.area && body.area.value });
    const took = Math.round(performance.now() - started);
    const lines = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    const head = `${response.status} ${response.statusText}, ${took} ms\n${lines}`;
    const shown = el("pre", {});
    output.replaceChildren(el("pre", {}, head), shown);
    await show(response, shown);
  } catch (error) {
    output.replaceChildren(el("pre", {}, String(error)));
  }
}

/** Shows a body as it arrives, so that event streams can be watched. */
async function show(response, target) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (let part = await reader.read(); !part.done; part = await reader.read()) {
    text = (text + part.value).slice(-200000);
    target.textContent = text;
  }
  try { target.textContent = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it came */ }
}

function details(method, path, operation, shared) {
  const inputs = [];
  const parameters = [...shared, ...(operation.parameters || [])].map(resolve);
  const body = bodyPart(operation);
  const output = el("div", {});
  const responses = Object.entries(operation.responses || {}).map(([status, response]) => {
    const full = resolve(response);
    const media = Object.values(full.content || {})[0];
    return el("tr", {}, el("td", {}, el("code", {}, status)),
      el("td", {}, full.description || "", media && media.schema ? tree(media.schema) : undefined));
  });
  return el("div", {},
    operation.description ? el("p", {}, operation.description) : undefined,
    parameters.length ? el("h4", {}, "Parameters") : undefined,
    parameters.length ? el("table", {}, ...parameterRows(parameters, inputs)) : undefined,
    body.node,
    el("p", {}, el("button", { type: "button", onclick: () => send(method, path, inputs, body, output) }, "Send")),
    output,
    el("h4", {}, "Responses"), el("table", {}, ...responses));
}

function operationNode(id, method, path, operation, shared) {
  const node = el("details", { class: "op", id },
    el("summary", {}, el("span", { class: `method ${method}` }, method.toUpperCase()),
      el("span", { class: "path" }, path), el("span", { class: "dim" }, operation.summary || "")));
  // Details are built when first opened: a document has hundreds of schemas.
  node.addEventListener("toggle", () => {
    if (node.open && node.childElementCount === 1) node.append(details(method, path, operation, shared));
  });
  return node;
}

function render(filter = "") {
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((m) => item[m])) {
      const operation = item[method];
      const text = `${method} ${path} ${operation.summary || ""}`.toLowerCase();
      if (!text.includes(filter)) continue;
      const tag = (operation.tags || ["Other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      const id = operation.operationId || `${method}${path}`;
      groups.get(tag).push([id, method, path, operation, item.parameters || []]);
    }
  }
  const nav = document.getElementById("nav");
  const main = document.getElementById("main");
  nav.replaceChildren();
  main.replaceChildren(el("p", {}, api.info.description || ""));
  for (const [tag, operations] of groups) {
    nav.append(el("h3", {}, tag), ...operations.map(([id, method, path]) =>
      el("a", { href: `#${id}`, onclick: () => { document.getElementById(id).open = true; } },
        `${method.toUpperCase()} ${path}`)));
    main.append(el("h2", {}, tag), ...operations.map((parts) => operationNode(...parts)));
  }
  const wanted = document.getElementById(location.hash.slice(1));
  if (wanted) { wanted.open = true; wanted.scrollIntoView(); }
}

async function start() {
  api = await (await fetch("/openapi.json")).json();
  document.getElementById("title").textContent = `${api.info.title} ${api.info.version}`;
  document.getElementById("filter").addEventListener("input", (event) => render(event.target.value.toLowerCase()));
  render();
}

start().catch((error) => { document.getElementById("main").textContent = String(error); });
