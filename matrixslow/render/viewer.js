// The page that shows a graph: what is unfolded, what is chosen, and the view.
//
// The graph is JSON (see page.py): nodes, scopes, formulas of the operators, and what is open.

"use strict";

const graph = JSON.parse(document.getElementById("graph").textContent);
const [canvas, world, panel, search, found] =
  ["canvas", "world", "panel", "search", "found"].map((id) => document.getElementById(id));
const STRIP_HEIGHT = 24, SIGN = 14;

// A thing is a node or a scope. `state.open` holds the scopes that are unfolded.
const state = { open: new Set(graph.open), gradients: graph.gradients, chosen: null, focus: null };
const view = { x: 0, y: 0, scale: 1 };
let drawn = null;

graph.nodes.forEach((node) => { node.users = []; });
graph.nodes.forEach((node) => node.inputs.forEach((x) => graph.nodes[x].users.push(node)));
graph.scopes.forEach((scope) => { scope.isScope = true; });
const byName = new Map();
for (const thing of [...graph.nodes, ...graph.scopes]) {
  if (!byName.has(thing.name)) byName.set(thing.name, thing);
}

// ---- what is shown ---------------------------------------------------------------------------

const scopeOf = (thing) => graph.scopes[thing.scope];

// The thing that stands for a node: itself, or the outermost folded scope around it.
function standIn(node) {
  let shown = node;
  for (let scope = scopeOf(node); scope; scope = scopeOf(scope)) {
    if (!state.open.has(scope.name)) shown = scope;
  }
  return shown;
}

// Boxes, frames and edges, as `arrange` takes them. Edges from the model into a folded scope of
// training, which reads nearly all of it, are counted instead of drawn.
function makePicture() {
  const shown = graph.nodes.filter((node) => state.gradients || !node.auxiliary);
  const groups = new Map();
  const owner = new Map();
  for (const node of shown) {
    const thing = standIn(node);
    owner.set(node, thing);
    if (!groups.has(thing)) groups.set(thing, []);
    groups.get(thing).push(node);
  }
  const things = [...groups.keys()];
  const number = new Map(things.map((thing, index) => [thing, index]));
  const framed = new Set();
  for (const thing of things) {
    for (let scope = scopeOf(thing); scope; scope = scopeOf(scope)) framed.add(scope);
  }
  const frames = graph.scopes.filter((scope) => framed.has(scope));
  const frameNumber = new Map(frames.map((scope, index) => [scope, index]));
  const frameOf = (thing) => frameNumber.get(scopeOf(thing)) ?? -1;

  const edges = new Map(), dropped = new Set(), specs = new Map();
  for (const node of shown) {
    const head = owner.get(node);
    for (const x of node.inputs.map((index) => graph.nodes[index])) {
      const tail = owner.get(x);
      if (!tail || tail === head) continue;
      const pair = [number.get(tail), number.get(head)];
      const end = x.category === "output" || x.category === "loss";
      if (!x.auxiliary && !end && node.auxiliary && head.isScope) {
        dropped.add(String(pair));
        continue;
      }
      edges.set(String(pair), pair);
      if (!specs.has(tail)) specs.set(tail, new Map());
      specs.get(tail).set(x, x.spec);
    }
  }
  const labelOf = (thing) => {
    const known = [...(specs.get(thing) ?? new Map()).values()];
    if (!known.length) return "";
    return new Set(known).size === 1 ? known[0] : `${known.length} tensors`;
  };
  const labels = things.map(labelOf);
  const boxes = things.map((thing, index) => ({
    width: thing.width,
    face: thing.face,
    height: thing.height,
    room: Math.max(labels[index] ? textWidth(labels[index]) + 6 : 0,
      thing.width + (thing.isScope ? 2 * SIGN : 0)),
    label: labels[index] !== "",
    frame: frameOf(thing),
  }));
  return {
    things, frames, labels, edges: [...edges.values()], dropped: dropped.size,
    hidden: graph.nodes.length - shown.length,
    places: arrange({
      boxes, edges: [...edges.values()],
      frames: frames.map((scope) => ({ title: textWidth(scope.title) + 22, parent: frameOf(scope) })),
    }),
  };
}

const pen = document.createElement("canvas").getContext("2d");
function textWidth(text) {
  pen.font = getComputedStyle(document.body).font.replace(/\d+px/, "11px");
  return pen.measureText(text).width;
}

// ---- drawing ---------------------------------------------------------------------------------

function make(tag, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function html(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draw() {
  drawn = makePicture();
  const { things, frames, labels, places, edges } = drawn;
  drawn.elements = new Map();
  drawn.neighbours = things.map(() => ({ up: [], down: [] }));
  for (const [tail, head] of edges) {
    drawn.neighbours[tail].down.push(head);
    drawn.neighbours[head].up.push(tail);
  }
  const parts = frames.map((scope, index) => drawFrame(scope, places.frames[index]));
  drawn.routes = new Map();
  for (const [tail, { lines, tips }] of places.routes) {
    const route = make("g", { class: "edge" },
      make("path", { d: lines }), make("path", { class: "tip", d: tips }));
    drawn.routes.set(tail, route);
    parts.push(route);
  }
  things.forEach((thing, index) => {
    parts.push(drawBox(thing, places.boxes[index]));
    if (labels[index]) {
      const { x, y } = places.boxes[index];
      const text = make("text", { class: "m", x: x + thing.width / 2, y: y + thing.height + 12.5 });
      text.textContent = labels[index];
      parts.push(text);
    }
  });
  world.replaceChildren(...parts);
  const notes = [];
  if (drawn.hidden) notes.push(`${count(drawn.hidden, "node")} for training`);
  if (drawn.dropped) notes.push(`${count(drawn.dropped, "edge")} into folded scopes of training`);
  document.getElementById("note").textContent = notes.length ? `not drawn: ${notes.join(", ")}` : "";
  if (!drawn.elements.has(state.focus)) state.focus = things[0] ?? null;
  mark();
}

const count = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

function drawBox(thing, { x, y }) {
  const classes = ["box", thing.category];
  if (thing.degree !== undefined) classes.push(`h${thing.degree}`);
  const box = make("g", {
    class: classes.join(" "), transform: `translate(${x} ${y})`, role: "button", tabindex: -1,
    "aria-label": thing.isScope ? `scope ${thing.name}, folded` : `${thing.operator} ${thing.name}, ${thing.spec}`,
    "data-name": thing.name,
  });
  box.innerHTML = thing.markup;
  if (thing.isScope) {
    box.setAttribute("aria-expanded", "false");
    const sign = make("text", { class: "sign", x: thing.width + 6, y: 16 });
    sign.textContent = "+";
    box.append(sign);
  }
  box.addEventListener("click", () => (thing.isScope ? toggle(thing) : choose(thing)));
  box.addEventListener("focus", () => { state.focus = thing; mark(); });
  box.addEventListener("pointerenter", () => glow(thing, true));
  box.addEventListener("pointerleave", () => glow(thing, false));
  drawn.elements.set(thing, box);
  return box;
}

function drawFrame(scope, { x, y, width, height }) {
  const title = make("text", { x: 14, y: 17 }), sign = make("text", { class: "sign", x: width - 14, y: 17 });
  title.textContent = scope.title;
  sign.textContent = "−";
  const frame = make("g", {
    class: "frame", transform: `translate(${x} ${y})`, role: "button", tabindex: -1,
    "aria-expanded": "true", "aria-label": `scope ${scope.name}, unfolded`, "data-name": scope.name,
  },
    make("rect", { class: "cluster", width, height, rx: 10 }), title, sign,
    make("rect", { class: "strip", width, height: STRIP_HEIGHT }));
  frame.lastChild.addEventListener("click", () => toggle(scope));
  drawn.elements.set(scope, frame);
  return frame;
}

// The edges at a box, marked while the pointer is on it or it is chosen.
function glow(thing, on) {
  const index = drawn.things.indexOf(thing);
  if (index < 0) return;
  for (const tail of [index, ...drawn.neighbours[index].up]) {
    drawn.routes.get(tail)?.classList.toggle("near", on);
  }
}

function mark() {
  for (const route of drawn.routes.values()) route.classList.remove("near");
  for (const [thing, element] of drawn.elements) {
    element.classList.toggle("chosen", thing === state.chosen);
    element.setAttribute("tabindex", thing === state.focus ? 0 : -1);
  }
  if (state.chosen) glow(state.chosen, true);
}

// ---- folding ---------------------------------------------------------------------------------

// Fold or unfold a scope, which stays where it is on the screen.
function toggle(scope) {
  const before = placeOf(scope);
  if (!state.open.delete(scope.name)) state.open.add(scope.name);
  draw();
  const after = placeOf(scope);
  if (before && after) {
    view.x += (before.x + before.width / 2 - after.x - after.width / 2) * view.scale;
    view.y += (before.y - after.y) * view.scale;
  }
  state.focus = drawn.elements.has(scope) ? scope : state.focus;
  choose(scope);
  drawn.elements.get(scope)?.focus({ preventScroll: true });
}

function placeOf(thing) {
  const box = drawn.things.indexOf(thing), frame = drawn.frames.indexOf(thing);
  return box < 0 ? drawn.places.frames[frame] : { ...drawn.places.boxes[box], width: thing.width };
}

function foldAll(open) {
  state.open = new Set(open ? graph.scopes.map((scope) => scope.name) : []);
  draw();
  fit();
}

// Unfold what is around a thing, choose it, and bring it to the middle.
function reveal(thing) {
  if (thing.auxiliary && !state.gradients) setGradients(true);
  for (let scope = scopeOf(thing); scope; scope = scopeOf(scope)) state.open.add(scope.name);
  draw();
  state.focus = thing;
  choose(thing);
  centre(thing);
  drawn.elements.get(thing)?.focus({ preventScroll: true });
}

function setGradients(on) {
  state.gradients = on;
  document.getElementById("gradients").checked = on;
}

// ---- the view --------------------------------------------------------------------------------

function look() {
  world.setAttribute("transform", `translate(${view.x} ${view.y}) scale(${view.scale})`);
}

// All of the picture; where that would be too small to read, its upper end.
function fit() {
  const { clientWidth, clientHeight } = canvas;
  const { width, height } = drawn.places;
  const across = (clientWidth - 40) / Math.max(width, 1);
  const down = (clientHeight - 40) / Math.max(height, 1);
  view.scale = Math.min(1.25, across, Math.max(down, 0.75));
  view.x = (clientWidth - width * view.scale) / 2;
  view.y = Math.max(20, (clientHeight - height * view.scale) / 2);
  look();
}

function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
  const scale = Math.min(4, Math.max(0.03, view.scale * factor));
  view.x = x - ((x - view.x) * scale) / view.scale;
  view.y = y - ((y - view.y) * scale) / view.scale;
  view.scale = scale;
  look();
}

function centre(thing) {
  const place = placeOf(thing);
  if (!place) return;
  view.scale = Math.max(view.scale, 0.7);
  view.x = canvas.clientWidth / 2 - (place.x + place.width / 2) * view.scale;
  view.y = canvas.clientHeight / 2 - (place.y + thing.height / 2) * view.scale;
  look();
}

// Move the view so that a thing is inside it, by as little as can be.
function bringIn(thing) {
  const { x, y } = placeOf(thing);
  const left = view.x + x * view.scale, top = view.y + y * view.scale;
  const right = left + thing.width * view.scale, bottom = top + thing.height * view.scale;
  view.x += Math.max(0, 20 - left) - Math.max(0, right - canvas.clientWidth + 20);
  view.y += Math.max(0, 20 - top) - Math.max(0, bottom - canvas.clientHeight + 20);
  look();
}

canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const { left, top } = canvas.getBoundingClientRect();
  const step = event.deltaMode === 1 ? 16 : 1;
  zoom(Math.exp(-event.deltaY * step * 0.0015), event.clientX - left, event.clientY - top);
}, { passive: false });

// On paper all of the picture is seen, whatever is in view on the screen.
window.addEventListener("beforeprint", () => {
  const { width, height } = drawn.places;
  canvas.setAttribute("viewBox", `-20 -20 ${width + 40} ${height + 40}`);
  world.removeAttribute("transform");
});
window.addEventListener("afterprint", () => {
  canvas.removeAttribute("viewBox");
  look();
});

// One pointer drags, two pinch.
const pointers = new Map();
let moved = 0;
canvas.addEventListener("pointerdown", (event) => {
  moved = 0;
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
});
window.addEventListener("pointermove", (event) => {
  if (!pointers.has(event.pointerId)) return;
  const [x, y] = pointers.get(event.pointerId);
  const others = [...pointers].filter(([id]) => id !== event.pointerId);
  pointers.set(event.pointerId, [event.clientX, event.clientY]);
  if (!others.length) {
    view.x += event.clientX - x;
    view.y += event.clientY - y;
    moved += Math.abs(event.clientX - x) + Math.abs(event.clientY - y);
    canvas.classList.add("dragging");
    look();
  } else {
    const [, [ox, oy]] = others[0];
    const { left, top } = canvas.getBoundingClientRect();
    const factor = Math.hypot(event.clientX - ox, event.clientY - oy) / Math.hypot(x - ox, y - oy);
    zoom(factor, ox - left, oy - top);
  }
});
for (const end of ["pointerup", "pointercancel"]) {
  window.addEventListener(end, (event) => {
    pointers.delete(event.pointerId);
    canvas.classList.remove("dragging");
  });
}
canvas.addEventListener("click", (event) => { if (moved > 5) event.stopPropagation(); }, true);

// ---- the panel -------------------------------------------------------------------------------

function choose(thing) {
  state.chosen = thing;
  mark();
  panel.hidden = !thing;
  panel.replaceChildren(...(thing ? describe(thing) : []));
  if (thing && drawn.things.includes(thing)) bringIn(thing);
  else look();
  history.replaceState(null, "", thing ? `#${encodeURIComponent(thing.name)}` : location.pathname);
}

function describe(thing) {
  const close = html("button", { class: "close", title: "Close (Escape)", "aria-label": "Close",
    onclick: () => choose(null) }, "×");
  return [close, html("h2", {}, thing.name), ...(thing.isScope ? aboutScope(thing) : aboutNode(thing))];
}

function aboutNode(node) {
  const parts = [html("p", {}, `${node.operator} · `, html("span", { class: "faint" }, node.category))];
  parts.push(html("p", {}, html("strong", {}, node.spec)));
  const section = (title, ...children) => parts.push(html("h3", {}, title), ...children);
  const { formula, shapes } = graph.formulas[node.operator];
  if (formula) section("what it is", html("pre", {}, formula));
  if (shapes) section("shapes", html("pre", {}, shapes));
  if (node.options) section("options", html("pre", {}, node.options));
  if (node.parameters) {
    section("parameters", html("p", {}, `${node.parameters}${node.trainable ? "" : ", not trainable"}`));
  }
  if (node.value) section("value of the last run", figures(node.value));
  if (node.gradient) section("gradient of the last run", figures(node.gradient));
  if (node.time) section("time of a run", html("p", {}, node.time));
  if (node.inputs.length) section("made of", links(node.inputs.map((x) => graph.nodes[x])));
  if (node.users.length) section("read by", links([...new Set(node.users)]));
  if (node.site) {
    section("built", html("p", {}, node.site), ...(node.source ? [html("pre", {}, node.source)] : []));
  }
  parts.push(around(node));
  return parts;
}

function aboutScope(scope) {
  const inside = scope.operators.map(([operator, count]) => html("tr", {}, html("td", {}, operator),
    html("td", {}, String(count))));
  const open = state.open.has(scope.name);
  return [
    html("p", {}, scope.lines.join(" · ")),
    html("div", { class: "actions" },
      html("button", { onclick: () => toggle(scope) }, open ? "Fold" : "Unfold")),
    html("h3", {}, "operators"), html("table", {}, ...inside), around(scope),
  ];
}

function figures(rows) {
  return html("table", {}, ...rows.map(([name, value]) => html("tr",
    name === "not finite" ? { class: "broken" } : {}, html("td", {}, name), html("td", {}, value))));
}

function links(nodes) {
  return html("ul", {}, ...nodes.map((node) => html("li", {},
    html("button", { onclick: () => reveal(node) }, node.name),
    html("span", { class: "faint" }, ` ${node.spec}`))));
}

function around(thing) {
  const scopes = [];
  for (let scope = scopeOf(thing); scope; scope = scopeOf(scope)) scopes.push(scope);
  return html("div", { class: "actions" }, ...scopes.map((scope) =>
    html("button", { onclick: () => toggle(scope) }, `Fold ${scope.name}`)));
}

// ---- search ----------------------------------------------------------------------------------

const MOST = 60;
let hits = [], hit = 0;

function find() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (thing) => `${thing.name} ${thing.operator ?? "scope"}`.toLowerCase();
  const all = [...graph.scopes, ...graph.nodes];
  hits = words.length ? all.filter((thing) => words.every((word) => text(thing).includes(word))) : [];
  const late = (thing) => (thing.auxiliary ? 1000 : 0) + thing.name.length;
  hits.sort((a, b) => late(a) - late(b));
  hit = 0;
  showHits();
}

function showHits() {
  const items = hits.slice(0, MOST).map((thing, index) => html("li", {
    role: "option", id: `hit${index}`, "aria-selected": String(index === hit),
    onclick: () => go(thing),
  }, `${thing.name} `, html("small", {}, thing.operator ?? "scope")));
  if (hits.length > MOST) items.push(html("li", { class: "faint" }, `and ${hits.length - MOST} more`));
  if (search.value.trim() && !hits.length) items.push(html("li", { class: "faint" }, "nothing found"));
  found.replaceChildren(...items);
  found.hidden = !items.length;
  search.setAttribute("aria-expanded", String(!found.hidden));
  search.setAttribute("aria-activedescendant", hits.length ? `hit${hit}` : "");
  items[hit]?.scrollIntoView?.({ block: "nearest" });
}

function go(thing) {
  found.hidden = true;
  search.setAttribute("aria-expanded", "false");
  reveal(thing);
}

search.addEventListener("input", find);
search.addEventListener("focus", () => { if (search.value) showHits(); });
search.addEventListener("blur", () => setTimeout(() => { found.hidden = true; }, 150));
search.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const shown = Math.min(hits.length, MOST);
  if (step && shown) {
    event.preventDefault();
    hit = (hit + step + shown) % shown;
    showHits();
  } else if (event.key === "Enter" && hits.length) {
    go(hits[hit]);
  } else if (event.key === "Escape") {
    search.value = "";
    find();
    drawn.elements.get(state.focus)?.focus();
  }
  event.stopPropagation();
});

// ---- keys ------------------------------------------------------------------------------------

// The next box for an arrow key: along an edge if there is one, else the nearest that way.
function nextBox(key) {
  const here = drawn.things.indexOf(state.focus);
  if (here < 0) return drawn.things[0];
  const middle = (index) => {
    const { x, y } = drawn.places.boxes[index];
    return [x + drawn.things[index].width / 2, y + drawn.things[index].height / 2];
  };
  const [x, y] = middle(here);
  const upright = key === "ArrowUp" || key === "ArrowDown";
  const sign = key === "ArrowUp" || key === "ArrowLeft" ? -1 : 1;
  const distance = (index) => {
    const [ox, oy] = middle(index);
    const ahead = sign * (upright ? oy - y : ox - x), aside = Math.abs(upright ? ox - x : oy - y);
    return ahead > 1 ? ahead + 2 * aside : Infinity;
  };
  const linked = upright ? drawn.neighbours[here][sign < 0 ? "up" : "down"] : [];
  for (const candidates of [linked, drawn.things.keys()]) {
    const near = [...candidates].sort((a, b) => distance(a) - distance(b))[0];
    if (near !== undefined && distance(near) < Infinity) return drawn.things[near];
  }
  return null;
}

const keys = {
  Enter: () => (state.focus.isScope ? toggle(state.focus) : choose(state.focus)),
  f: () => { if (scopeOf(state.focus)) toggle(scopeOf(state.focus)); },
  Escape: () => choose(null),
  "/": () => search.focus(),
  "+": () => zoom(1.25),
  "=": () => zoom(1.25),
  "-": () => zoom(0.8),
  0: fit,
};
keys[" "] = keys.Enter;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const onControl = ["BUTTON", "INPUT"].includes(event.target.tagName);
  if (onControl && ["Enter", " "].includes(event.key)) return;
  if (event.key.startsWith("Arrow") && !onControl) {
    const next = nextBox(event.key);
    if (next) {
      state.focus = next;
      mark();
      bringIn(next);
      drawn.elements.get(next).focus({ preventScroll: true });
    }
  } else if (keys[event.key] && (state.focus || !["Enter", " ", "f"].includes(event.key))) {
    keys[event.key]();
  } else {
    return;
  }
  event.preventDefault();
});

// ---- start -----------------------------------------------------------------------------------

const on = (id, action) => document.getElementById(id).addEventListener("click", action);
on("fold", () => foldAll(false));
on("unfold", () => foldAll(true));
on("smaller", () => zoom(0.8));
on("larger", () => zoom(1.25));
on("fit", fit);
document.getElementById("training").hidden = !graph.nodes.some((node) => node.auxiliary);
document.getElementById("gradients").addEventListener("change", (event) => {
  setGradients(event.target.checked);
  draw();
  fit();
});
// The address may name what is chosen: model.html#conv1/relu.
function follow() {
  let name = location.hash.slice(1);
  try { name = decodeURIComponent(name); } catch { /* not encoded: taken as it stands */ }
  const thing = byName.get(name);
  if (thing && thing !== state.chosen) reveal(thing);
}
window.addEventListener("hashchange", follow);
setGradients(state.gradients);
draw();
fit();
follow();
