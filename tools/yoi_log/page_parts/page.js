"use strict";
// Draws the timeline. Nothing here knows the network. Times are microseconds after the first event.
(() => {
const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const root = document.documentElement;

// What belongs together, in the order of the chips; the first whose test is true takes an event.
const GROUPS = [
  ["text", "Text", (name) => name.startsWith("text_") || name === "user_message"],
  ["thinking", "Thinking", (name) => name.startsWith("thinking_")],
  ["turn", "Turns", (name) => /^(turn_|run_end|invoke_start)/.test(name)],
  ["model", "Model calls", (name) => /^llm_(call|cont)/.test(name)],
  ["tool", "Tools", (name) => name.startsWith("tool_")],
  ["retry", "Retries", (name) => name === "llm_retry"],
  ["failed", "Errors", (name) => /^(error|events_lost|lost|compact_failed)$/.test(name)],
  ["alert", "Alerts", (name) => name === "alert"],
  ["tokens", "Tokens", (name) => name === "usage"],
  ["life", "Lifecycle", (name) => /^(worker_|runtime_|log_|status$|shutdown$|snapshot$)/.test(name)],
  ["other", "Other", () => true],
];
const groupOf = data.names.map((name) => GROUPS.findIndex(([, , test]) => test(name)));
const count = data.time.length;
const group = (index) => groupOf[data.name[index]];
const key = (index) => GROUPS[group(index)][0];
const MARKED = new Set(["retry", "failed", "alert"]);
const STACKED = ["text", "thinking", "tool", "other", "life", "model", "turn", "tokens", "retry", "alert", "failed"];
const cut = new Set(data.cut);
const tokensAt = new Map(data.tokens);
const length = Math.max(data.length_us, 1000);
const mostTokens = Math.max(1, ...[...tokensAt.values()].slice(0, 50000));
const failedResult = (index) => data.names[data.name[index]] === "tool_result" && /"is_error":true/.test(data.text[index]);

// Lanes: of each, its events by group (indexes in the order of time), its bars, its gaps, its height.
const order = data.lanes.map((_, lane) => lane).sort((a, b) => (data.lanes[a][0] === "" ? -1 : data.lanes[b][0] === "" ? 1 : a - b));
const lanes = data.lanes.map(([id, events, outcome, runs, rows]) => ({
  id, events, outcome, runs, rows, all: [], groups: GROUPS.map(() => []), times: GROUPS.map(() => []), marks: [], tokens: [],
  bars: { run: [], turn: [], model: [], tool: [] }, gaps: [], top: 0, height: 0,
}));
for (let index = 0; index < count; index++) {
  const lane = lanes[data.lane[index]], which = group(index);
  lane.all.push(index);
  lane.groups[which].push(index);
  lane.times[which].push(data.time[index]);
  if (MARKED.has(GROUPS[which][0])) lane.marks.push(index);
  if (tokensAt.has(index)) lane.tokens.push(index);
}
const everywhere = [];
for (const [lane, kind, from, to, label, state, seq, row] of data.bars) {
  lanes[lane].bars[kind].push({ lane, kind, from, to: to === null ? length : to, open: to === null, label, state, seq, row });
}
for (const [lane, kind, from, to, label] of data.gaps) (lane < 0 ? everywhere : lanes[lane].gaps).push({ kind, from, to, label });

let contentHeight = 0;
const AXIS = 30, PAD = 12, TURN = 18, MODEL = 6, TOOL = 20, TOKENS = 16, MARK = 15, ACTIVITY = 30, TALLEST_ACTIVITY = 84;
// Few lanes use the room there is: their activity grows.
function layOut(room) {
  placeLanes(ACTIVITY);
  const workers = Math.max(1, lanes.filter((lane) => lane.id !== "").length), spare = (room - contentHeight - PAD) / workers;
  if (spare > 4) placeLanes(Math.min(TALLEST_ACTIVITY, ACTIVITY + spare));
}
function placeLanes(activity) {
  contentHeight = 0;
  for (const number of order) {
    const lane = lanes[number];
    lane.top = contentHeight;
    let y = PAD;
    const part = (wanted, height) => { const at = y; if (wanted) y += height + 4; return wanted ? at : null; };
    lane.yMark = part(lane.marks.length > 0, MARK);
    lane.yTurn = part(lane.bars.turn.length > 0, TURN);
    lane.activity = lane.id === "" ? 22 : activity;
    lane.yActivity = part(true, lane.activity);
    lane.yModel = part(lane.bars.model.length > 0, MODEL);
    lane.yTool = part(lane.rows > 0, lane.rows * TOOL);
    lane.yTokens = part(lane.tokens.length > 0, TOKENS);
    lane.height = Math.max(y - 4 + PAD, 56);
    contentHeight += lane.height;
  }
}

// State of the view.
const shown = new Set(GROUPS.map(([name]) => name));
let from = 0, to = length, scroll = 0, selected = -1, hovered = null, matches = null, matchAt = -1, colors = {}, hits = [];
let width = 0, height = 0, left = 150, pending = false, dragging = null;
const chart = $("chart"), overview = $("overview"), tip = $("tip"), panel = $("panel");

// Words.
function span(us) {
  const seconds = us / 1e6;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (seconds < 1) return `${(us / 1000).toFixed(us < 10000 ? 1 : 0)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 9.95 ? 2 : 1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
  return `${(seconds / 86400).toFixed(1)} d`;
}
function clock(us, step) {
  const whole = data.from_us + Math.round(us), iso = new Date(Math.floor(whole / 1000)).toISOString();
  const micro = String(((whole % 1e6) + 1e6) % 1e6).padStart(6, "0");
  if (step >= 864e8) return iso.slice(0, 10);
  if (step >= 6e7) return iso.slice(11, 16);
  if (step >= 1e6) return iso.slice(11, 19);
  return iso.slice(11, 19) + "." + micro.slice(0, step >= 1e5 ? 1 : step >= 1e4 ? 2 : step >= 1000 ? 3 : 6);
}
const day = (us) => new Date((data.from_us + us) / 1000).toISOString().slice(0, 10);
const worker = (lane) => lanes[lane].id || "Runtime";
const escapeHtml = (text) => text.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);

// The first place in a sorted list that is not before the value.
function place(list, value) {
  let low = 0, high = list.length;
  while (low < high) { const middle = (low + high) >> 1; if (list[middle] < value) low = middle + 1; else high = middle; }
  return low;
}
const timeOf = (index) => data.time[index];
function placeOfEvent(indexes, value) {
  let low = 0, high = indexes.length;
  while (low < high) { const middle = (low + high) >> 1; if (data.time[indexes[middle]] < value) low = middle + 1; else high = middle; }
  return low;
}

// Drawing.
const x = (us) => left + ((us - from) / (to - from)) * (width - left);
const us = (px) => from + ((px - left) / (width - left)) * (to - from);

function readColors() {
  const style = getComputedStyle(root);
  for (const name of ["paper", "raised", "ink", "soft", "faint", "line", "stripe", "text", "thinking", "turn", "turn-ink", "model", "tool", "tool-ink", "failed", "retry", "alert", "tokens", "life", "other", "run", "accent", "gap"]) {
    colors[name] = style.getPropertyValue("--" + name).trim();
  }
}
const font = (size, weight) => `${weight || 400} ${size}px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif`;

function prepare(canvas) {
  const scale = window.devicePixelRatio || 1, box = canvas.getBoundingClientRect();
  const w = Math.round(box.width * scale), h = Math.round(box.height * scale);
  if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h; }
  const pen = canvas.getContext("2d");
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  return [pen, box.width, box.height];
}
function fitted(pen, text, room) {
  if (pen.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 1 && pen.measureText(text.slice(0, end) + "…").width > room) end--;
  return end > 1 ? text.slice(0, end) + "…" : "";
}
function rounded(pen, x0, y0, w, h, radius) {
  pen.beginPath();
  pen.roundRect(x0, y0, w, h, Math.max(0, Math.min(radius, w / 2, h / 2)));
  pen.fill();
}
const hatches = new Map();
function hatch(pen, color) {
  const known = hatches.get(color);
  if (known) return known;
  const tile = document.createElement("canvas");
  tile.width = tile.height = 8;
  const inner = tile.getContext("2d");
  inner.strokeStyle = color; inner.lineWidth = 1.2;
  inner.beginPath();
  for (const shift of [-8, 0, 8]) { inner.moveTo(shift - 1, 9); inner.lineTo(shift + 9, -1); }
  inner.stroke();
  const pattern = pen.createPattern(tile, "repeat");
  hatches.set(color, pattern);
  return pattern;
}

const STEPS = [];
for (let power = 1; power <= 1e5; power *= 10) STEPS.push(power, 2 * power, 5 * power);
for (const seconds of [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 172800, 604800, 2592000]) STEPS.push(seconds * 1e6);

function drawAxis(pen) {
  const room = 96, step = STEPS.find((one) => (one / (to - from)) * (width - left) >= room) || STEPS[STEPS.length - 1];
  pen.fillStyle = colors.paper; pen.fillRect(0, 0, width, AXIS);
  pen.font = font(11.5); pen.textBaseline = "middle"; pen.textAlign = "left";
  const base = data.from_us % 864e8;
  for (let at = Math.ceil((from + base) / step) * step - base; at <= to; at += step) {
    const px = Math.round(x(at)) + 0.5;
    if (px < left - 1) continue;
    pen.strokeStyle = colors.line; pen.lineWidth = 1;
    pen.beginPath(); pen.moveTo(px, AXIS - 7); pen.lineTo(px, height); pen.stroke();
    pen.fillStyle = colors.soft;
    if (px + 5 < width - 30) pen.fillText(clock(at, step), px + 5, AXIS / 2 + 1);
  }
  if (left > 60) {
    pen.fillStyle = colors.paper; pen.fillRect(0, 0, left, AXIS);
    pen.fillStyle = colors.faint; pen.font = font(11.5);
    pen.fillText(day(Math.max(from, 0)), 16, AXIS / 2 + 1);
  }
  pen.strokeStyle = colors.line; pen.beginPath(); pen.moveTo(0, AXIS - 0.5); pen.lineTo(width, AXIS - 0.5); pen.stroke();
}

function drawEverywhere(pen, kinds) {
  for (const gap of everywhere) {
    if (!kinds.includes(gap.kind)) continue;
    let a = x(gap.from), b = x(gap.to);
    if (b < left - 20 || a > width) continue;
    const hurt = gap.kind === "damage";
    if (gap.kind === "rotated_out") {
      // Before the first event: a torn edge, and how much went.
      pen.fillStyle = colors.stripe; pen.fillRect(left, AXIS, a - left, height - AXIS);
      pen.fillStyle = colors.gap; pen.fillRect(a - 2, AXIS, 2, height - AXIS);
      pen.font = font(11.5); pen.fillStyle = colors.soft;
      pen.globalAlpha = 1; pen.fillText("◂ " + gap.label, a + 6, height - 14);
      hits.push({ x: left, y: AXIS, w: a - left + 4, h: height - AXIS, gap, rank: 0 });
      continue;
    }
    if (b - a < 4) { a -= 2; b = a + 4; }
    a = Math.max(a, left);
    pen.globalAlpha = hurt ? 0.75 : 0.55;
    pen.fillStyle = hatch(pen, hurt ? colors.failed : colors.gap);
    pen.fillRect(a, AXIS, b - a, height - AXIS);
    pen.globalAlpha = 1;
    if (hurt) { pen.fillStyle = colors.failed; pen.fillRect(a, AXIS, Math.max(2, b - a), 3); }
    if (b - a > 90) { pen.fillStyle = colors.soft; pen.font = font(11.5); pen.textAlign = "center"; pen.fillText(fitted(pen, gap.label, b - a - 10), (Math.max(a, left) + Math.min(b, width)) / 2, AXIS + 14); pen.textAlign = "left"; }
    hits.push({ x: a - 2, y: AXIS, w: b - a + 4, h: height - AXIS, gap, rank: hurt ? 2.4 : 0 });
  }
}

// Bars that are narrower than a pixel and of the same look are one: the loop stays as short as the screen is wide.
function eachBar(bars, draw) {
  let last = -1, lastLook = "";
  let index = 0;
  for (; index < bars.length; index++) {
    const bar = bars[index];
    if (bar.to < from) continue;
    if (bar.from > to) break;
    const a = Math.max(x(bar.from), left - 4), b = Math.min(x(bar.to), width + 4), look = bar.state + bar.row;
    if (b - a < 1 && Math.floor(b) <= last && look === lastLook) continue;
    last = Math.floor(b); lastLook = look;
    draw(bar, a, Math.max(b - a, 1.5));
  }
}

function drawLane(pen, lane, top) {
  const y = (part) => top + part;
  // The time in which it ran, as a ground for all else.
  if (lane.id !== "") {
    eachBar(lane.bars.run, (bar, a, w) => {
      pen.fillStyle = colors.run;
      rounded(pen, a, top + 5, w, lane.height - 10, 7);
      if (!bar.open && x(bar.to) <= width) {
        pen.fillStyle = bar.state === "completed" ? colors.tool : bar.state === "cancelled" || bar.state === "unfinished" ? colors.faint : colors.failed;
        rounded(pen, a + w - 3, top + 5, 3, lane.height - 10, 1.5);
      }
      hits.push({ x: a, y: top + 5, w, h: lane.height - 10, bar, rank: 1 });
    });
  }
  for (const gap of lane.gaps) {
    const a = Math.max(x(gap.from), left), b = Math.min(x(gap.to), width);
    if (b - a < (gap.kind === "silence" ? 24 : -1e9) || b < left) continue;
    const hurt = gap.kind === "damage";
    pen.globalAlpha = 0.6; pen.fillStyle = hatch(pen, hurt ? colors.failed : colors.gap);
    rounded(pen, a + 2, y(lane.yActivity), Math.max(b - a - 4, 3), lane.activity, 4);
    pen.globalAlpha = 1;
    if (b - a > 86 && gap.kind === "silence") {
      const words = `silent ${span(gap.to - gap.from)}`;
      pen.font = font(11); pen.textAlign = "center";
      const room = pen.measureText(words).width + 12, middle = (a + b) / 2;
      pen.fillStyle = colors.run; rounded(pen, middle - room / 2, y(lane.yActivity) + lane.activity / 2 - 9, room, 18, 9);
      pen.fillStyle = colors.soft; pen.fillText(words, middle, y(lane.yActivity) + lane.activity / 2 + 0.5); pen.textAlign = "left";
    }
    hits.push({ x: a, y: y(lane.yActivity), w: b - a, h: lane.activity, gap, rank: 1 });
  }
  if (lane.yTurn !== null && shown.has("turn")) {
    eachBar(lane.bars.turn, (bar, a, w) => {
      pen.fillStyle = colors.turn; rounded(pen, a, y(lane.yTurn), w, TURN, 5);
      if (w > 46) { pen.fillStyle = colors["turn-ink"]; pen.font = font(11.5, 550); const at = Math.max(a, left); pen.fillText(fitted(pen, bar.label, a + w - at - 14), at + 8, y(lane.yTurn) + TURN / 2 + 0.5); }
      hits.push({ x: a, y: y(lane.yTurn), w, h: TURN, bar, rank: 2 });
    });
  }
  drawActivity(pen, lane, y(lane.yActivity));
  if (lane.yModel !== null && shown.has("model")) {
    eachBar(lane.bars.model, (bar, a, w) => {
      pen.fillStyle = colors.model; rounded(pen, a, y(lane.yModel), w, MODEL, 3);
      hits.push({ x: a, y: y(lane.yModel) - 2, w, h: MODEL + 4, bar, rank: 3 });
    });
  }
  if (lane.yTool !== null && shown.has("tool")) {
    eachBar(lane.bars.tool, (bar, a, w) => {
      const at = y(lane.yTool) + bar.row * TOOL, failed = bar.state === "failed";
      w = Math.max(w, 3);
      pen.fillStyle = failed ? colors.failed : colors.tool;
      pen.globalAlpha = bar.open || bar.state === "unfinished" ? 0.5 : 1;
      rounded(pen, a, at, w, TOOL - 3, 4);
      pen.globalAlpha = 1;
      pen.font = font(11.5, 550);
      const label = failed ? bar.label + " failed" : bar.label;
      if (w > 34) { pen.fillStyle = colors["tool-ink"]; const begin = Math.max(a, left); pen.fillText(fitted(pen, label, a + w - begin - 12), begin + 6, at + (TOOL - 3) / 2 + 0.5); }
      else beside.push({ x: a + w + 5, y: at + (TOOL - 3) / 2 + 0.5, text: label, color: failed ? colors.failed : colors.soft, row: `${lane.id}/${bar.row}`, begin: a });
      hits.push({ x: a - 1, y: at, w: w + 2, h: TOOL - 3, bar, rank: 4, begin: a });
    });
  }
  if (lane.yTokens !== null && shown.has("tokens")) drawTokens(pen, lane, y(lane.yTokens));
  if (lane.yMark !== null) drawMarks(pen, lane, y(lane.yMark));
}

// A label beside a bar too short for it stands where nothing follows; of a crowd none is drawn.
let beside = [];
function drawBeside(pen) {
  pen.font = font(11.5); pen.textAlign = "left"; pen.textBaseline = "middle";
  const rows = new Map();
  for (const label of beside) { const row = rows.get(label.row) || []; row.push(label); rows.set(label.row, row); }
  for (const hit of hits) if (hit.bar && hit.bar.kind === "tool") { const row = rows.get(`${lanes[hit.bar.lane].id}/${hit.bar.row}`); if (row) (row.starts = row.starts || []).push(hit.begin); }
  for (const row of rows.values()) {
    const starts = (row.starts || []).sort((a, b) => a - b);
    for (const label of row) {
      const next = starts[place(starts, label.begin + 1e-9)] ?? width, room = Math.min(next, width) - label.x - 5;
      if (room < 26) continue;
      const text = fitted(pen, label.text, room);
      if (text.length > 3) { pen.fillStyle = label.color; pen.fillText(text, label.x, label.y); }
    }
  }
  beside = [];
}

// The number of events in columns of 3 px, group over group; two searches in sorted times a column, however many there are.
const COLUMN = 3;
function drawActivity(pen, lane, top) {
  const columns = Math.ceil((width - left) / COLUMN);
  const stacks = [];
  let most = 1;
  const wanted = STACKED.filter((name) => shown.has(name)).map((name) => GROUPS.findIndex(([one]) => one === name)).filter((which) => lane.times[which].length);
  const places = wanted.map((which) => place(lane.times[which], us(left)));
  for (let column = 0; column < columns; column++) {
    const end = us(left + (column + 1) * COLUMN), counts = [];
    let sum = 0;
    wanted.forEach((which, slot) => {
      const times = lane.times[which], start = places[slot];
      let stop = start;
      if (stop < times.length && times[stop] < end) stop = times[Math.min(times.length - 1, stop + 8)] >= end ? stop + 1 : place(times, end);
      while (stop < times.length && times[stop] < end) stop++;
      places[slot] = stop;
      counts.push(stop - start);
      sum += stop - start;
    });
    stacks.push([sum, counts]);
    most = Math.max(most, sum);
  }
  pen.globalAlpha = matches ? 0.35 : 1;
  stacks.forEach(([sum, counts], column) => {
    if (!sum) return;
    // By the root: one event is seen beside a hundred.
    const full = Math.max(5, lane.activity * Math.sqrt(sum / Math.max(most, 4)));
    let bottom = top + lane.activity;
    counts.forEach((number, slot) => {
      if (!number) return;
      const part = (full * number) / sum;
      pen.fillStyle = colors[GROUPS[wanted[slot]][0]];
      pen.fillRect(left + column * COLUMN, bottom - part, COLUMN - 1, part);
      bottom -= part;
    });
  });
  pen.globalAlpha = 1;
  hits.push({ x: left, y: top - 2, w: width - left, h: lane.activity + 4, lane, rank: 2.5 });
}

function drawTokens(pen, lane, top) {
  let last = -9, tallest = 0;
  for (let at = placeOfEvent(lane.tokens, from); at < lane.tokens.length; at++) {
    const index = lane.tokens[at], px = x(timeOf(index));
    if (px > width) break;
    const tall = Math.max(2, TOKENS * Math.sqrt(tokensAt.get(index) / mostTokens));
    if (px - last < 3 && tall <= tallest) continue;
    tallest = px - last < 3 ? tall : tall; last = px;
    pen.fillStyle = colors.tokens;
    rounded(pen, px - 3, top + TOKENS - tall, 6, tall, 2);
    hits.push({ x: px - 6, y: top, w: 12, h: TOKENS, event: index, rank: 5 });
    const next = at + 1 < lane.tokens.length ? x(timeOf(lane.tokens[at + 1])) : width;
    if (next - px > 70) { pen.font = font(11); pen.fillStyle = colors.soft; pen.fillText(`${tokensAt.get(index).toLocaleString("en")} out`, px + 7, top + TOKENS - 6); }
  }
}

function drawMarks(pen, lane, top) {
  let last = -99, lastKey = "";
  for (let at = placeOfEvent(lane.marks, from); at < lane.marks.length; at++) {
    const index = lane.marks[at], px = x(timeOf(index)), name = key(index);
    if (px > width) break;
    if (!shown.has(name) || (px - last < 5 && (name === lastKey || lastKey === "failed"))) continue;
    last = px; lastKey = name;
    drawMark(pen, px, top + MARK / 2, name);
    hits.push({ x: px - 7, y: top - 1, w: 14, h: MARK + 2, event: index, rank: 6 });
  }
}
function drawMark(pen, px, py, name) {
  pen.fillStyle = colors[name];
  pen.beginPath();
  if (name === "failed") { pen.moveTo(px, py - 7); pen.lineTo(px + 7, py); pen.lineTo(px, py + 7); pen.lineTo(px - 7, py); }
  else if (name === "retry") { pen.moveTo(px, py - 6); pen.lineTo(px + 7, py + 6); pen.lineTo(px - 7, py + 6); }
  else pen.arc(px, py, 5, 0, 7);
  pen.closePath();
  pen.fill();
}

function drawLabel(pen, lane, top) {
  const dot = lane.id === "" ? colors.life : { completed: colors.tool, failed: colors.failed, crashed: colors.failed, lost: colors.failed, cancelled: colors.faint }[lane.outcome] || colors.text;
  pen.textBaseline = "middle"; pen.textAlign = "left";
  if (left < 60) return;
  pen.fillStyle = dot; pen.beginPath(); pen.arc(20, top + 20, 4, 0, 7); pen.fill();
  pen.fillStyle = lane.id === "" ? colors.soft : colors.ink; pen.font = font(13, 600);
  pen.fillText(fitted(pen, lane.id || "Runtime", left - 46), 32, top + 20);
  pen.fillStyle = colors.soft; pen.font = font(11.5);
  const events = `${lane.events.toLocaleString("en")} event${lane.events === 1 ? "" : "s"}`, state = lane.id === "" ? "" : lane.outcome || (lane.runs ? "running" : "");
  if (lane.height > 66) { pen.fillText(events, 32, top + 37); pen.fillText(state, 32, top + 53); }
  else pen.fillText(fitted(pen, state ? `${events} · ${state}` : events, left - 40), 32, top + 37);
}

function draw() {
  pending = false;
  let pen;
  [pen, width, height] = prepare(chart);
  left = width < 560 ? 0 : width < 900 ? 124 : 156;
  hits = [];
  layOut(height - AXIS);
  scroll = Math.max(0, Math.min(scroll, contentHeight + 12 - (height - AXIS)));
  pen.textBaseline = "middle";
  drawLaneGrounds(pen);
  drawAxis(pen);
  pen.save();
  pen.beginPath(); pen.rect(left, AXIS, width - left, height - AXIS); pen.clip();
  drawEverywhere(pen, ["rotated_out", "down"]);
  for (const number of order) {
    const lane = lanes[number], top = AXIS + lane.top - scroll;
    if (top + lane.height < AXIS || top > height) continue;
    drawLane(pen, lane, top);
  }
  drawBeside(pen);
  // Over all else: what is missing is missing from every lane.
  drawEverywhere(pen, ["damage"]);
  drawMatches(pen);
  drawSelection(pen);
  pen.restore();
  pen.save();
  pen.beginPath(); pen.rect(0, AXIS, width, height - AXIS); pen.clip();
  for (const number of order) {
    const lane = lanes[number], top = AXIS + lane.top - scroll;
    if (top + lane.height < AXIS || top > height) continue;
    drawLabel(pen, lane, top);
    if (left < 60) {
      const words = lane.id || "Runtime";
      pen.font = font(11, 600);
      pen.globalAlpha = 0.85; pen.fillStyle = colors.paper; rounded(pen, 4, top + 1, pen.measureText(words).width + 10, 14, 4); pen.globalAlpha = 1;
      pen.fillStyle = colors.soft; pen.fillText(words, 9, top + 8.5);
    }
  }
  if (left) { pen.strokeStyle = colors.line; pen.beginPath(); pen.moveTo(left - 0.5, AXIS); pen.lineTo(left - 0.5, height); pen.stroke(); }
  const over = contentHeight + 12 - (height - AXIS);
  if (over > 0) {
    const room = height - AXIS, thumb = Math.max(30, (room * room) / contentHeight);
    pen.fillStyle = colors.faint; pen.globalAlpha = 0.5; rounded(pen, width - 7, AXIS + ((room - thumb) * scroll) / over, 4, thumb, 2); pen.globalAlpha = 1;
  }
  pen.restore();
  drawOverview();
}

function drawLaneGrounds(pen) {
  order.forEach((number, index) => {
    const lane = lanes[number], top = AXIS + lane.top - scroll;
    if (top + lane.height < AXIS || top > height) return;
    if (index % 2) { pen.fillStyle = colors.stripe; pen.fillRect(0, top, width, lane.height); }
    pen.strokeStyle = colors.line; pen.beginPath(); pen.moveTo(0, top + lane.height - 0.5); pen.lineTo(width, top + lane.height - 0.5); pen.stroke();
  });
}

function drawMatches(pen) {
  if (!matches) return;
  const tops = lanes.map((lane) => AXIS + lane.top - scroll + lane.yActivity);
  let last = new Float64Array(lanes.length).fill(-9);
  pen.fillStyle = colors.accent;
  for (let at = placeOfEvent(matches, from); at < matches.length; at++) {
    const index = matches[at], px = x(timeOf(index)), lane = data.lane[index];
    if (px > width) break;
    if (px - last[lane] < 2) continue;
    last[lane] = px;
    pen.fillRect(px - 1, tops[lane] - 2, 2.5, lanes[lane].activity + 4);
  }
}

function drawSelection(pen) {
  if (selected < 0) return;
  const px = x(timeOf(selected)), lane = lanes[data.lane[selected]], top = AXIS + lane.top - scroll;
  pen.strokeStyle = colors.accent; pen.lineWidth = 1;
  pen.setLineDash([3, 3]); pen.beginPath(); pen.moveTo(px, AXIS); pen.lineTo(px, height); pen.stroke(); pen.setLineDash([]);
  pen.lineWidth = 2; pen.fillStyle = colors.paper;
  pen.beginPath(); pen.arc(px, top + lane.yActivity + lane.activity / 2, 5.5, 0, 7); pen.fill(); pen.stroke();
  pen.lineWidth = 1;
}

let overviewColumns = null;
function drawOverview() {
  const [pen, w, h] = prepare(overview);
  if (!overviewColumns || overviewColumns.length !== Math.ceil(w / 2)) {
    overviewColumns = Array.from({ length: Math.ceil(w / 2) }, () => ({ all: 0, failed: 0, retry: 0 }));
    for (let index = 0; index < count; index++) {
      const column = overviewColumns[Math.min(overviewColumns.length - 1, Math.floor((data.time[index] / length) * overviewColumns.length))];
      column.all++;
      const name = key(index);
      if (name === "failed" || failedResult(index)) column.failed++;
      else if (name === "retry" || name === "alert") column.retry++;
    }
  }
  const most = Math.max(1, ...overviewColumns.map((one) => one.all));
  overviewColumns.forEach((column, at) => {
    if (!column.all) return;
    const tall = Math.max(2, (h - 16) * Math.sqrt(column.all / most));
    pen.fillStyle = colors.text; pen.globalAlpha = 0.55; pen.fillRect(at * 2, h - 4 - tall, 1.5, tall); pen.globalAlpha = 1;
    if (column.failed || column.retry) { pen.fillStyle = column.failed ? colors.failed : colors.retry; rounded(pen, at * 2 - 1, 4, 4, 6, 2); }
  });
  const a = (from / length) * w, b = (to / length) * w;
  if (b - a < w - 1) {
    pen.fillStyle = colors.paper; pen.globalAlpha = 0.72; pen.fillRect(0, 0, a, h); pen.fillRect(b, 0, w - b, h); pen.globalAlpha = 1;
    pen.strokeStyle = colors.accent; pen.lineWidth = 1.5; pen.beginPath(); pen.roundRect(a + 1, 1.5, Math.max(b - a - 2, 4), h - 4, 4); pen.stroke();
    pen.fillStyle = colors.accent;
    for (const edge of [a, Math.max(b, a + 6)]) rounded(pen, edge - 2.5, h / 2 - 9, 5, 17, 2.5);
  }
}

function redraw() { if (!pending) { pending = true; requestAnimationFrame(draw); } }

// Moving.
const NARROWEST = 200;
function show(newFrom, newTo) {
  let wide = Math.max(NARROWEST, newTo - newFrom);
  const margin = wide >= length ? length * 0.012 : wide * 0.3;
  wide = Math.min(wide, length * 1.024);
  newFrom = Math.max(-margin, Math.min(newFrom, length + margin - wide));
  from = newFrom; to = newFrom + wide;
  hideTip();
  redraw();
}
const fit = () => show(-length * 0.012, length * 1.012);
function zoom(factor, at) {
  const middle = at === undefined ? (from + to) / 2 : at, wide = Math.max(NARROWEST, Math.min((to - from) * factor, length * 1.024));
  show(middle - ((middle - from) * wide) / (to - from), middle + ((to - middle) * wide) / (to - from));
}
function reveal(index) {
  const at = timeOf(index), wide = to - from;
  if (at < from + wide * 0.05 || at > to - wide * 0.05) show(at - wide / 2, at + wide / 2);
  const lane = lanes[data.lane[index]], room = height - AXIS;
  if (lane.top < scroll) scroll = lane.top;
  if (lane.top + lane.height > scroll + room) scroll = lane.top + lane.height - room;
  redraw();
}

// What is under the pointer: the topmost thing, or the nearest event of the lane.
function under(px, py) {
  let best = null;
  for (const hit of hits) {
    if (px >= hit.x && px <= hit.x + hit.w && py >= hit.y && py <= hit.y + hit.h && (!best || hit.rank > best.rank || (hit.rank === best.rank && hit.w < best.w))) best = hit;
  }
  if (best && best.lane) {
    const index = nearest(best.lane, px);
    if (index < 0) return hits.find((hit) => hit.rank < 2.5 && hit.rank > 0 && px >= hit.x && px <= hit.x + hit.w && py >= hit.y && py <= hit.y + hit.h) || null;
    return { event: index, rank: 3 };
  }
  return best;
}
function nearest(lane, px) {
  const at = us(px);
  let best = -1, distance = 8;
  lane.groups.forEach((indexes, which) => {
    if (!shown.has(GROUPS[which][0])) return;
    const middle = placeOfEvent(indexes, at);
    for (const one of [middle - 1, middle]) {
      if (one < 0 || one >= indexes.length) continue;
      const off = Math.abs(x(timeOf(indexes[one])) - px);
      if (off < distance) { distance = off; best = indexes[one]; }
    }
  });
  return best;
}

function hideTip() { tip.hidden = true; }
function showTip(hit, px, py) {
  let words;
  if (hit.bar) {
    const bar = hit.bar, until = bar.open ? "to the end of the log" : span(bar.to - bar.from);
    words = `<b>${escapeHtml(bar.label)}</b> · ${until}<br><span>${escapeHtml(worker(bar.lane))} · ${escapeHtml(bar.state)}</span>`;
  } else if (hit.gap) {
    const names = { silence: "Silence", damage: "Cannot be read", rotated_out: "Rotated out", down: "No Runtime" };
    words = `<b>${names[hit.gap.kind]}</b> ${hit.gap.to > hit.gap.from ? "· " + span(hit.gap.to - hit.gap.from) : ""}<br><span>${escapeHtml(hit.gap.label)}</span>`;
  } else {
    words = `<b>${escapeHtml(data.names[data.name[hit.event]])}</b> · ${clock(timeOf(hit.event), 1000)}<br><span>${escapeHtml(gist(hit.event))}</span>`;
  }
  tip.innerHTML = words;
  tip.hidden = false;
  const box = tip.getBoundingClientRect(), offset = chart.offsetTop;
  tip.style.left = Math.max(6, Math.min(px + 14, width - box.width - 8)) + "px";
  tip.style.top = Math.max(4, Math.min(py + offset + 16, offset + height - box.height - 6)) + "px";
}
function payload(index) {
  if (cut.has(index)) return null;
  try { return JSON.parse(data.text[index]).data; } catch { return null; }
}
// The one thing of an event that says most.
function gist(index) {
  const found = payload(index);
  if (found && typeof found === "object") {
    for (const name of ["text", "message", "summary", "error", "name", "result", "status", "outcome", "reason", "json"]) if (typeof found[name] === "string") return found[name].slice(0, 160);
    if (found.output_tokens !== undefined) return `${found.input_tokens ?? "?"} tokens in, ${found.output_tokens ?? "?"} out`;
    if (Array.isArray(found.segments)) return found.segments.map((one) => one.content || one.kind).join(" ").slice(0, 160);
    return JSON.stringify(found).slice(0, 160);
  }
  return data.text[index].slice(0, 160);
}

// The panel.
function select(index, bar) {
  selected = index;
  if (index < 0) { panel.hidden = true; redraw(); return; }
  const name = data.names[data.name[index]], rows = [["Worker", worker(data.lane[index])], ["Time", `${day(timeOf(index))} ${clock(timeOf(index), 1)}`], ["After start", span(timeOf(index))], ["Seq", data.seq[index] + (data.worker_seq[index] ? ` (${data.worker_seq[index]} of its Worker)` : "")]];
  if (bar) rows.push(["Lasted", bar.open ? "to the end of the log" : span(bar.to - bar.from)], ["State", bar.state]);
  let text;
  const found = payload(index);
  if (cut.has(index)) text = escapeHtml(data.text[index]) + "…";
  else text = found === undefined ? "" : colored(JSON.stringify(found, null, 2));
  panel.innerHTML = `<button class="close" aria-label="Close">×</button><h2><i style="--c:var(--${failedResult(index) ? "failed" : key(index)})"></i>${escapeHtml(name)}</h2>`
    + `<dl>${rows.map(([term, value]) => `<dt>${term}</dt><dd>${escapeHtml(String(value))}</dd>`).join("")}</dl>`
    + (text ? `<pre>${text}</pre>` : `<p class="more">It carries no data.</p>`)
    + (cut.has(index) ? `<p class="more">Its beginning only. All of it: <code>yoi-log cat --seq ${data.seq[index]}</code></p>` : "")
    + `<div class="steps"><button data-step="-1">← previous</button><button data-step="1">next →</button></div>`;
  panel.hidden = false;
  panel.querySelector(".close").onclick = () => select(-1);
  for (const button of panel.querySelectorAll("[data-step]")) button.onclick = () => stepBy(Number(button.dataset.step));
  redraw();
}
function colored(text) {
  return escapeHtml(text).replace(/(&#34;(?:\\.|[^&\\]|&(?!#34;))*&#34;)(\s*:)?|\b(-?\d+(?:\.\d+)?|true|false|null)\b/g,
    (all, string, colon, number) => (string ? `<span class="${colon ? "k" : "s"}">${string}</span>${colon || ""}` : `<span class="n">${number}</span>`));
}
// To the next event of the same Worker, or among what was found.
function stepBy(direction) {
  const list = matches || (selected >= 0 ? lanes[data.lane[selected]].all : null) || [];
  if (!list.length && !count) return;
  if (selected < 0) { const first = matches ? matches[0] : 0; if (first !== undefined) { select(first); reveal(first); } return; }
  let at = place(list, selected);
  at = list[at] === selected ? at + direction : direction > 0 ? at : at - 1;
  while (list[at] !== undefined && !matches && !shown.has(key(list[at]))) at += direction;
  if (list[at] !== undefined) { select(list[at]); reveal(list[at]); }
}
const indexOfSeq = (seq) => { const at = place(data.seq, seq); return data.seq[at] === seq ? at : -1; };

// Filter and search.
function makeChips() {
  const counts = GROUPS.map(() => 0);
  for (let index = 0; index < count; index++) counts[group(index)]++;
  GROUPS.forEach(([name, words], which) => {
    if (!counts[which]) return;
    const chip = document.createElement("button");
    chip.className = "chip"; chip.dataset.group = name; chip.setAttribute("aria-pressed", "true");
    chip.title = `Show or hide; double-click: this alone`;
    chip.innerHTML = `<i style="--c:var(--${name})"></i>${words} <b>${counts[which].toLocaleString("en")}</b>`;
    chip.onclick = () => { if (shown.has(name)) shown.delete(name); else shown.add(name); refreshChips(); };
    chip.ondblclick = () => { shown.clear(); shown.add(name); refreshChips(); };
    $("chips").append(chip);
  });
}
function refreshChips() {
  for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", shown.has(chip.dataset.group));
  redraw();
}
let searching = 0;
function search() {
  const words = $("search").value.trim().toLowerCase();
  matches = null; matchAt = -1;
  if (words) {
    matches = [];
    for (let index = 0; index < count; index++) {
      if (data.names[data.name[index]].includes(words) || worker(data.lane[index]).toLowerCase().includes(words) || data.text[index].toLowerCase().includes(words)) matches.push(index);
    }
  }
  $("found").textContent = matches ? matches.length.toLocaleString("en") : "";
  redraw();
}
function nextMatch(direction) {
  if (!matches || !matches.length) return;
  matchAt = (matchAt + direction + matches.length) % matches.length;
  select(matches[matchAt]);
  reveal(matches[matchAt]);
}

// Hands.
const position = (event) => { const box = chart.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
const fingers = new Map();
chart.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  chart.setPointerCapture(event.pointerId);
  fingers.set(event.pointerId, position(event));
  dragging = { at: position(event), from, to, scroll, moved: false, pinch: fingers.size === 2 ? [...fingers.values()].map((one) => one[0]) : null };
});
chart.addEventListener("pointermove", (event) => {
  const [px, py] = position(event);
  if (!dragging) {
    hovered = py > AXIS ? under(px, py) : null;
    chart.classList.toggle("over", Boolean(hovered && (hovered.event !== undefined || (hovered.bar && hovered.rank > 1))));
    if (hovered) showTip(hovered, px, py); else hideTip();
    return;
  }
  fingers.set(event.pointerId, [px, py]);
  if (dragging.pinch && fingers.size === 2) {
    const now = [...fingers.values()].map((one) => one[0]), apart = Math.abs(now[0] - now[1]), before = Math.abs(dragging.pinch[0] - dragging.pinch[1]);
    if (apart > 10 && before > 10) { zoom(before / apart, us((now[0] + now[1]) / 2)); dragging.pinch = now; }
    dragging.moved = true;
    return;
  }
  if (!dragging.moved && Math.hypot(px - dragging.at[0], py - dragging.at[1]) < 4) return;
  dragging.moved = true;
  chart.classList.add("dragging");
  const shift = ((dragging.at[0] - px) / (width - left)) * (dragging.to - dragging.from);
  scroll = dragging.scroll + dragging.at[1] - py;
  show(dragging.from + shift, dragging.to + shift);
});
function release(event) {
  fingers.delete(event.pointerId);
  const was = dragging;
  dragging = null;
  chart.classList.remove("dragging");
  if (!was || was.moved || event.type === "pointercancel") return;
  const hit = under(...position(event));
  if (!hit || hit.gap) { select(-1); return; }
  if (hit.event !== undefined) select(hit.event);
  else { const index = indexOfSeq(hit.bar.seq); if (index >= 0) select(index, hit.bar); }
}
chart.addEventListener("pointerup", release);
chart.addEventListener("pointercancel", release);
chart.addEventListener("pointerleave", () => { hovered = null; hideTip(); });
chart.addEventListener("dblclick", (event) => zoom(0.35, us(position(event)[0])));
chart.addEventListener("wheel", (event) => {
  event.preventDefault();
  const [px] = position(event), overflow = contentHeight + 12 > height - AXIS;
  const unit = event.deltaMode === 1 ? 16 : 1, dx = event.deltaX * unit, dy = event.deltaY * unit;
  if (event.shiftKey || Math.abs(dx) > Math.abs(dy)) { const shift = ((dx || dy) / (width - left)) * (to - from); show(from + shift, to + shift); }
  else if (!event.ctrlKey && !event.metaKey && overflow && px < left) { scroll += dy; redraw(); }
  else zoom(Math.exp(Math.max(-120, Math.min(120, dy)) * 0.0028), us(Math.max(px, left)));
}, { passive: false });

let brushing = null;
overview.addEventListener("pointerdown", (event) => {
  overview.setPointerCapture(event.pointerId);
  const at = (event.offsetX / overview.clientWidth) * length, near = (6 / overview.clientWidth) * length;
  if (Math.abs(at - from) < near && to - from < length) brushing = { edge: "from" };
  else if (Math.abs(at - to) < near && to - from < length) brushing = { edge: "to" };
  else if (at > from && at < to && to - from < length * 0.99) brushing = { shift: at - from };
  else brushing = { start: at };
});
overview.addEventListener("pointermove", (event) => {
  if (!brushing) return;
  const at = (event.offsetX / overview.clientWidth) * length;
  if (brushing.edge === "from") show(Math.min(at, to - NARROWEST), to);
  else if (brushing.edge === "to") show(from, Math.max(at, from + NARROWEST));
  else if (brushing.shift !== undefined) show(at - brushing.shift, at - brushing.shift + to - from);
  else if (Math.abs(at - brushing.start) > length / 200) { brushing.moved = true; show(Math.min(at, brushing.start), Math.max(at, brushing.start)); }
});
overview.addEventListener("pointerup", () => {
  if (brushing && brushing.start !== undefined && !brushing.moved && to - from < length * 0.99) { const wide = to - from; show(brushing.start - wide / 2, brushing.start + wide / 2); }
  brushing = null;
});

$("zoom-in").onclick = () => zoom(0.6);
$("zoom-out").onclick = () => zoom(1 / 0.6);
$("fit").onclick = () => { scroll = 0; fit(); };
$("search").addEventListener("input", () => { clearTimeout(searching); searching = setTimeout(search, 120); });
$("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") { clearTimeout(searching); if (matchAt < 0) search(); nextMatch(event.shiftKey ? -1 : 1); }
  if (event.key === "Escape") { $("search").value = ""; search(); chart.focus(); }
});
document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
  const wide = to - from, actions = {
    ArrowLeft: () => show(from - wide * 0.15, to - wide * 0.15), ArrowRight: () => show(from + wide * 0.15, to + wide * 0.15),
    ArrowUp: () => { scroll -= 60; redraw(); }, ArrowDown: () => { scroll += 60; redraw(); },
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), 0: fit, n: () => stepBy(1), p: () => stepBy(-1),
    "/": () => $("search").focus(), Escape: () => select(-1),
  };
  if (actions[event.key]) { event.preventDefault(); actions[event.key](); }
});

// Light and dark: the system's, until somebody chooses.
const dark = matchMedia("(prefers-color-scheme: dark)");
let chosen = null;
function useTheme() {
  root.dataset.theme = chosen || (dark.matches ? "dark" : "light");
  hatches.clear();
  readColors();
  redraw();
}
dark.addEventListener("change", useTheme);
$("theme").onclick = () => { chosen = root.dataset.theme === "dark" ? "light" : "dark"; useTheme(); };

makeChips();
useTheme();
fit();
new ResizeObserver(redraw).observe($("stage"));
// For tests, and for the curious in the console.
window.timeline = { show, fit, zoom, select, shown, redraw: draw, hits: () => hits, view: () => ({ from, to, length, selected, width, height, count }) };
})();
