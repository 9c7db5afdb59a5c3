// The page of a node. It uses only the node's HTTP API. Whatever the API returns is put on the page as
// text, never as markup.
"use strict";

const REFRESH_MS = 5000;
const UPLOADS_AT_ONCE = 3;

const byId = (id) => document.getElementById(id);

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function sized(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let unit = 0;
  while (bytes >= 1024 && unit < units.length - 1) {
    bytes /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

function fileUrl(key) {
  return "/v1/files/" + key.split("/").map(encodeURIComponent).join("/");
}

async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("cannot reach the node");
  }
  if (response.status === 204) return null;
  const body = await response.json().catch(() => null);
  if (!response.ok) throw new Error(body?.detail ?? `the node answered ${response.status}`);
  return body;
}

function say(id, text, failed = false) {
  const line = byId(id);
  line.textContent = text;
  line.className = failed ? "bad" : "";
}

// On a narrow screen each row is shown as a card, in which every cell has its column's title.
function fill(table, rows) {
  const titles = [...byId(table).tHead.rows[0].cells].map((cell) => cell.textContent);
  for (const made of rows) {
    [...made.cells].forEach((cell, at) => {
      cell.dataset.title = titles[at];
    });
  }
  byId(table).tBodies[0].replaceChildren(...rows);
}

function withRole(role, made) {
  made.setAttribute("role", role);
  return made;
}

function row(...cells) {
  return withRole("row", element("tr", {}, ...cells.map((cell) => withRole("cell",
    cell instanceof HTMLTableCellElement ? cell : element("td", {}, String(cell ?? "—"))))));
}

const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`;

const short = (text) => element("td", { className: "short" }, String(text ?? "—"));
const state = (text, good) => element("td", { className: good ? "short good" : "short bad" }, text);
const actions = (...children) => element("td", { className: "actions" }, ...children);

function button(text, label, action) {
  const made = element("button", { type: "button", className: "quiet" }, text);
  made.setAttribute("aria-label", label);
  made.addEventListener("click", async () => {
    made.disabled = true;
    try {
      await action();
    } finally {
      made.disabled = false;
    }
  });
  return made;
}

// Uploads.

function send(key, file, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", fileUrl(key));
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded, event.total);
    });
    request.addEventListener("load", () => {
      const body = request.response;
      if (request.status >= 200 && request.status < 300 && body) resolve({ ...body, created: request.status === 201 });
      else reject(new Error(body?.detail ?? `the node answered ${request.status}`));
    });
    request.addEventListener("error", () => reject(new Error("the connection to the node broke")));
    // A browser guesses a file's type from its name alone. The node sees the content as well, so no type is sent.
    request.send(file.slice(0, file.size, ""));
  });
}

// A browser resolves these in a URL and would request another path.
const isDots = (segment) => segment === "." || segment === "..";

async function upload(user, file) {
  const key = `${user}/${file.name}`;
  const note = element("span", {}, "waiting");
  const bar = element("progress", { max: 1, value: 0 });
  bar.setAttribute("aria-label", `Upload of ${file.name}`);
  const item = element("li", {}, element("span", { className: "name" }, key), note, bar);
  byId("uploads").prepend(item);
  return async () => {
    try {
      if (key.split("/").some(isDots)) {
        throw new Error("no part of a name may be . or ..");
      }
      const written = await send(key, file, (loaded, total) => {
        bar.value = total ? loaded / total : 1;
        note.textContent = loaded < total ? `${Math.floor((100 * loaded) / total)} %` : "storing";
      });
      bar.value = 1;
      const what = written.unchanged ? "unchanged" : written.created ? "stored" : "replaced an earlier version,";
      const degraded = written.degraded ? `, ${written.replicas.length} of ${written.factor} replicas` : "";
      note.textContent = `${what} on ${written.replicas.join(", ")}${degraded}`;
      note.className = written.degraded ? "" : "good";
    } catch (error) {
      bar.remove();
      note.textContent = error.message;
      note.className = "bad";
    }
  };
}

byId("upload").addEventListener("submit", async (event) => {
  event.preventDefault();
  const user = byId("user").value.trim();
  const files = [...byId("files").files];
  event.target.reset();
  byId("user").value = user;
  const waiting = await Promise.all(files.map((file) => upload(user, file)));
  const lane = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) await next();
  };
  await Promise.all(Array.from({ length: UPLOADS_AT_ONCE }, lane));
  refresh();
});

// Search.

const OUTCOMES = {
  not_found: "every reachable node was asked",
  horizon: "the hop limit was reached; there may be more",
  partial: "some nodes did not answer; there may be more",
  deadline: "time ran out; there may be more",
  budget: "too many nodes to ask; there may be more",
};

function hitRow(hit) {
  const show = element("a", { href: fileUrl(hit.key) }, hit.key);
  const save = element("a", { href: fileUrl(hit.key) + "?download=1" }, "Download");
  save.setAttribute("aria-label", `Download ${hit.key}`);
  const remove = button("Delete", `Delete ${hit.key}`, async () => {
    if (!confirm(`Delete ${hit.key} everywhere?`)) return;
    try {
      await ask(fileUrl(hit.key), { method: "DELETE" });
      await search();
    } catch (error) {
      say("search-result", error.message, true);
    }
  });
  return row(element("td", { className: "key" }, show), short(sized(hit.size)), hit.node,
    short(hit.hops), short(hit.role), actions(save, remove));
}

async function search() {
  const asked = new URLSearchParams({ q: byId("pattern").value });
  if (byId("hops").value) asked.set("hops", byId("hops").value);
  say("search-result", "Searching…");
  try {
    const found = await ask(`/v1/search?${asked}`);
    fill("hits", found.hits.map(hitRow));
    byId("hits").hidden = found.hits.length === 0;
    const files = counted(found.hits.length, "file", "files");
    const why = OUTCOMES[found.outcome] ? ` (${OUTCOMES[found.outcome]})` : "";
    const more = found.truncated ? " More files match than are shown; use a narrower pattern." : "";
    const silent = found.unanswered.length ? ` No answer from ${named(found.unanswered)}.` : "";
    say("search-result", `${files}, ${counted(found.probes, "node", "nodes")} asked over `
      + `${counted(found.levels, "hop", "hops")}, ${found.elapsed_ms.toFixed(1)} ms${why}.${more}${silent}`);
  } catch (error) {
    say("search-result", error.message, true);
  }
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});

// The network.

const named = (nodes) => nodes.map((node) => `${node.node ?? node.name} (${node.address})`).join(", ");

// Nodes that do not answer: neighbours whose link is down, and members that are suspected or gone. A node that left
// holds no files, and one that was never reached shows up as a connecting link.
function silentNodes(links, nodes) {
  const silent = new Map();
  for (const link of links) if (link.state === "down") silent.set(link.address, link);
  for (const node of nodes) {
    if (node.state === "suspect" || node.state === "gone") silent.set(node.address, node);
  }
  return [...silent.values()];
}

function linkRow(link) {
  const cut = button("Cut", `Cut the link with ${link.node || link.address}`, async () => {
    try {
      await ask(`/v1/links/${encodeURIComponent(link.node || link.address)}`, { method: "DELETE" });
      say("link-result", `${link.node || link.address} is no longer linked`);
      await refresh();
    } catch (error) {
      say("link-result", error.message, true);
    }
  });
  const name = link.node || "—";
  return row(name, link.address, state(link.state, link.state === "up"), actions(cut));
}

function nodeRow(node) {
  return row(node.name, state(node.state, node.state === "alive"), short(node.hops), node.zone || "—",
    short(sized(node.free)), short(sized(node.capacity)), node.address);
}

async function refresh() {
  try {
    const [status, links, nodes] = await Promise.all(["status", "links", "nodes"].map((it) => ask(`/v1/${it}`)));
    document.title = `${status.name} · Dataverse`;
    say("status", `Node ${status.name} of network ${status.network}: ${counted(status.replicas.files, "replica", "replicas")} `
      + `(${sized(status.replicas.bytes)}), ${counted(status.cached.files, "cached copy", "cached copies")} `
      + `(${sized(status.cached.bytes)}), ${sized(status.free)} free`);
    const problems = status.problems.map((it) => it.detail).join(" ");
    if (byId("problems").textContent !== problems) say("problems", problems, true);
    // Rows are replaced only when they change, so that a focused button keeps its focus.
    show("links", links, linkRow);
    show("nodes", nodes, nodeRow);
    const silent = silentNodes(links, nodes);
    const text = silent.length === 0 ? "" : `No answer from ${named(silent)}. `
      + "Files that only they hold cannot be read until they are back.";
    if (byId("silent").textContent !== text) say("silent", text, true);
  } catch (error) {
    say("status", error.message, true);
  }
}

const shown = new Map();

function show(table, items, rowOf) {
  const state = JSON.stringify(items);
  if (shown.get(table) === state) return;
  shown.set(table, state);
  fill(table, items.map(rowOf));
}

byId("link").addEventListener("submit", async (event) => {
  event.preventDefault();
  const address = byId("address").value.trim();
  say("link-result", "Linking…");
  try {
    const link = await ask("/v1/links", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ address }),
    });
    say("link-result", `Linked with ${link.node}`);
    byId("address").value = "";
    await refresh();
  } catch (error) {
    say("link-result", error.message, true);
  }
});

refresh();
setInterval(() => {
  if (!document.hidden) refresh();
}, REFRESH_MS);
