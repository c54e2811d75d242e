// What the report does beside being read: search and filters, links that open what they lead to, the picture of what waits for what.
// All that it shows is in the page already or in its data, and gets into the page as text, never as markup.
"use strict";

const at = (id) => document.getElementById(id);
const plural = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

// --- Search and filters

const changes = [...document.querySelectorAll(".change")];
const phases = [...document.querySelectorAll(".phase")];
const form = document.querySelector(".controls");
const filters = { action: at("by-action"), phase: at("by-phase"), rank: at("by-rank") };

// What is searched is read once, when somebody searches: it is all the text there is.
let texts = null;
const text_of = (n) => {
  texts ??= changes.map((change) => change.textContent.toLowerCase());
  return texts[n];
};

function filter() {
  const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  const wanted = Object.entries(filters).filter(([, select]) => select.value !== "");
  const found_only = at("by-findings").checked;
  const shown = new Map();
  let count = 0;
  changes.forEach((change, n) => {
    const fits =
      wanted.every(([name, select]) => change.dataset[name] === select.value) &&
      (!found_only || "findings" in change.dataset) &&
      words.every((word) => text_of(n).includes(word));
    if (change.hidden === fits) change.hidden = !fits;
    if (!fits) return;
    count += 1;
    shown.set(change.dataset.phase, (shown.get(change.dataset.phase) ?? 0) + 1);
  });
  for (const phase of phases) phase.hidden = !shown.has(phase.dataset.phase);
  const all = plural(changes.length, "change");
  at("matches").textContent = count === changes.length ? `${all}, all shown` : `${count} of ${all} shown`;
}

function clear() {
  form.reset();
  filter();
}

// Opening thousands at once would have to lay out all of them.
const MOST_OPENED = 300;

if (form) {
  form.hidden = false;
  let asked = 0;
  const soon = () => {
    cancelAnimationFrame(asked);
    asked = requestAnimationFrame(filter);
  };
  form.addEventListener("input", soon);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  at("open-all").addEventListener("click", () => {
    const closed = changes.filter((change) => !change.hidden && !change.open);
    for (const change of closed.slice(0, MOST_OPENED)) change.open = true;
    if (closed.length > MOST_OPENED) {
      at("matches").textContent = `${MOST_OPENED} were opened, ${closed.length - MOST_OPENED} are still closed: search for fewer`;
    }
  });
  at("close-all").addEventListener("click", () => changes.forEach((change) => (change.open = false)));
  filter();
}

document.addEventListener("keydown", (event) => {
  const writes = event.target.closest?.("input, select, textarea");
  if (event.key === "/" && form && !writes && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    at("search").focus();
    at("search").select();
  } else if (event.key === "Escape" && event.target.id === "search") {
    event.target.value = "";
    filter();
  }
});

// --- Links to a change open it, and show it where a filter hides it

function follow() {
  const target = at(decodeURIComponent(location.hash.slice(1)));
  if (!target?.classList.contains("change")) return;
  if (target.hidden) clear();
  target.open = true;
  target.scrollIntoView({ block: "start" });
  target.querySelector("summary").focus({ preventScroll: true });
}
addEventListener("hashchange", follow);
// A link to where one is already changes no address.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#c']");
  if (link && link.getAttribute("href") === location.hash) follow();
});
if (location.hash) follow();

// --- Paper has no clicks: everything is open while it is printed

let closed = [];
addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const one of closed) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of closed) one.open = false;
  closed = [];
});

// --- The picture

const ROW = 30;
const HEIGHT = 24;
const TOP = 44;
const GAP = 72;
const CHARACTER = 7.9;
const INDENT = 14;
const DEEPEST = 4;
/* Longer names show their beginning, which says of what kind they are, and their end, which tells them apart. */
const LONGEST = 34;
const BEGINNING = 12;
/* So many of a phase are drawn, and so many more each time somebody asks. */
const FOLDED = 30;
/* More edges than these would be a grey surface: then only those of what is chosen are drawn. */
const EDGES = 400;

function svg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function element(name, ...children) {
  const made = document.createElement(name);
  made.append(...children);
  return made;
}

function short(name) {
  const letters = [...name];
  if (letters.length <= LONGEST) return name;
  return `${letters.slice(0, BEGINNING).join("")}…${letters.slice(BEGINNING + 1 - LONGEST).join("")}`;
}

class Picture {
  constructor(data, place) {
    this.place = place;
    this.nodes = data.nodes.map(([name, phase, declaration, kind, sign, word, points, change], id) => {
      return { id, name, phase, declaration, kind, sign, word, points, change };
    });
    this.after = data.declarations;
    this.users = data.declarations.map(() => []);
    this.after.forEach((used, user) => used.forEach((one) => this.users[one].push(user)));
    this.of = data.declarations.map(() => []);
    for (const node of this.nodes) this.of[node.declaration].push(node);
    this.columns = data.phases.map((phase, n) => ({ name: phase.name, room: FOLDED, nodes: this.nodes.filter((node) => node.phase === n) }));
    this.columns = this.columns.filter((column) => column.nodes.length > 0);
    this.depths = this.depth();
    this.chosen = null;
    this.draw();
  }

  // How deep a thing stands within its phase: by what of the same phase it waits for.
  depth() {
    const phase = this.of.map((nodes) => nodes[0]?.phase);
    const depths = this.after.map(() => -1);
    for (let first = 0; first < depths.length; first += 1) {
      // Without recursion: a chain may be as long as the plan.
      const todo = [first];
      while (todo.length > 0) {
        const one = todo[todo.length - 1];
        const own = this.after[one].filter((used) => phase[used] === phase[one] && used !== one);
        const open = own.filter((used) => depths[used] === -1);
        if (open.length > 0 && todo.length <= depths.length) todo.push(...open);
        else {
          todo.pop();
          if (depths[one] === -1) depths[one] = own.reduce((most, used) => Math.max(most, depths[used] + 1), 0);
        }
      }
    }
    return depths;
  }

  // What a column shows: changes first and the riskier first, then in the plan's order.
  visible(column) {
    if (column.nodes.length <= column.room) return column.nodes;
    const points = (node) => (node.change === undefined ? -1 : node.points);
    const chosen = [...column.nodes].sort((a, b) => points(b) - points(a) || a.id - b.id).slice(0, column.room);
    return chosen.sort((a, b) => a.id - b.id);
  }

  draw() {
    const root = svg("svg", { role: "group", "aria-label": "What waits for what" });
    const edges = root.appendChild(svg("g", { "aria-hidden": "true" }));
    this.groups = new Map();
    this.places = new Map();
    this.order = [];
    let x = 16;
    let height = 0;
    for (const column of this.columns) {
      const shown = this.visible(column);
      const more = column.nodes.length - shown.length;
      const indent = (node) => Math.min(this.depths[node.declaration], DEEPEST) * INDENT;
      const wide = (node) => indent(node) + 40 + Math.min(node.name.length, LONGEST) * CHARACTER;
      const width = Math.ceil(Math.max(150, column.name.length * 9 + 24, ...shown.map(wide)));
      const tall = TOP + (shown.length + (more > 0 ? 1 : 0)) * ROW;
      root.append(svg("rect", { class: "column", x, y: 8, width: width + 16, height: tall, rx: 4 }));
      root.append(svg("text", { class: "title", x: x + 8, y: 30 }, `${column.name} (${column.nodes.length})`));
      const list = [];
      shown.forEach((node, row) => {
        const [left, top] = [x + 8 + indent(node), TOP + row * ROW];
        const group = svg("g", {
          class: `node ${node.kind}`,
          role: "button",
          tabindex: "-1",
          "aria-pressed": "false",
          "aria-label": `${node.name}, ${node.word ?? "as declared"}`,
        });
        const inner = width - indent(node);
        group.append(svg("title", {}, node.name), svg("rect", { x: left, y: top, width: inner, height: HEIGHT, rx: 3 }));
        group.append(svg("text", { class: "mark", x: left + 7, y: top + 16.5 }, node.sign ?? ""));
        const window = svg("svg", { x: left + 34, y: top, width: inner - 38, height: HEIGHT });
        window.append(svg("text", { x: 0, y: 16.5 }, short(node.name)));
        group.append(window);
        group.addEventListener("click", () => this.choose(node));
        this.groups.set(node, group);
        this.places.set(node, { left, right: left + inner, y: top + HEIGHT / 2 });
        list.push(group);
        root.append(group);
      });
      if (more > 0) {
        const top = TOP + shown.length * ROW;
        const label = `${Math.min(more, FOLDED)} more of ${more}`;
        const group = svg("g", { class: "node more", role: "button", tabindex: "-1", "aria-label": `show ${label} in ${column.name}` });
        group.append(svg("rect", { x: x + 8, y: top, width, height: HEIGHT }), svg("text", { x: x + 15, y: top + 16.5 }, `show ${label}`));
        group.addEventListener("click", () => {
          column.room += FOLDED;
          const focused = this.place.contains(document.activeElement);
          this.draw();
          if (focused) this.focus(this.order[this.columns.indexOf(column)]?.at(-1));
        });
        list.push(group);
        root.append(group);
      }
      this.order.push(list);
      x += width + 16 + GAP;
      height = Math.max(height, tall + 16);
    }
    root.setAttribute("width", x - GAP + 16);
    root.setAttribute("height", height);
    this.root = root;
    this.edges = edges;
    const first = this.order[0]?.[0];
    first?.setAttribute("tabindex", "0");
    root.addEventListener("keydown", (event) => this.key(event));
    this.place.replaceChildren(root);
    this.mark();
  }

  // Everything that is reached from a declaration, itself left out.
  reach(from, next) {
    const seen = new Set();
    const todo = [...next[from]];
    while (todo.length > 0) {
      const one = todo.pop();
      if (one === from || seen.has(one)) continue;
      seen.add(one);
      todo.push(...next[one]);
    }
    return seen;
  }

  choose(node) {
    this.chosen = this.chosen === node ? null : node;
    this.mark();
    this.tell();
  }

  mark() {
    const chosen = this.chosen;
    const before = chosen ? this.reach(chosen.declaration, this.after) : new Set();
    const after = chosen ? this.reach(chosen.declaration, this.users) : new Set();
    this.root.classList.toggle("choosing", chosen !== null);
    for (const [node, group] of this.groups) {
      group.setAttribute("aria-pressed", String(node === chosen));
      group.classList.toggle("chosen-node", node === chosen);
      group.classList.toggle("before", before.has(node.declaration));
      group.classList.toggle("after", after.has(node.declaration));
    }
    this.lines(before, after);
  }

  lines(before, after) {
    const own = this.chosen?.declaration;
    const upward = (one) => one === own || before.has(one);
    const downward = (one) => one === own || after.has(one);
    const drawn = [];
    let all = 0;
    for (const [user, to] of this.places) {
      for (const used of this.after[user.declaration]) {
        const kind = own === undefined ? "" : upward(used) && upward(user.declaration) ? "before" : downward(used) && downward(user.declaration) ? "after" : "";
        for (const node of this.of[used]) {
          const from = this.places.get(node);
          if (!from) continue;
          all += 1;
          if (kind || drawn.length <= EDGES) drawn.push({ from, to, kind });
        }
      }
    }
    const told = all > EDGES ? drawn.filter((edge) => edge.kind) : drawn;
    this.edges.replaceChildren(...told.slice(0, 4 * EDGES).map(({ from, to, kind }) => svg("path", { class: `edge ${kind}`, d: this.curve(from, to) })));
  }

  curve(from, to) {
    // Within a column an arc on its right side, between columns from the right side to the left.
    if (to.left > from.right) {
      const bend = (to.left - from.right) / 2;
      return `M${from.right},${from.y} C${from.right + bend},${from.y} ${to.left - bend},${to.y} ${to.left},${to.y}`;
    }
    const far = Math.max(from.right, to.right) + 14 + Math.min(40, Math.abs(to.y - from.y) / 8);
    return `M${from.right},${from.y} C${far},${from.y} ${far},${to.y} ${to.right},${to.y}`;
  }

  // The same in words, below the picture.
  tell() {
    const place = at("chosen");
    const node = this.chosen;
    if (!node) return place.replaceChildren();
    const named = (declarations) => {
      const names = [...declarations].sort((a, b) => a - b).flatMap((one) => this.of[one]).map((one) => one.name);
      const more = names.length > 12 ? ` and ${names.length - 12} more` : "";
      return names.length === 0 ? "nothing" : names.slice(0, 12).join(", ") + more;
    };
    const head = element("p", element("code", node.name), `: ${node.word ?? "as declared"}. `);
    if (node.change !== undefined) {
      const link = element("a", "Show the change");
      link.setAttribute("href", `#c${node.change}`);
      head.append(link);
    }
    const before = this.reach(node.declaration, this.after);
    const after = this.reach(node.declaration, this.users);
    place.replaceChildren(head, element("p", `Waits for ${named(before)}.`), element("p", `Waited for by ${named(after)}.`));
  }

  key(event) {
    const column = this.order.findIndex((list) => list.includes(event.target));
    if (column === -1) return;
    const row = this.order[column].indexOf(event.target);
    const beside = (n) => this.order[n]?.[Math.min(row, this.order[n].length - 1)];
    const next = {
      ArrowUp: () => this.order[column][row - 1],
      ArrowDown: () => this.order[column][row + 1],
      ArrowLeft: () => beside(column - 1),
      ArrowRight: () => beside(column + 1),
      Home: () => this.order[column][0],
      End: () => this.order[column].at(-1),
    }[event.key];
    if (next) {
      event.preventDefault();
      this.focus(next());
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.target.dispatchEvent(new MouseEvent("click"));
    }
  }

  focus(group) {
    if (!group) return;
    this.root.querySelector("[tabindex='0']")?.setAttribute("tabindex", "-1");
    group.setAttribute("tabindex", "0");
    group.focus();
  }
}

const data = at("graph-data");
if (data) {
  const place = at("picture");
  place.hidden = false;
  new Picture(JSON.parse(data.textContent), place);
}
