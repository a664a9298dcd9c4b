// Fetches the overview every second and the trend every three, and brings the page to it. Nothing leaves this address.
"use strict";

const LIVE_MS = 1000, TREND_MS = 3000, AXIS_MIN_MS = 60000, SILENT_AFTER = 3; // failed fetches before the page says so
const WORDS = { up: "running", waiting: "trying again", down: "needs a person", starting: "starting" };
const CERTIFICATE_WARN_DAYS = 30; // as the bridge's log
const KINDS = { module: "module", stage: "stage", sink: "delivery" };
const CLOCKS = { none: "no time yet", host: "from this gateway", attested: "attested", holdover: "own clock, gateway not heard", stepped: "stepped" };
const STATUS = { // the status names that would not be understood as they are
  timeout: "no answer", crc: "CRC error", mismatch: "wrong answer", length: "wrong length", backoff: "silent, paused", overrun: "no time left",
  overflow: "journal full", hole: "record missing", warning: "maintenance", failure: "failure", function_check: "function check",
  out_of_specification: "out of spec.", status_missing: "no status", not_finite: "not a number",
};
let live = null, trend = null, failures = 0;

// Building and patching elements: text is always set as text, never as markup.
function make(tag, attributes, ...children) {
  const svg = ["svg", "path", "rect", "line", "title"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) if (value !== null && value !== undefined) node.setAttribute(name, value);
  for (const child of children.flat()) if (child !== null && child !== undefined) node.append(child);
  return node;
}
function patch(old, next) {
  if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName) { old.replaceWith(next); return; }
  if (old.nodeType === Node.TEXT_NODE) { if (old.data !== next.data) old.data = next.data; return; }
  for (const { name } of [...old.attributes]) if (!next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...next.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  const wanted = [...next.childNodes];
  wanted.forEach((child, index) => { if (index < old.childNodes.length) patch(old.childNodes[index], child); else old.append(child); });
  while (old.childNodes.length > wanted.length) old.lastChild.remove();
}
function fill(id, ...children) {
  const old = document.getElementById(id), next = old.cloneNode(false);
  next.append(...children.flat().filter((child) => child !== null));
  patch(old, next);
}

// Words for numbers
function number(value, symbol) {
  if (value === null || value === undefined) return "–";
  if (symbol === "1" && Number.isInteger(value)) return String(value); // a flag or a count
  const size = Math.abs(value);
  return value.toFixed(size >= 10000 ? 0 : size >= 100 ? 1 : size >= 10 ? 2 : 3);
}
function span(ms) {
  if (ms === null || ms === undefined) return "–";
  const s = Math.max(0, ms) / 1000;
  if (s < 120) return Math.round(s) + " s";
  if (s < 7200) return Math.round(s / 60) + " min";
  return s < 172800 ? Math.round(s / 3600) + " h" : Math.round(s / 86400) + " d";
}
function interval(s) {
  if (s === 86400) return "1 day";
  return s % 3600 === 0 ? s / 3600 + " h" : s % 60 === 0 ? s / 60 + " min" : s + " s";
}
const time = (ms) => new Date(ms).toISOString().slice(11, 19);
const date = (ms) => new Date(ms).toISOString().slice(0, 10);
const since = (ms) => (date(ms) === date(live.now_utc_ms) ? "" : date(ms) + " ") + time(ms).slice(0, 5) + " UTC";
const unit = (text) => text.replace("m3", "m³").replace("degC", "°C").replace(/^u(?=g)/, "µ").replace(/^1$/, "");
const word = (status) => status.replaceAll("_", " ");
const percent = (valid, expected) => (expected ? Math.floor(100 * valid / expected) : 0); // never rounded up to 100
const level = (share) => (share >= 95 ? "full" : share >= 50 ? "most" : "few");
function quality(entry, isStale) {
  if (isStale) return "stopped coming";
  if (entry.quality === "good") return "valid";
  const cause = STATUS[entry.status] || word(entry.status);
  return entry.quality === "gap" ? "gap: " + cause : cause;
}

// Sections
function light(part) {
  const counters = part.counters, backlog = counters.journal_waiting_count, sink = part.kind === "sink" ? live.sinks.find((s) => s.name === part.name) : null;
  const facts = [
    WORDS[part.state] + (part.state === "starting" ? "" : " for " + span(live.now_utc_ms - part.since_utc_ms)),
    part.kind === "module" && backlog ? backlog + " records wait in its journal" : null,
  ];
  return make("div", { class: "light", "data-state": part.state, "data-part": part.kind + "/" + part.name, title: WORDS[part.state] + " since " + since(part.since_utc_ms) },
    make("span", { class: "lamp" }), make("span", { class: "name" }, part.name, " ", make("small", {}, sink ? sink.kind : KINDS[part.kind] || part.kind)),
    make("span", { class: "state" }, facts.filter(Boolean).join(", ")));
}
function reason(part) {
  return make("p", { class: "reason", "data-state": part.state, "data-reason": part.kind + "/" + part.name }, make("b", {}, part.name), ": ", part.error, " ",
    make("small", {}, span(live.now_utc_ms - part.error_utc_ms) + " ago"));
}
// The time axis of all trends: as long as the page is told to keep, shorter while there is less.
function axis() {
  const all = trend.end_utc_ms - trend.start_utc_ms;
  const first = Math.min(all - AXIS_MIN_MS, ...Object.values(trend.modules).flatMap((m) => Object.values(m)).filter((b) => b.length).map((b) => b[0][0]));
  return { first: Math.max(0, first), all };
}
function graph(device, channel, symbol) {
  const buckets = (trend && trend.modules[device] && trend.modules[device][channel]) || [];
  const valid = buckets.filter((bucket) => bucket[3] > 0);
  if (!valid.length) return make("div", { class: "graph" }, make("span", { class: "note" }, "no valid sample yet"));
  const low = Math.min(...valid.map((b) => b[1])), high = Math.max(...valid.map((b) => b[2]));
  const width = 600, height = 60, pad = (high - low) * 0.05 || Math.abs(high) * 0.01 || 1;
  const { first, all } = axis(), step = trend.bucket_ms;
  const x = (ms) => (Math.max(0, Math.min(ms, all) - first) / (all - first) * width).toFixed(1);
  const y = (value) => (height - 6 - (value - low + pad) / (high - low + 2 * pad) * (height - 8)).toFixed(1);
  const runs = [];
  for (const bucket of valid) {
    const last = runs[runs.length - 1];
    if (last && bucket[0] - last[last.length - 1][0] <= 2 * step) last.push(bucket); else runs.push([bucket]);
  }
  const shapes = runs.map((run) => {
    const end = run[run.length - 1][0] + step;
    const top = run.map((b) => x(b[0] + step / 2) + " " + y(b[2])), bottom = run.map((b) => x(b[0] + step / 2) + " " + y(b[1])).reverse();
    if (run.length === 1) return "M" + x(run[0][0]) + " " + y(run[0][2]) + "H" + x(end) + "V" + y(run[0][1]) + "H" + x(run[0][0]) + "Z";
    return "M" + [...top, ...bottom].join("L") + "Z";
  });
  const lost = buckets.filter((b) => b[4] > 0).map((b) =>
    make("rect", { class: "lost", x: x(b[0]), y: height - 4, width: Math.max(1.5, step / (all - first) * width).toFixed(1), height: 4 }));
  const title = "last " + Math.ceil((all - first) / 60000) + " min, " + number(low) + " to " + number(high) + " " + unit(symbol);
  return make("div", { class: "graph" },
    make("svg", { class: "trend", viewBox: "0 0 " + width + " " + height, preserveAspectRatio: "none", role: "img", "aria-label": title },
      make("line", { class: "floor", x1: 0, x2: width, y1: height - 5, y2: height - 5 }),
      make("path", { class: "band", d: shapes.join("") }), ...lost),
    make("span", { class: "scale" }, make("span", {}, number(high)), make("span", {}, number(low))));
}
function channel(module, entry) {
  const colour = module.is_stale ? "stale" : entry.quality;
  const own = entry.id.startsWith(entry.analyzer + ".") ? entry.id.slice(entry.analyzer.length + 1) : entry.id; // below its analyzer's name
  const isSame = own.toLowerCase() === entry.quantity.toLowerCase();
  return make("div", { class: "channel", "data-channel": entry.id },
    make("span", { class: "what", title: entry.id }, make("b", {}, isSame ? entry.quantity : own), " ", isSame ? null : make("small", {}, entry.quantity)),
    make("span", { class: "value", "data-quality": colour }, number(entry.value, entry.unit), " ", make("small", {}, unit(entry.unit))),
    make("span", { class: "quality" }, make("span", { class: "pill", "data-quality": colour, title: word(entry.status) }, quality(entry, module.is_stale)), " ",
      make("span", { class: "age", title: date(entry.slot_utc_ms) + " " + time(entry.slot_utc_ms) + " UTC" }, span(live.now_utc_ms - entry.slot_utc_ms) + " ago")),
    graph(module.device, entry.id, entry.unit));
}
function averages(module) {
  const columns = live.intervals_s.filter((s) => (module.averages[s] || []).length);
  if (!columns.length) return make("p", { class: "note" }, "No average yet: the first comes when an interval has ended.");
  const cell = (id, s) => {
    const found = module.averages[s].find((average) => average.channel === id);
    if (!found) return make("td", { class: "number" }, "–");
    const share = percent(found.n_valid, found.n_expected);
    const title = date(found.start_utc_ms) + " " + time(found.start_utc_ms) + " UTC, " + found.n_valid + " of " + found.n_expected + " slots valid, revision " + found.revision;
    return make("td", { class: "number", title: title }, number(found.mean), " ", make("small", { class: "share", "data-level": level(share) }, share + " %"));
  };
  const head = (s) => {
    const start = module.averages[s][0].start_utc_ms;
    return make("th", { class: "number" }, interval(s), make("small", {}, "from " + (s >= 86400 ? date(start) : time(start).slice(0, s < 60 ? 8 : 5)) + " UTC"));
  };
  return make("div", { class: "wide" }, make("table", { class: "averages" },
    make("thead", {}, make("tr", {}, make("th", {}, "Average, valid slots"), columns.map(head))),
    make("tbody", {}, module.channels.map((entry) => make("tr", {}, make("td", {}, entry.id, " ", make("small", {}, unit(entry.unit))), columns.map((s) => cell(entry.id, s)))))));
}
function coverage(module) {
  const { interval_s, cells } = module.coverage;
  if (!cells.length) return null;
  const last = cells[cells.length - 1];
  const strip = cells.map((c) => make("span", {
    class: "cell", "data-level": level(percent(c[1], c[2])), title: date(c[0]) + " " + time(c[0]) + " UTC: " + c[1] + " of " + c[2] + " slots valid" }));
  return make("div", { class: "coverage" }, make("h3", {}, "Valid slots in the last " + cells.length + " intervals of " + interval(interval_s)), make("div", { class: "cells" }, strip),
    make("p", { class: "note" }, time(cells[0][0]).slice(0, 5) + " to " + time(last[0] + interval_s * 1000).slice(0, 5) + " UTC, newest: " + percent(last[1], last[2]) + " % of all slots valid", [["full", "95 % and more"], ["most", "50 % and more"], ["few", "less"]].map(([name, text]) =>
      make("span", { class: "key" }, make("span", { class: "cell", "data-level": name }), text))));
}
function module(entry) {
  const analyzers = [...new Set(entry.channels.map((c) => c.analyzer))];
  const clock = entry.utc_status === null ? "nothing received yet" : entry.utc_status === "none" ? "module has no time yet"
    : "time " + (CLOCKS[entry.utc_status] || word(entry.utc_status)) + ", ±" + entry.utc_unc_ms + " ms";
  const rows = analyzers.map((name) => [make("h3", { class: "analyzer" }, name), entry.channels.filter((c) => c.analyzer === name).map((c) => channel(entry, c))]);
  const titles = make("div", { class: "channel titles" }, ["Channel", "Newest value", "Quality and age"].map((t) => make("span", {}, t)),
    make("span", { class: "ends" }, trend ? [trend.start_utc_ms + axis().first, trend.end_utc_ms].map((ms) => make("span", {}, since(ms))) : ""));
  return make("div", { class: "module", "data-device": entry.device },
    make("div", { class: "head" }, make("h2", {}, entry.device), make("span", { class: "facts" }, clock),
      entry.seal_ms ? make("span", { class: "facts" }, "a signed record every " + span(entry.seal_ms)) : null,
      entry.fault ? make("span", { class: "alarm" }, entry.fault) : null),
    entry.channels.length ? null : make("p", { class: "note" }, entry.has_parameters ? "No sample yet." : "Records come, but their parameter set is not here: register bytes have no meaning yet."),
    make("div", { class: "channels" }, entry.channels.length ? titles : null, rows.flat(2)),
    entry.channels.length ? make("div", { class: "below" }, coverage(entry), averages(entry)) : null);
}
function table(titles, rows) {
  // A title that begins with "#" heads a column of numbers.
  return make("div", { class: "wide" }, make("table", {}, make("thead", {}, make("tr", {}, titles.map((t) => make("th", { class: t[0] === "#" ? "number" : null }, t.replace("#", ""))))), make("tbody", {}, rows)));
}
const count = (value, isAlarm) => make("td", { class: "number" + (isAlarm ? " alarm" : "") }, value === undefined || value === null ? "–" : String(value));
function backlog() {
  const inside = live.modules.map((m) => {
    const part = live.parts.find((p) => p.kind === "module" && p.name === m.device);
    return make("tr", {}, make("td", {}, "records in the journal of " + m.device), count(part && part.counters.journal_waiting_count));
  });
  inside.push(make("tr", {}, make("td", {}, "records not averaged yet"), count(live.unaveraged)));
  const delivered = (name) => { const part = live.parts.find((p) => p.kind === "sink" && p.name === name); return part && part.counters.delivered_total; };
  const certificate = (name) => { // the days of the one that ends first
    const part = live.parts.find((p) => p.kind === "sink" && p.name === name), days = (w) => part && part.counters[w + "_certificate_left_days"];
    const [first] = ["client", "server"].filter((w) => days(w) !== undefined && days(w) !== null).sort((a, b) => days(a) - days(b));
    return first ? make("span", { class: days(first) < CERTIFICATE_WARN_DAYS ? "alarm" : "", "data-certificate": name }, name + " " + days(first) + " days (" + first + ")") : null;
  };
  const outside = live.sinks.map((s) => make("tr", { "data-sink": s.name }, make("td", {}, s.name, " ", make("small", {}, s.kind)), count(s.unqueued), count(s.waiting),
    make("td", { class: "number" }, s.oldest_utc_ms ? span(live.now_utc_ms - s.oldest_utc_ms) : "–"), count(s.attempts), count(s.quarantined, s.quarantined > 0), count(delivered(s.name))));
  const certificates = live.sinks.map((s) => certificate(s.name)).filter(Boolean).flatMap((c) => [", ", c]).slice(1);
  return [make("h2", {}, "Backlog"), table(["Waiting inside", "#"], inside),
    live.sinks.length ? table(["Deliveries", "#not queued", "#waiting", "#oldest", "#tries", "#quarantine", "#delivered"], outside) : make("p", { class: "note" }, "No delivery is configured."),
    certificates.length ? make("p", { class: "note" }, "Certificates end in: ", ...certificates) : "",
    make("p", { class: "note" }, live.records_total + " records in the ledger. A delivery waits until its receipt is stored; nothing is dropped. Delivered: since the start of the bridge.")];
}
function chain() {
  const rows = live.modules.map((m) => {
    const c = m.chain, ok = !c.is_frozen && !c.hole_count && !c.quarantine_count && !m.fault;
    const verdict = c.is_frozen ? "FROZEN: two histories under one key" : ok ? (c.seq ? "whole" : "empty") : "see right";
    const notes = [c.hole_count ? c.hole_count + " holes, newest " + c.holes[0].join("–") : "", c.quarantine_count ? c.quarantine_count + " in quarantine (" + word(c.quarantine_code) + ")" : ""];
    return make("tr", { "data-chain": m.device }, make("td", {}, m.device), make("td", { class: ok ? "fine" : "alarm" }, verdict), count(c.seq),
      make("td", { class: "number" }, m.received_utc_ms ? span(live.now_utc_ms - m.received_utc_ms) : "–"),
      make("td", {}, make("code", {}, c.content_hash.slice(0, 12))), make("td", { class: "note" }, notes.filter(Boolean).join(", ") || "boot " + c.boot));
  });
  return [make("h2", {}, "Chain"), table(["Module", "State", "#Newest record", "#Age", "Its hash", ""], rows),
    make("p", { class: "note" }, "Each record names the hash of the one before: one that is missing, changed or out of place shows here.")];
}
function verdict() {
  const faults = live.modules.filter((m) => m.chain.is_frozen || m.fault).length + live.sinks.filter((s) => s.quarantined).length + live.parts.filter((p) => p.state === "down").length;
  const waits = live.parts.filter((p) => p.state === "waiting").length + live.modules.filter((m) => m.is_stale).length;
  const node = document.getElementById("verdict");
  const channels = live.modules.flatMap((m) => m.channels), invalid = channels.filter((c) => c.quality !== "good" && c.quality !== "maintenance").length;
  node.dataset.state = faults ? "down" : waits || invalid ? "waiting" : "up";
  const links = faults ? faults + " need" + (faults === 1 ? "s" : "") + " a person" : waits ? waits + " waiting, nothing lost" : "all links up";
  node.textContent = links + (invalid ? " · " + invalid + " of " + channels.length + " channels not valid" : "");
}
function draw() {
  if (!live) return;
  verdict();
  document.getElementById("clock").textContent = new Date(live.now_utc_ms).toISOString().slice(0, 19).replace("T", " ") + " UTC";
  fill("lights", live.parts.map(light), live.parts.filter((part) => part.state !== "up" && part.error).map(reason));
  fill("modules", live.modules.map(module));
  fill("backlog", backlog());
  fill("chain", chain());
  const releases = live.modules.filter((m) => m.firmware).map((m) => m.device + ": firmware " + m.firmware + " on " + m.interpreter);
  document.getElementById("firmware").textContent = releases.length ? "· " + releases.join(" · ") : "";
}

// Fetching
async function ask(path) {
  const answer = await fetch(path, { cache: "no-store" });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || "HTTP " + answer.status);
  return body;
}
async function repeat(path, everyMs, take) {
  for (;;) {
    try { take(await ask(path)); silent(null); draw(); } catch (error) { silent(error); }
    await new Promise((done) => setTimeout(done, everyMs));
  }
}
function silent(error) {
  failures = error ? failures + 1 : 0;
  const isOld = failures >= SILENT_AFTER, node = document.getElementById("trouble");
  if (isOld) node.textContent = "No answer from the bridge since " + (live ? since(live.now_utc_ms) : "this page was opened") + "; what stands below is old. (" + error.message + ")";
  if (!error || isOld) node.hidden = !isOld;
  document.body.classList.toggle("old", isOld);
}
repeat("/api/overview", LIVE_MS, (body) => { live = body; });
repeat("/api/trend", TREND_MS, (body) => { trend = body; });
