"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const detail = document.getElementById("detail");
const map = document.getElementById("map");
const links = document.getElementById("links");
const byName = new Map(Object.entries(data.hosts).map(([id, host]) => [host.name, id]));

// Every text is set as text: nothing of a file becomes markup.
function add(parent, tag, text, name) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (name) element.className = name;
  parent.append(element);
  return element;
}

function each(selector, act) { document.querySelectorAll(selector).forEach(act); }

function clear() {
  detail.replaceChildren();
  detail.hidden = false;
  each(".chosen", (host) => host.classList.remove("chosen"));
  each(".hit", (host) => host.classList.remove("hit"));
  each(".lit", (link) => link.classList.remove("lit"));
  each("[aria-current]", (button) => button.removeAttribute("aria-current"));
  if (links) links.classList.remove("dimmed");
  const way = document.getElementById("way");
  if (way) way.replaceChildren();
}

function choose(ids, light) {
  const chosen = new Set(ids.map(String));
  each(".host", (host) => host.classList.toggle("chosen", chosen.has(host.dataset.host)));
  if (!links || chosen.size === 0) return;
  links.classList.add("dimmed");
  for (const link of links.children) {
    link.classList.toggle("lit", light(chosen.has(link.dataset.a), chosen.has(link.dataset.b)));
  }
}

// The way of the witness: an arrow for each hop that sends, a ring where it is lost.
function draw(trace) {
  const way = document.getElementById("way");
  if (!way) return;
  const make = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    way.append(element);
  };
  let last;
  for (const hop of trace) {
    const host = data.hosts[byName.get(hop.host)];
    if (!host) continue;
    if (last && last !== host) {
      const [dx, dy] = [host.x - last.x, host.y - last.y];
      const [cx, cy] = [(last.x + host.x) / 2 - dy * 0.12, (last.y + host.y) / 2 + dx * 0.12];
      make("path", { d: `M${last.x} ${last.y}Q${cx} ${cy} ${host.x} ${host.y}` });
    }
    last = host;
  }
  if (last) make("circle", { cx: last.x, cy: last.y, r: 15 });
}

function showFinding(index) {
  const finding = data.findings[index];
  if (!finding) return;
  clear();
  each(`[data-finding="${index}"]`, (button) => button.setAttribute("aria-current", "true"));
  describe(finding);
}

function showFault(index) {
  const fault = data.faults[index];
  if (!fault) return;
  clear();
  fault.hosts = fault.trace.map((hop) => byName.get(hop.host)).filter((id) => id !== undefined);
  describe(fault);
  detail.scrollIntoView({ block: "nearest" });
}

function describe(finding) {
  const heading = add(detail, "h2");
  if (finding.code) add(heading, "span", finding.code, `chip ${finding.severity}`);
  heading.append(` ${finding.title}`);
  if (finding.help) {
    add(detail, "h3", "What to do");
    add(detail, "div", finding.help, "help");
  }
  if (finding.witness || finding.trace.length) {
    add(detail, "h3", "A packet that shows it");
    if (finding.witness) {
      add(detail, "code", `${finding.witness.source} → ${finding.witness.destination}`);
    }
    const list = add(detail, "ol", null, "trace");
    finding.trace.forEach((hop, at) => {
      const item = add(list, "li");
      if (at === finding.trace.length - 1) item.className = "lost";
      const interfaceName = hop.interface ? ` (${hop.interface})` : "";
      const matched = hop.matched ? ` [${hop.matched}]` : "";
      item.textContent = `${hop.host}${interfaceName}: ${hop.action}${matched}`;
    });
  }
  const place = finding.labels.length ? "Where" : "";
  const several = finding.count > 1 ? `one of ${finding.count}` : "";
  if (place || several) add(detail, "h3", [place, several].filter(Boolean).join(", "));
  for (const label of finding.labels) {
    add(detail, "div", label.text ? `${label.place}: ${label.text}` : label.place, "place");
    if (label.line) add(detail, "pre", label.line);
  }
  if (data.pages[finding.code]) {
    const more = add(detail, "details");
    add(more, "summary", `What ${finding.code} means`);
    add(more, "pre", data.pages[finding.code]);
  }
  choose(finding.hosts, (a, b) => a && b);
  draw(finding.trace);
  detail.scrollTop = 0;
}

function showHost(id) {
  const host = data.hosts[id];
  if (!host) return;
  clear();
  add(detail, "h2", host.name);
  add(detail, "div", host.facts.join(" · "), "place");
  for (const own of host.interfaces) {
    add(detail, "h3", `${own.name}, network ${own.network}`);
    const port = own.port ? `, UDP port ${own.port}` : "";
    add(detail, "div", `${own.addresses.join(", ")}, MTU ${own.mtu}${port}`);
    const table = add(detail, "table");
    const head = add(table, "tr");
    for (const name of ["peer", "AllowedIPs", "endpoint", "keepalive"]) add(head, "th", name);
    for (const peer of own.peers) {
      const row = add(table, "tr");
      for (const text of [peer.name, peer.allowed, peer.endpoint || "", peer.keepalive || ""]) {
        add(row, "td", text);
      }
    }
    if (own.more) add(detail, "div", `and ${own.more} more peers`, "place");
  }
  showLoss(host.name);
  const about = data.findings
    .map((finding, index) => [finding, index])
    .filter(([finding]) => finding.hosts.includes(Number(id)));
  if (about.length) add(detail, "h3", "Findings");
  for (const [finding, index] of about) {
    const link = add(add(detail, "div"), "a", `${finding.code} ${finding.title}`);
    link.href = `#finding-${index}`;
  }
  choose([id], (a, b) => a || b);
  const box = document.querySelector(`[data-host="${id}"]`)
    || (host.site !== null && document.querySelector(`[data-site="${host.site}"]`));
  if (box) { box.classList.add("chosen"); show(box); }
  spokes(host);
  detail.scrollTop = 0;
}

// What would be lost with a host, which is computed before: nothing is asked from here.
function showLoss(name) {
  const loss = data.losses[data.lost_with[name]];
  if (!loss) return;
  const part = add(detail, "div", null, "loss");
  add(part, "h3", `If ${name} fails`);
  const ends = `${loss.ends} that begin or end there are gone.`;
  add(part, "div", loss.any
    ? `${loss.lost} between others would be lost, ${loss.survive} survive; ${ends}`
    : `No flow between others is lost; ${ends}`);
  if (!loss.flows.length) return;
  const list = add(part, "ul");
  for (const flow of loss.flows) {
    add(list, "li", `${flow.from} to ${flow.to} (${flow.flows}): ${flow.why}`);
  }
  if (loss.more) add(list, "li", `and ${loss.more} kinds of flows more`);
  const hit = new Set(loss.flows.flatMap((flow) => flow.ends).filter(Boolean));
  each(".host", (host) => {
    const other = data.hosts[host.dataset.host];
    host.classList.toggle("hit", Boolean(other) && hit.has(other.name));
  });
}

function showSite(id) {
  const site = data.sites[id];
  if (!site) return;
  clear();
  add(detail, "h2", `site ${site.name}`);
  add(detail, "div", site.subnets.join(" · "), "place");
  const list = add(detail, "ul");
  for (const host of site.hosts) {
    const known = data.hosts[host];
    if (!known) continue;
    const link = add(add(list, "li"), "a", known.name);
    link.href = `#host-${host}`;
  }
  choose(site.hosts, (a, b) => a || b);
  const tile = document.querySelector(`[data-site="${id}"]`);
  if (tile) { tile.classList.add("chosen"); show(tile); }
  detail.scrollTop = 0;
}

// Brings something into the part of the drawing that is seen.
function show(element) { element.scrollIntoView({ block: "nearest", inline: "nearest" }); }

// The links of a host whose lines are not drawn, because there are too many of them.
function spokes(host) {
  const way = document.getElementById("way");
  if (!way || !data.folded) return;
  for (const own of host.interfaces) {
    for (const peer of own.peers) {
      const far = data.hosts[byName.get(peer.name)];
      if (!far) continue;
      const line = document.createElementNS("http://www.w3.org/2000/svg", "line");
      const ends = { x1: host.x, y1: host.y, x2: far.x, y2: far.y };
      for (const [key, value] of Object.entries(ends)) line.setAttribute(key, value);
      way.append(line);
    }
  }
}

// What is chosen is in the address, so that it can be bookmarked and stepped back to.
function follow() {
  const [kind, id] = location.hash.slice(1).split("-");
  if (kind === "finding") showFinding(Number(id));
  else if (kind === "host") showHost(id);
  else if (kind === "fault") showFault(Number(id));
  else if (kind === "site") showSite(id);
}

each("[data-finding]", (button) => {
  button.addEventListener("click", () => { location.hash = `finding-${button.dataset.finding}`; });
});
each("[data-fault]", (button) => {
  button.addEventListener("click", () => { location.hash = `fault-${button.dataset.fault}`; });
});
each("[data-host], [data-site]", (host) => {
  const to = host.dataset.site === undefined ? `host-${host.dataset.host}` : `site-${host.dataset.site}`;
  const go = () => { location.hash = to; };
  host.addEventListener("click", go);
  host.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === " ") { event.preventDefault(); go(); }
  });
});
// A drawing that would be too small to read is scrolled instead; 0 fits it into what is seen.
const canvas = document.getElementById("canvas");
let scale = 0;
function zoom(factor) {
  if (!map) return;
  const wide = Number(map.dataset.width);
  const now = map.getBoundingClientRect().width / wide;
  const [x, y] = [canvas.scrollLeft + canvas.clientWidth / 2, canvas.scrollTop + canvas.clientHeight / 2];
  scale = factor === 0 ? canvas.clientWidth / wide : Math.min(4, Math.max(0.05, now * factor));
  map.style.minWidth = "0";
  map.style.width = `${Math.round(wide * scale)}px`;
  canvas.scrollLeft = x * (scale / now) - canvas.clientWidth / 2;
  canvas.scrollTop = y * (scale / now) - canvas.clientHeight / 2;
}
if (map) map.style.minWidth = `${Math.round(Number(map.dataset.width) * 0.78)}px`;
each("[data-zoom]", (button) => {
  button.addEventListener("click", () => zoom(Number(button.dataset.zoom)));
});
if (canvas) {
  canvas.addEventListener("wheel", (event) => {
    if (!event.ctrlKey) return;
    event.preventDefault();
    zoom(event.deltaY < 0 ? 1.15 : 0.87);
  }, { passive: false });
}

// Names that have what is typed, those that begin with it first.
const search = document.getElementById("search");
function find() {
  const found = document.getElementById("found");
  found.replaceChildren();
  const word = search.value.trim().toLowerCase();
  if (!word) return;
  const all = Object.entries(data.sites).map(([id, site]) => [`site-${id}`, site.name])
    .concat(Object.entries(data.hosts).map(([id, host]) => [`host-${id}`, host.name]))
    .filter(([, name]) => name.toLowerCase().includes(word));
  all.sort((a, b) => b[1].toLowerCase().startsWith(word) - a[1].toLowerCase().startsWith(word));
  for (const [to, name] of all.slice(0, 24)) {
    const button = add(found, "button", name);
    button.addEventListener("click", () => { location.hash = to; });
  }
  if (all.length > 24) add(found, "span", `and ${all.length - 24} more`, "key");
}
if (search) search.addEventListener("input", find);
addEventListener("hashchange", follow);
follow();
