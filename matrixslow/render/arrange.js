// Finds places for boxes, frames and lines, as layout.py does for files: rows from top to bottom,
// each frame arranged by itself and then one large box in the frame around it.
//
// arrange({boxes, frames, edges}) takes
//   boxes   [{width, face, height, room, label, frame}]: face is how much of the upper side lines
//           may end on, room the width that is kept free in all, label whether there is one
//           below, frame a number or -1,
//   frames  [{title, parent}]: title is its width; outer frames come before inner ones,
//   edges   [[tail, head]]: numbers of boxes,
// and gives {width, height, boxes: [{x, y}], frames: [{x, y, width, height}], routes}, where
// routes[tail] = {lines, tips} are the outlines of the paths of all that leaves a box.

"use strict";

const GAP = 22, BORDER = 9, SIDE = 14, STRIP = 24, LABEL = 16, ARROW = 6.5;
const BOX_GAP = 15, LINE_GAP = 8, SLANT = 0.1;
const SWEEPS = 16, SETTLING = 14;
const MAIN = 4, FAINT = 0.001, NEARLY = 8;

function arrange({ boxes, frames, edges }) {
  const root = frames.length;
  const outer = (frame) => (frames[frame].parent < 0 ? root : frames[frame].parent);
  const itemOf = (frame) => boxes.length + frame;
  const levels = Array.from({ length: root + 1 }, () => ({ items: new Set(), nets: new Map() }));

  // The levels around a box, from the inside, and the item that it is in each.
  const steps = (box) => {
    let level = boxes[box].frame < 0 ? root : boxes[box].frame;
    const found = new Map([[level, box]]);
    while (level !== root) {
      const item = itemOf(level);
      level = outer(level);
      found.set(level, item);
    }
    return found;
  };
  const netOf = (level, tail) => {
    const nets = levels[level].nets;
    if (!nets.has(tail)) nets.set(tail, { start: null, heads: new Set(), leaves: false });
    return nets.get(tail);
  };

  boxes.forEach((_, box) => steps(box).forEach((item, level) => levels[level].items.add(item)));
  for (const [tail, head] of edges) {
    const up = steps(tail), down = steps(head);
    for (const [level, item] of up) {
      const net = netOf(level, tail);
      net.start = item;
      if (down.has(level)) break;
      net.leaves = true;
    }
    for (const [level, item] of down) {
      netOf(level, tail).heads.add(item);
      if (up.has(level)) break;
    }
  }

  const shapes = boxes.map((box) => ({
    width: Math.max(box.width, box.room),
    height: box.height + (box.label ? LABEL : 0),
    face: box.face,
    inlets: new Map(),
    outlets: new Map(),
  }));
  const plans = [];
  for (let frame = root - 1; frame >= 0; frame--) {
    plans[frame] = solve(levels[frame], shapes, frames[frame].title);
    shapes[itemOf(frame)] = plans[frame].shape;
  }
  plans[root] = solve(levels[root], shapes, 0);
  return assemble(boxes, frames, plans, shapes);
}

function assemble(boxes, frames, plans, shapes) {
  const root = frames.length;
  const result = {
    width: plans[root].shape.width,
    height: plans[root].shape.height,
    boxes: [],
    frames: [],
    routes: new Map(),
  };
  const put = (level, left, top) => {
    const plan = plans[level];
    for (const [item, [x, y]] of plan.places) {
      if (item < boxes.length) {
        const inset = (shapes[item].width - boxes[item].width) / 2;
        result.boxes[item] = { x: left + x + inset, y: top + y };
      } else {
        const { width, height } = shapes[item];
        result.frames[item - boxes.length] = { x: left + x, y: top + y, width, height };
        put(item - boxes.length, left + x, top + y);
      }
    }
    for (const [tail, parts] of plan.parts) {
      if (!result.routes.has(tail)) result.routes.set(tail, { lines: "", tips: "" });
      const route = result.routes.get(tail);
      for (const points of parts.lines) route.lines += path(points, left, top);
      for (const [x, y] of parts.tips) {
        route.tips += `M${round(left + x - ARROW / 2)} ${round(top + y - ARROW)}` +
          `h${ARROW}L${round(left + x)} ${round(top + y)}z`;
      }
    }
  };
  put(root, 0, 0);
  return result;
}

const round = (number) => Math.round(number * 10) / 10;

// A start, then three points for each cubic Bezier curve.
function path(points, left, top) {
  const [start, ...rest] = points.map(([x, y]) => `${round(left + x)} ${round(top + y)}`);
  return `M${start}C${rest.join(" ")}`;
}

// ---- one level -----------------------------------------------------------------------------

function solve(level, shapes, title) {
  const grid = makeGrid(level, shapes, title);
  orderRows(grid);
  placeRows(grid);
  return drawLevel(grid);
}

// The row of each item: every edge leads down, and vertices stand as near to their users as
// they can without making edges longer in all.
function rankItems(level) {
  const items = [...level.items];
  const heads = new Map(items.map((item) => [item, []]));
  const tails = new Map(items.map((item) => [item, []]));
  const entered = new Set();
  for (const net of level.nets.values()) {
    for (const head of net.heads) {
      if (net.start === null) entered.add(head);
      else heads.get(net.start).push(head);
    }
  }
  dropCycles(items, heads);
  for (const [tail, found] of heads) for (const head of found) tails.get(head).push(tail);

  const waiting = new Map(items.map((item) => [item, tails.get(item).length]));
  const order = items.filter((item) => !waiting.get(item));
  const row = new Map(items.map((item) => [item, 0]));
  for (const item of order) {
    for (const head of heads.get(item)) {
      row.set(head, Math.max(row.get(head), row.get(item) + 1));
      waiting.set(head, waiting.get(head) - 1);
      if (!waiting.get(head)) order.push(head);
    }
  }
  for (const item of order.reverse()) {
    const below = heads.get(item).map((head) => row.get(head));
    if (!below.length) continue;
    const held = tails.get(item).filter((tail) => {
      const furthest = Math.max(...heads.get(tail).map((head) => row.get(head)));
      return tails.get(tail).length && furthest === row.get(item);
    });
    if (held.length + entered.has(item) <= 1) row.set(item, Math.min(...below) - 1);
  }
  const first = Math.min(...row.values());
  for (const [item, own] of row) row.set(item, own - first);
  return row;
}

// Folding may close a cycle; the edges that close one are left out of the ranking.
function dropCycles(items, heads) {
  const state = new Map();
  for (const start of items) {
    const trail = state.has(start) ? [] : [[start, 0]];
    while (trail.length) {
      const top = trail[trail.length - 1];
      const [item, next] = top;
      state.set(item, "open");
      const found = heads.get(item);
      if (next === found.length) {
        state.set(item, "done");
        trail.pop();
      } else if (state.get(found[next]) === "open") {
        found.splice(next, 1);
      } else {
        top[1]++;
        if (!state.has(found[next])) trail.push([found[next], 0]);
      }
    }
  }
}

// Vertices in rows: items, the points where lines cross the frame's border, and bends of lines.
function makeGrid(level, shapes, title) {
  const ranks = rankItems(level);
  const titled = title ? 1 : 0;
  const leaving = [...level.nets.values()].some((net) => net.leaves) ? 1 : 0;
  const depth = 1 + Math.max(0, ...ranks.values());
  const rows = Array.from({ length: depth + titled + leaving }, () => []);
  const grid = { rows, titled, leaving, links: rows.slice(1).map(() => []), turns: [] };
  grid.entries = new Map();
  grid.exits = new Map();
  const add = (row, width, height, gap, more) => {
    const vertex = { row, width, height, gap, x: 0, above: [], below: [], bend: false, ...more };
    rows[row].push(vertex);
    return vertex;
  };
  const point = (net, row, bend) => add(row, 0, 0, LINE_GAP, { net, bend });
  const link = (upper, lower, net, from, to) => {
    const made = { upper, lower, net, from, to };
    grid.links[upper.row].push(made);
    upper.below.push(made);
    lower.above.push(made);
  };

  if (titled) add(0, title, STRIP, LINE_GAP, {});
  const vertices = new Map();
  for (const item of level.items) {
    const shape = shapes[item];
    const row = ranks.get(item) + titled;
    vertices.set(item, add(row, shape.width, shape.height, BOX_GAP, { item, shape }));
  }
  for (const [net, { start, heads, leaves }] of level.nets) {
    let last = start === null ? point(net, 0, false) : vertices.get(start);
    if (start === null) grid.entries.set(net, last);
    const origin = last;
    const ends = [...heads].map((head) => vertices.get(head));
    if (leaves) {
      grid.exits.set(net, point(net, rows.length - 1, false));
      ends.push(grid.exits.get(net));
    }
    const lowest = Math.max(...ends.map((end) => end.row));
    for (let row = origin.row + 1; row <= lowest; row++) {
      const from = last.shape?.outlets.get(net) ?? 0;
      for (const end of ends.filter((end) => end.row === row)) {
        link(last, end, net, from, end.shape?.inlets.get(net) ?? 0);
      }
      if (row < lowest) {
        const bend = point(net, row, true);
        link(last, bend, net, from, 0);
        last = bend;
      }
    }
    climb(grid, net, origin, ends.filter((end) => end.row <= origin.row), point, link);
  }
  return grid;
}

// A line to items above or beside its start: down, around the boxes, and up.
function climb(grid, net, origin, ends, point, link) {
  const highest = Math.min(origin.row + 1, ...ends.map((end) => end.row));
  let bend = null;
  for (let row = origin.row; row >= highest; row--) {
    const upper = point(net, row, true);
    if (bend === null) grid.turns.push({ net, vertex: origin, bend: upper, upward: false });
    else link(upper, bend, net, 0, 0);
    bend = upper;
    for (const end of ends.filter((end) => end.row === row)) {
      grid.turns.push({ net, vertex: end, bend, upward: true });
    }
  }
}

// ---- the order in each row -------------------------------------------------------------------

function orderRows(grid) {
  grid.rows = walkOrder(grid);
  let best = grid.rows, fewest = crossings(grid), patience = 0;
  for (let sweep = 0; sweep < SWEEPS && fewest && patience < 5; sweep++) {
    const downward = sweep % 2 === 0;
    grid.rows = grid.rows.map((row) => [...row]);
    const turns = grid.rows.map((_, index) => index);
    for (const index of downward ? turns : turns.reverse()) {
      sortRow(grid.rows, index, downward, sweep % 4 > 1);
    }
    const found = crossings(grid);
    patience++;
    if (found < fewest) [best, fewest, patience] = [grid.rows, found, 0];
  }
  grid.rows = best;
}

// The order in which a walk along the lines comes by, which leaves trees uncrossed.
function walkOrder(grid) {
  const rows = grid.rows.map(() => []), seen = new Set();
  for (const start of grid.rows.flat()) {
    const pending = [start];
    while (pending.length) {
      const vertex = pending.pop();
      if (seen.has(vertex)) continue;
      seen.add(vertex);
      rows[vertex.row].push(vertex);
      for (const { lower } of [...vertex.below].reverse()) pending.push(lower);
    }
  }
  return rows;
}

const fraction = (offset, vertex) => (vertex.width ? (0.9 * offset) / vertex.width : 0);

function sortRow(rows, index, downward, fromRight) {
  const reference = rows[index + (downward ? -1 : 1)];
  if (!reference) return;
  reference.forEach((vertex, place) => { vertex.place = place; });
  const key = new Map();
  for (const vertex of rows[index]) {
    const near = downward
      ? vertex.above.map(({ upper, from }) => upper.place + fraction(from, upper))
      : vertex.below.map(({ lower, to }) => lower.place + fraction(to, lower));
    if (near.length) key.set(vertex, near.reduce((a, b) => a + b) / near.length);
  }
  const movable = rows[index].filter((vertex) => key.has(vertex));
  if (fromRight) movable.reverse();
  movable.sort((a, b) => key.get(a) - key.get(b));
  rows[index] = rows[index].map((vertex) => (key.has(vertex) ? movable.shift() : vertex));
}

function crossings(grid) {
  for (const row of grid.rows) row.forEach((vertex, place) => { vertex.place = place; });
  let total = 0;
  for (const links of grid.links) {
    const ends = links.map(({ upper, lower, from, to }) =>
      [upper.place + fraction(from, upper), lower.place + fraction(to, lower)]);
    ends.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    const passed = [];
    for (const [, lower] of ends) {
      let low = 0, high = passed.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (passed[middle] <= lower) low = middle + 1;
        else high = middle;
      }
      total += passed.length - low;
      passed.splice(low, 0, lower);
    }
  }
  return total;
}

// ---- places in each row ----------------------------------------------------------------------

// Rows are settled up and down in turn: each vertex wants to stand at the weighted mean of its
// neighbours, and rows are the nearest places, by least squares, at which none overlap.
function placeRows(grid) {
  weigh(grid);
  const reach = (vertex) => vertex.width / 2 + vertex.gap;
  for (const row of grid.rows) {
    let at = -row.reduce((sum, vertex) => sum + reach(vertex), 0);
    for (const vertex of row) {
      vertex.x = at + reach(vertex);
      at += 2 * reach(vertex);
    }
  }
  for (let sweep = 0; sweep < SETTLING; sweep++) {
    const downward = sweep % 2 === 0;
    for (const row of downward ? grid.rows : [...grid.rows].reverse()) {
      settleRow(row, downward, sweep >= SETTLING - 2, reach);
    }
  }
  grid.rows.forEach(straighten);
}

// What is nearly under its main neighbour stands right under it, where there is room.
function straighten(row) {
  row.forEach((vertex, index) => {
    const main = vertex.above.filter((link) => link.weight >= MAIN);
    if (main.length !== 1) return;
    const [{ upper, from, to }] = main;
    const x = upper.x + from - to;
    const room = (other) => !other ||
      Math.abs(other.x - x) >= (other.width + vertex.width) / 2 + LINE_GAP;
    if (Math.abs(x - vertex.x) < NEARLY && room(row[index - 1]) && room(row[index + 1])) {
      vertex.x = x;
    }
  });
}

// How much each line wants to be straight: long lines and the main path most, weights least.
function weigh(grid) {
  const length = (vertex, links, end) => {
    let longest = 0;
    for (const link of links) longest = Math.max(longest, link[end].length);
    vertex.length = longest + (vertex.bend ? 0 : 1);
  };
  const flows = (vertex) => vertex.above.length > 0 || !vertex.width;
  const rank = (link, other) => (flows(link.upper) ? 4096 : 0) +
    (link[other].bend ? 0 : 2048) + Math.min(link[other].length, 2047);
  const vote = (links, other) => {
    const most = Math.max(...links.map((link) => rank(link, other)));
    for (const link of links) if (rank(link, other) < most) link.weight = 0.1;
  };
  for (const links of grid.links) {
    for (const link of links) link.weight = link.upper.bend && link.lower.bend ? 2 * MAIN : MAIN;
  }
  for (const row of grid.rows) for (const vertex of row) length(vertex, vertex.above, "upper");
  for (const vertex of grid.rows.flat()) vote(vertex.above, "upper");
  for (const row of [...grid.rows].reverse()) {
    for (const vertex of row) length(vertex, vertex.below, "lower");
  }
  for (const vertex of grid.rows.flat()) if (!vertex.bend) vote(vertex.below, "lower");
  for (const links of grid.links) {
    for (const link of links) if (!flows(link.upper)) link.weight = FAINT;
  }
}

// The lines that a vertex stands under or over: the main ones where there are any.
function mainLinks(links) {
  const main = links.filter((link) => link.weight >= MAIN);
  return main.length ? main : links;
}

function settleRow(row, downward, both, reach) {
  const pools = [];
  let packed = 0;
  for (const vertex of row) {
    let mean = 0, weight = 0;
    const pull = (link, x) => {
      mean += link.weight * x;
      weight += link.weight;
    };
    const above = mainLinks(vertex.above), below = mainLinks(vertex.below);
    if (downward || both) {
      for (const link of above) pull(link, link.upper.x + link.from - link.to);
    }
    if (!downward || both || !weight) {
      for (const link of below) pull(link, link.lower.x + link.to - link.from);
    }
    vertex.packed = packed + reach(vertex);
    packed += 2 * reach(vertex);
    let pool = {
      mean: (weight ? mean / weight : vertex.x) - vertex.packed,
      weight: weight || FAINT,
      count: 1,
    };
    while (pools.length && pools[pools.length - 1].mean > pool.mean) {
      const other = pools.pop();
      const sum = pool.weight + other.weight;
      pool = {
        mean: (pool.mean * pool.weight + other.mean * other.weight) / sum,
        weight: sum,
        count: pool.count + other.count,
      };
    }
    pools.push(pool);
  }
  let index = 0;
  for (const { mean, count } of pools) {
    for (const end = index + count; index < end; index++) row[index].x = row[index].packed + mean;
  }
}

// ---- lines -----------------------------------------------------------------------------------

// Lines stand upright where they pass a row, and bend only in the gaps between rows.
function drawLevel(grid) {
  const all = grid.rows.flat();
  const side = grid.titled ? SIDE : 0;
  const shift = side - Math.min(...all.map((vertex) => vertex.x - vertex.width / 2), Infinity);
  if (all.length) for (const vertex of all) vertex.x += shift;
  const width = Math.max(0, ...all.map((vertex) => vertex.x + vertex.width / 2)) + side;
  const { tops, bottoms, height } = stackRows(grid);
  const reached = new Set(grid.links.flat().map((link) => link.lower));
  for (const turn of grid.turns) if (turn.upward) reached.add(turn.vertex);
  const plan = {
    shape: { width, height, inlets: new Map(), outlets: new Map() },
    places: new Map(),
    parts: new Map(),
  };
  const partsOf = (net) => {
    if (!plan.parts.has(net)) plan.parts.set(net, { lines: [], tips: [] });
    return plan.parts.get(net);
  };
  const draw = (net, ...points) => partsOf(net).lines.push(points);
  const upright = (net, x, top, bottom) => {
    if (top < bottom) draw(net, [x, top], [x, top], [x, bottom], [x, bottom]);
  };
  const join = (arrival, vertex, end) => {
    const { net, start, turning } = arrival;
    const top = turning ? tops[vertex.row] : bottoms[vertex.row - 1];
    const middle = turning ? top - 0.9 * GAP : (top + end[1]) / 2;
    draw(net, [start, top], [start, middle], [end[0], middle], end);
  };

  for (const vertex of all) {
    // Items stand at the top of their row; those that nothing leads to, at the bottom.
    vertex.top = reached.has(vertex) ? tops[vertex.row] : bottoms[vertex.row] - vertex.height;
    vertex.arrivals = [];
    if (vertex.item !== undefined) {
      plan.places.set(vertex.item, [vertex.x - vertex.width / 2, vertex.top]);
    } else if (vertex.net !== undefined) {
      upright(vertex.net, vertex.x, tops[vertex.row], bottoms[vertex.row]);
    }
  }
  const leave = (net, vertex, x) =>
    upright(net, x, vertex.top + vertex.height, bottoms[vertex.row]);
  for (const { upper, lower, net, from } of grid.links.flat()) {
    if (upper.item !== undefined) leave(net, upper, upper.x + from);
    lower.arrivals.push({ net, start: upper.x + from, turning: false });
  }
  for (const { net, vertex, bend, upward } of grid.turns) {
    if (upward) {
      vertex.arrivals.push({ net, start: bend.x, turning: true });
    } else {
      const start = vertex.x + (vertex.shape.outlets.get(net) ?? 0), low = bottoms[vertex.row];
      leave(net, vertex, start);
      draw(net, [start, low], [start, low + 0.9 * GAP], [bend.x, low + 0.9 * GAP], [bend.x, low]);
    }
  }
  for (const vertex of all) {
    const ending = vertex.arrivals.filter(({ net }) => {
      return vertex.item !== undefined && !vertex.shape.inlets.has(net);
    });
    for (const arrival of vertex.arrivals.filter((arrival) => !ending.includes(arrival))) {
      const inlet = vertex.shape?.inlets.get(arrival.net) ?? 0;
      join(arrival, vertex, [vertex.x + inlet, tops[vertex.row]]);
    }
    ending.sort((a, b) => a.start - b.start);
    const ends = spread(vertex, ending.map(({ start }) => start));
    ending.forEach((arrival, index) => {
      join(arrival, vertex, [ends[index], vertex.top - ARROW]);
      partsOf(arrival.net).tips.push([ends[index], vertex.top]);
    });
  }
  for (const [net, port] of grid.entries) plan.shape.inlets.set(net, port.x - width / 2);
  for (const [net, port] of grid.exits) plan.shape.outlets.set(net, port.x - width / 2);
  return plan;
}

// Where lines end on a box: apart, one from right above at the middle.
function spread(vertex, starts) {
  if (!starts.length) return [];
  const straight = starts.findIndex((start) => Math.abs(start - vertex.x) < 2);
  const centre = straight >= 0 ? straight : (starts.length - 1) / 2;
  const aside = Math.max(centre, starts.length - 1 - centre);
  const step = Math.min(12, vertex.shape.face / (2 * aside + 1));
  return starts.map((_, index) => vertex.x + step * (index - centre));
}

// Where each row begins and ends: gaps grow with how far lines lead aside.
function stackRows(grid) {
  const last = grid.rows.length - 1, tops = [], bottoms = [];
  const turning = (row, upward) =>
    grid.turns.some((turn) => turn.bend.row === row && turn.upward === upward);
  let y = turning(0, true) ? GAP : 0;
  grid.rows.forEach((row, index) => {
    if (index) {
      const border = (index === 1 && grid.titled) || (index === last && grid.leaving);
      const aside = grid.links[index - 1].map(({ upper, lower, from, to }) =>
        Math.abs(upper.x + from - lower.x - to));
      y += (border ? BORDER : GAP) + Math.min(SLANT * Math.max(0, ...aside), GAP);
    }
    tops.push(y);
    y += Math.max(0, ...row.map((vertex) => vertex.height));
    bottoms.push(y);
  });
  if (turning(last, false)) y += GAP;
  else if (grid.titled && !grid.leaving) y += SIDE;
  return { tops, bottoms, height: y };
}
