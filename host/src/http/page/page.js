// The plain page of a node. It only calls the node's own HTTP interface. Whatever comes from there is
// put on the page as text, never as markup.
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
    throw new Error("the node can not be reached");
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

function fill(table, rows) {
  byId(table).tBodies[0].replaceChildren(...rows);
}

function row(...cells) {
  return element("tr", {}, ...cells.map((cell) =>
    cell instanceof HTMLTableCellElement ? cell : element("td", {}, String(cell ?? "—"))));
}

const number = (text) => element("td", { className: "number" }, String(text ?? "—"));
const state = (text, good) => element("td", { className: good ? "good" : "bad" }, text);
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
    if (file.type) request.setRequestHeader("Content-Type", file.type);
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded, event.total);
    });
    request.addEventListener("load", () => {
      const body = request.response;
      if (request.status >= 200 && request.status < 300 && body) resolve(body);
      else reject(new Error(body?.detail ?? `the node answered ${request.status}`));
    });
    request.addEventListener("error", () => reject(new Error("the connection to the node broke")));
    request.send(file);
  });
}

// A browser resolves these itself and would ask for another address.
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
      const what = written.unchanged ? "unchanged" : "stored";
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
  not_found: "the whole reachable network was asked",
  horizon: "the hop limit was reached; there may be more",
  partial: "some nodes gave no answer; there may be more",
  deadline: "time was up; there may be more",
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
  return row(element("td", { className: "key" }, show), number(sized(hit.size)), hit.node,
    number(hit.hops), hit.role, actions(save, remove));
}

async function search() {
  const asked = new URLSearchParams({ q: byId("pattern").value });
  if (byId("hops").value) asked.set("hops", byId("hops").value);
  say("search-result", "Searching…");
  try {
    const found = await ask(`/v1/search?${asked}`);
    fill("hits", found.hits.map(hitRow));
    byId("hits").hidden = found.hits.length === 0;
    const files = found.hits.length === 1 ? "1 file" : `${found.hits.length} files`;
    const why = OUTCOMES[found.outcome] ? ` (${OUTCOMES[found.outcome]})` : "";
    say("search-result", `${files}, ${found.probes} nodes asked over ${found.levels} hops, `
      + `${found.elapsed_ms.toFixed(1)} ms${why}`);
  } catch (error) {
    say("search-result", error.message, true);
  }
}

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  search();
});

// The network.

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
  return row(link.node, link.address, state(link.state, link.state === "up"), actions(cut));
}

function nodeRow(node) {
  return row(node.name, state(node.state, node.state === "alive"), number(node.hops), node.zone || "—",
    number(sized(node.free)), number(sized(node.capacity)), node.address);
}

async function refresh() {
  try {
    const [status, links, nodes] = await Promise.all(["status", "links", "nodes"].map((it) => ask(`/v1/${it}`)));
    document.title = `${status.name} · Dataverse`;
    say("status", `Node ${status.name} of network ${status.network}: ${status.replicas.files} replicas `
      + `(${sized(status.replicas.bytes)}), ${status.cached.files} cached copies `
      + `(${sized(status.cached.bytes)}), ${sized(status.free)} free`);
    // Rows are only replaced when they changed, so that a focused button keeps its focus.
    show("links", links, linkRow);
    show("nodes", nodes, nodeRow);
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
