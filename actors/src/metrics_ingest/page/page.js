// Shows what GET /status says, live, by the events of GET /events (docs/status.md).
//
// Names, reasons and messages come from workloads, metrics and servers: all of them reach the page
// as the text of a node or as an attribute that nothing runs, never as markup.

/** Longest time that a sparkline shows, and the shortest, in milliseconds. */
const LONGEST = 10 * 60_000;
const SHORTEST = 30_000;
/** Samples that are kept of one metric: two a second, for the longest time. */
const MAX_SAMPLES = 1200;
/** Metrics that are drawn; the agent keeps up to 10,000. */
const MAX_METRICS = 200;
/** Samples of one value that are closer, in milliseconds, are the same one: its age is rounded. */
const SAME_SAMPLE = 200;
/** Time until a stream that was refused is asked for again, in milliseconds. */
const ASK_AGAIN = 5_000;
/** Characters of a digest that are shown: its method, and twelve digits as podman shows of an id. */
const SHORT_DIGEST = "sha256:".length + 12;
/** Size of a sparkline's drawing; it is stretched to its place. */
const WIDTH = 200;
const HEIGHT = 40;

const SVG = "http://www.w3.org/2000/svg";

/** How each word of the status is shown. */
const TONES = {
  ok: "good", up: "good", available: "good", running: "good", true: "good",
  degraded: "busy", deploying: "busy", restarting: "busy", unheard: "busy", slow: "busy",
  down: "bad", crashed: "bad", unavailable: "bad", silent: "bad", failed: "bad", warn: "bad",
};
const SIGNS = { true: "✓", false: "✗", unknown: "?", failed: "!" };
const NEXT_STARTS = { retry: "Next try in", cron: "Next run in", turn: "Comes back in" };
const EXECUTORS = { podman_rootful: "podman, root", podman_rootless: "podman, user", k8s: "Kubernetes" };

/** The last status, and when it came by the page's own clock. */
let status = null;
let heard = 0;
/** Since when nothing answers; null while something does. */
let silentSince = null;
/** Samples of each metric as [time, value], oldest first. */
const history = new Map();
let firstTime = null;

// ---- making and changing nodes -----------------------------------------------------------------

const $ = (id) => document.getElementById(id);

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function makeSvg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** Escapes control and format characters, which are invisible or turn their neighbours around. */
function printable(text) {
  const escape = (c) => (c === "\n" || c === "\t" ? c : `\\u{${c.codePointAt(0).toString(16)}}`);
  return String(text ?? "").replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escape);
}

/** Writes only what differs, so that a selection or a reader's place survives. */
function write(node, text) {
  const wanted = printable(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

function attribute(node, name, value) {
  const wanted = printable(value);
  if (node.getAttribute(name) !== wanted) node.setAttribute(name, wanted);
}

function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

function tone(node, word) {
  attribute(node, "data-tone", Object.hasOwn(TONES, word) ? TONES[word] : "quiet");
}

function pill(node, word) {
  write(node, word);
  tone(node, word);
}

/** Makes the children of `list` those of `items`: each key keeps its node, in the items' order. */
function each(list, items, keyOf, build, update) {
  const known = new Map(Array.from(list.children, (node) => [node.key, node]));
  const used = new Set();
  let place = list.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    let node = known.get(key);
    // Two items of one key are two nodes all the same.
    if (!node || used.has(node)) {
      node = build(item);
      node.key = key;
    }
    used.add(node);
    update(node, item);
    if (node === place) place = place.nextElementSibling;
    else list.insertBefore(node, place);
  }
  for (const node of Array.from(list.children)) if (!used.has(node)) node.remove();
}

/** Fills a description list with pairs of a word and a text; those without a text are left out. */
function facts(list, pairs) {
  const known = pairs.filter(([, text]) => text !== null && text !== undefined && text !== "");
  each(
    list,
    known,
    ([word]) => word,
    ([word]) => make("div", "", make("dt", "", word), make("dd")),
    (node, [, text]) => write(node.lastChild, String(text)),
  );
}

// ---- words -------------------------------------------------------------------------------------

/** Time since the last status. It stands still while nothing answers: then nothing more is known. */
const passed = () => (silentSince ?? performance.now()) - heard;
/** The device's time now, in milliseconds. */
const deviceTime = () => Date.parse(status.time) + passed();

function span(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`;
}

const since = (time) => (time ? span(deviceTime() - Date.parse(time)) : null);
const until = (time) => (time ? span(Date.parse(time) - deviceTime()) : null);
const ago = (time) => (time ? `${since(time)} ago` : null);

// As `device-worker-ng status` writes them.
const number = (value) => {
  const short = Math.abs(value) >= 1e5 ? Math.round(value) : Number(value.toPrecision(6));
  return String(short).replace("e+", "e");
};
const SCALES = {
  B: [1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]],
  Hz: [1000, ["Hz", "kHz", "MHz", "GHz"]],
};

/** A value as people read it: bytes and hertz in their largest unit, any other as it was posted. */
function quantity(value, unit) {
  if (unit === null) return number(value);
  if (!Object.hasOwn(SCALES, unit)) return `${number(value)} ${unit}`;
  const [base, units] = SCALES[unit];
  let step = 0;
  // What is rounded to the base is one of the next.
  while (Math.abs(value) >= base - 0.05 && step < units.length - 1) {
    value /= base;
    step += 1;
  }
  return `${Number(value.toFixed(1))} ${units[step]}`;
}

const bytes = (count) => (count === null ? null : quantity(count, "B"));

const cpu = (limit) => (limit === null ? null : `${Number((limit / 1000).toFixed(1))} % of a core`);
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** Says in `id-none` why a list is empty; returns the list. */
function listed(id, list, empty, silent) {
  const none = $(`${id}-none`);
  write(none, list ? empty : silent);
  show(none, !list || list.length === 0);
  return list ?? [];
}

// ---- the parts of the page ---------------------------------------------------------------------

function renderHead() {
  const { agent, health } = status;
  write($("device"), agent.device_id);
  write($("about"), `Version ${agent.version}, up for ${span(agent.uptime_seconds * 1000 + passed())}`);
  pill($("health"), health.state);
  if (silentSince !== null) tone($("health"), "");
  each($("reasons"), health.reasons, (it) => it, () => make("li"), write);
  show($("reasons"), health.reasons.length > 0);
  const title = health.state === "ok" ? agent.device_id : `${health.state}: ${agent.device_id}`;
  if (document.title !== printable(title)) document.title = printable(title);
}

function renderLink() {
  const link = $("link");
  const isLive = silentSince === null;
  write(link, isLive ? "live" : "no answer");
  tone(link, isLive ? "up" : "down");
  show($("gone"), !isLive);
  if (!isLive) {
    const silent = `Nothing has answered for ${span(performance.now() - silentSince)}.`;
    write($("gone"), status ? `${silent} What follows is how it was.` : silent);
  }
  document.body.classList.toggle("stale", !isLive);
}

function buildWorkload() {
  const card = make("li", "card edged");
  card.parts = {
    name: make("h3"),
    status: make("span", "pill"),
    why: make("p", "why"),
    facts: make("dl", "facts"),
    needs: make("ul", "chips"),
  };
  const { name, status: state, why, facts: list, needs } = card.parts;
  needs.setAttribute("aria-label", "Needs of each profile one of these conditions");
  card.append(make("div", "top", name, state), why, list, needs);
  return card;
}

function updateWorkload(card, row) {
  const { parts } = card;
  tone(card, row.status);
  write(parts.name, row.workload);
  pill(parts.status, row.status);
  const doing = row.command ? `${row.command} under way` : null;
  write(parts.why, row.reason ?? doing ?? "");
  show(parts.why, Boolean(row.reason ?? doing));
  facts(parts.facts, [
    ["For", since(row.since)],
    ["Restarts", row.restarts],
    [NEXT_STARTS[row.next_start_by] ?? "Next run in", until(row.next_start)],
    ["Now", row.reason ? doing : null],
    ["On", EXECUTORS[row.executor] ?? row.executor],
    ["Cron", row.cron],
    ["Processor", cpu(row.limits.cpu)],
    ["Memory", bytes(row.limits.memory)],
    ["Restrained", row.restraints.map(restraintOf).join(", ") || null],
    ["Waits for", row.waits_for],
    ["Pod", row.pod && row.pod !== row.status ? row.pod : null],
    ["Update", update(row.update)],
    ["Health", row.health.map(healthOf).join(", ") || null],
    ["Runs", row.containers.map(imageOf).join(", ") || null],
    ["Last failure", row.last_failure && `${since(row.last_failure.at)} ago: ${row.last_failure.message}`],
  ]);
  each(parts.needs, needs(row), (it) => JSON.stringify([it.profile, it.condition]), buildNeed, updateNeed);
  show(parts.needs, row.profiles.length > 0);
}

const RESTRAINTS = { throttle: "throttled", squeeze: "squeezed", freeze: "frozen", stop: "stopped" };

/** What is done to a workload, and for which objective of the device. */
function restraintOf({ step, objective, since: at }) {
  return `${RESTRAINTS[step] ?? step} for ${objective} for ${since(at)}`;
}

/** How a container that has probes does, and why. */
function healthOf({ container, state, reason }) {
  return reason === null ? `${container} ${state}` : `${container} ${state} (${reason})`;
}

/** What a container runs: enough of the digest to tell two images of one name apart. */
function imageOf({ name, image, digest }) {
  if (digest === null || image.includes("@")) return `${name}: ${image}`;
  return `${name}: ${image} (${digest.slice(0, SHORT_DIGEST)})`;
}

/** How an update stands that waits, or whose predecessor may come back, or has. */
function update(it) {
  if (it === null) return null;
  if (it.state === "waiting") {
    return it.until === null ? it.reason : `${it.reason}, at the latest in ${until(it.until)}`;
  }
  if (it.state === "rolled_back") return `${it.id} failed, tried again in ${until(it.until)}`;
  const ready = it.ready_seconds === null ? "not ready" : `${it.ready_seconds} s of ${it.proving_seconds} s`;
  return ["proving", it.proving_seconds === null ? null : ready, `run ${it.run}`].filter(Boolean).join(", ");
}

/** The conditions that a workload lists, or all of a profile of which it lists none. */
function needs(row) {
  return row.profiles.flatMap(({ name, conditions }) => {
    const profile = status.profiles?.find((it) => it.name === name);
    const all = profile?.conditions ?? [];
    const wanted = conditions.length > 0 ? conditions : all.map((it) => it.name);
    return (wanted.length > 0 ? wanted : [""]).map((condition) => ({
      profile: name,
      condition,
      verdict: all.find((it) => it.name === condition)?.verdict ?? "unknown",
    }));
  });
}

function buildNeed() {
  const sign = make("b");
  sign.setAttribute("aria-hidden", "true");
  return make("li", "chip", sign, make("span"), make("span", "unseen"));
}

function updateNeed(node, { profile, condition, verdict }) {
  const [sign, name, spoken] = node.children;
  tone(node, verdict);
  write(sign, SIGNS[verdict]);
  write(name, condition ? `${profile} / ${condition}` : profile);
  write(spoken, ` is ${verdict}`);
}

function renderWorkloads() {
  const rows = listed(
    "workloads",
    status.workloads,
    "No workload is configured.",
    "The scheduler does not answer: nothing is known of the workloads.",
  );
  const running = rows.filter((row) => row.status === "running").length;
  write($("workloads-count"), rows.length > 0 ? `${running} of ${rows.length} running` : "");
  each($("workloads"), rows, (row) => row.workload, buildWorkload, updateWorkload);
}

function buildCondition() {
  const head = make("div", "top", make("h4"), make("span", "pill"));
  return make("li", "condition", head, make("code"), make("p", "why"));
}

function updateCondition(node, { name, expression, verdict, explanation }) {
  const [head, code, why] = node.children;
  write(head.children[0], name);
  pill(head.children[1], verdict);
  write(code, expression);
  // What stands above it need not be said twice.
  const said = `${expression} is ${verdict}: `;
  write(why, explanation.startsWith(said) ? explanation.slice(said.length) : explanation);
}

function renderProfiles() {
  const profiles = listed(
    "profiles",
    status.profiles,
    "The device defines no profile: workloads that name none always run.",
    "The profile evaluator does not answer: nothing is known of the conditions.",
  );
  each(
    $("profiles"),
    profiles,
    (profile) => profile.name,
    () => make("li", "card", make("h3"), make("ul", "conditions")),
    (card, profile) => {
      write(card.children[0], profile.name);
      each(card.children[1], profile.conditions, (it) => it.name, buildCondition, updateCondition);
    },
  );
}

/** Keeps the samples that are new. */
function remember(metrics, time) {
  firstTime ??= time;
  const names = new Set(metrics.map((metric) => metric.name));
  for (const name of history.keys()) if (!names.has(name)) history.delete(name);
  for (const { name, value, age_seconds: age } of metrics) {
    const at = time - age * 1000;
    let samples = history.get(name) ?? [];
    // The device's clock was set back.
    if (samples.length > 0 && at < samples.at(-1)[0] - SAME_SAMPLE) samples = [];
    const last = samples.at(-1);
    if (!last || value !== last[1] || at - last[0] > SAME_SAMPLE) samples.push([at, value]);
    const old = samples.findIndex(([moment]) => moment > time - LONGEST);
    // One from before the time that is shown: its value holds into it.
    samples.splice(0, Math.max(old - 1, samples.length - MAX_SAMPLES, 0));
    history.set(name, samples);
  }
}

/** A value holds until the next one is posted: lines of steps, from `start` to `end`. */
function steps(samples, start, end) {
  const values = samples.map(([, value]) => value);
  const low = Math.min(...values);
  const range = Math.max(...values) - low;
  const x = (time) => Math.min(WIDTH, Math.max(0, ((time - start) / (end - start)) * WIDTH)).toFixed(1);
  const y = (value) => (range > 0 ? HEIGHT - 3 - ((value - low) / range) * (HEIGHT - 6) : HEIGHT / 2).toFixed(1);
  const [[first, value], ...rest] = samples;
  const moves = rest.map(([time, next]) => `H${x(time)}V${y(next)}`).join("");
  return { from: x(first), path: `M${x(first)} ${y(value)}${moves}H${x(end)}` };
}

function buildMetric() {
  const drawing = makeSvg("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "spark", role: "img",
  });
  drawing.append(makeSvg("path", { class: "area" }), makeSvg("path", { class: "line" }));
  const head = make("div", "top", make("h3"), make("span", "value"));
  return make("li", "card metric", head, drawing, make("p", "quiet ends", make("span"), make("span")));
}

function updateMetric(card, { name, value, unit, age_seconds: age, stale }) {
  const [head, drawing, foot] = card.children;
  card.classList.toggle("old", stale);
  write(head.children[0], name);
  write(head.children[1], quantity(value, unit));
  const now = deviceTime();
  const samples = history.get(name) ?? [];
  const end = stale ? samples.at(-1)[0] : now;
  const { from, path } = steps(samples, now - shownTime(), end === now ? now : Math.max(end, now - shownTime()));
  attribute(drawing.children[0], "d", `${path}V${HEIGHT}H${from}Z`);
  attribute(drawing.children[1], "d", path);
  const values = samples.map(([, it]) => it);
  const [low, high] = [Math.min(...values), Math.max(...values)].map((it) => quantity(it, unit));
  attribute(drawing, "aria-label", `${name} over the last ${span(shownTime())}: from ${low} to ${high}`);
  const seen = passed() + age * 1000;
  write(foot.children[0], stale ? `${span(seen)} ago, too old: counts as nil` : `${span(seen)} ago`);
  write(foot.children[1], low === high ? "" : `${low} – ${high}`);
}

const shownTime = () => Math.min(LONGEST, Math.max(SHORTEST, deviceTime() - firstTime));

function renderMetrics() {
  const all = listed(
    "metrics",
    status.metrics,
    "Nothing was posted yet: any program on the device may post to /metrics.",
    "The profile evaluator does not answer: nothing is known of the metrics.",
  );
  const shown = all.slice(0, MAX_METRICS);
  const rest = all.length > shown.length ? `the first ${shown.length} of ${all.length}, ` : "";
  write($("metrics-count"), all.length > 0 ? `${rest}over the last ${span(shownTime())}` : "");
  each($("metrics"), shown, (metric) => metric.name, buildMetric, updateMetric);
}

/** How old the configuration in force is. */
function receipt(configuration) {
  const { received_at: received, stored_at: stored } = configuration;
  if (received) return ago(received);
  return stored ? `not since the agent started; stored ${ago(stored)}` : "not since the agent started";
}

function renderSource() {
  const source = status.control_plane;
  write($("source-kind"), source?.kind === "folder" ? "Folder of manifests" : "Control plane");
  if (!source) return facts($("source"), [["State", "control_plane_sync does not answer"]]);
  const { configuration, certificate, last_error: error } = source;
  const left = certificate && Date.parse(certificate.expires_at) - deviceTime();
  facts($("source"), [
    ["Place", source.place],
    ["Stage", source.stage],
    ["Answers", source.connected_since ? `since ${since(source.connected_since)}` : "not"],
    ["Heartbeat", ago(source.last_heartbeat)],
    ["Configuration", configuration ? configuration.version ?? "in force" : "none yet"],
    ["Received", configuration && receipt(configuration)],
    ["Changed", ago(configuration?.changed_at)],
    ["Certificate", certificate && (left > 0 ? `expires in ${span(left)}` : "has expired")],
    ["Last error", error && `${error.message} (${ago(error.at)})`],
    ["Problems", source.problems.join("; ")],
  ]);
}

function states(list, rows) {
  each(
    list,
    rows,
    (row) => row.name,
    () => make("li", "", make("div", "top", make("span"), make("span", "pill")), make("p", "why")),
    (node, { name, state, toned, why }) => {
      const [head, reason] = node.children;
      write(head.children[0], name);
      write(head.children[1], state);
      tone(head.children[1], toned ?? state);
      write(reason, why);
      show(reason, Boolean(why));
    },
  );
}

function renderAgent() {
  renderSource();
  states($("runtimes"), (status.runtimes ?? []).map((it) => ({
    name: EXECUTORS[it.executor] ?? it.executor,
    state: it.state,
    // One that no workload needs may be away.
    toned: it.is_needed || it.state === "available" ? it.state : "unneeded",
    why: it.state === "unconfigured" && !it.is_needed ? null : it.reason,
  })));
  states($("actors"), status.actors.map(({ name, state, cause, failures }) => ({
    name,
    state,
    why: cause ?? (failures > 0 ? `restarted after ${plural(failures, "failure")}` : null),
  })));
}

function buildEvent() {
  return make("li", "", make("time"), make("b"), make("span", "of"), make("span", "what"));
}

function updateEvent(node, event) {
  const [time, reason, of, what] = node.children;
  const at = new Date(event.at);
  attribute(time, "datetime", event.at);
  attribute(time, "title", at.toLocaleString());
  const isToday = at.toDateString() === new Date(deviceTime()).toDateString();
  write(time, isToday ? at.toLocaleTimeString([], { hour12: false }) : at.toLocaleString([], { hour12: false }));
  write(reason, event.reason);
  tone(reason, event.kind);
  write(of, event.workload);
  write(what, event.message);
}

function renderEvents() {
  const events = listed("events", status.events, "Nothing has happened yet.", "control_plane_sync does not answer.");
  write($("events-count"), events.length > 0 ? `newest first` : "");
  show($("events").parentElement, events.length > 0);
  const seen = new Map();
  const keyed = events.map((event) => {
    const text = JSON.stringify(event);
    seen.set(text, (seen.get(text) ?? 0) + 1);
    return { event, key: `${seen.get(text)} ${text}` };
  });
  each($("events"), keyed.reverse(), (it) => it.key, buildEvent, (node, it) => updateEvent(node, it.event));
}

function render() {
  renderLink();
  if (!status) return;
  renderHead();
  renderWorkloads();
  renderProfiles();
  renderMetrics();
  renderAgent();
  renderEvents();
}

// ---- the stream --------------------------------------------------------------------------------

function take(next) {
  // Another agent may have another page.
  if (status && status.agent.version !== next.agent.version) return location.reload();
  status = next;
  heard = performance.now();
  silentSince = null;
  remember((next.metrics ?? []).slice(0, MAX_METRICS), Date.parse(next.time));
  render();
}

function lose() {
  silentSince ??= performance.now();
  render();
}

function connect() {
  const stream = new EventSource("events");
  stream.addEventListener("status", (event) => take(JSON.parse(event.data)));
  stream.addEventListener("error", () => {
    // A stream that broke is asked for again by the browser, one that was refused is not.
    if (stream.readyState === EventSource.CLOSED) askOnce();
    else lose();
  });
}

/** All streams are taken: the page goes on with single questions until one is free. */
async function askOnce() {
  try {
    const answer = await fetch("status");
    if (answer.ok) take(await answer.json());
    else lose();
  } catch {
    lose();
  }
  setTimeout(connect, ASK_AGAIN);
}

connect();
// Ages and waits grow while nothing happens.
setInterval(() => document.hidden || render(), 1000);
