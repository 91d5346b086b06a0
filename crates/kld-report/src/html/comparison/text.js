"use strict";
// The text, token by token. How the data is packed: see text/pack.rs.
(() => {
  const holder = document.getElementById("text-data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const home = document.getElementById("text");
  const aside = document.getElementById("token");
  const NOT_FINITE = 65535;

  // Reading what is packed.
  const reader = (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    let at = 0;
    const u16 = () => bytes[at++] | (bytes[at++] << 8);
    const number = () => {
      let value = 0, scale = 1, byte;
      do { byte = bytes[at++]; value += (byte & 127) * scale; scale *= 128; } while (byte > 127);
      return value;
    };
    const expected = () => {
      const prob = (nll) => (nll === NOT_FINITE ? NaN : Math.exp(-nll / 1000));
      const observed = prob(u16());
      const rank = number();
      const likely = Array.from({ length: number() }, () => ({ token: number(), prob: prob(u16()) }));
      return { observed, rank, likely };
    };
    return { u16, number, expected };
  };
  const total = data.stretches.reduce((sum, stretch) => sum + stretch.pieces.length, 0);
  const all = (base64, read) => {
    const from = reader(base64);
    return Array.from({ length: total }, () => read(from));
  };
  const reference = all(data.reference, (from) => ({ token: from.number(), ...from.expected() }));
  const kl = (code) => (code === NOT_FINITE ? Infinity : code === 0 ? 0 : Math.exp((code - 40000) / 1000));
  const read = {};
  const candidate = (index) =>
    (read[index] ??= all(data.candidates[index], (from) => ({ kl: kl(from.u16()), ...from.expected() })));

  // The tokens as elements.
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const tokens = [];
  const places = [];
  const content = document.createDocumentFragment();
  for (const stretch of data.stretches) {
    if (stretch.fragment !== null) content.append(element("h3", "", stretch.fragment));
    if (stretch.context !== null) {
      content.append(element("span", "gap", `window ${stretch.window}`), element("span", "context", stretch.context));
    }
    for (const piece of stretch.pieces) {
      const token = element("b", "", piece);
      token.tabIndex = -1;
      token.dataset.index = tokens.length;
      tokens.push(token);
      places.push(stretch.window);
      content.append(token);
    }
  }
  home.append(content);
  const shape = tokens.map((token) => {
    const text = token.textContent;
    return text === "" ? "part" : /^\s*\n\s*$/.test(text) ? "line" : "";
  });

  // Colours.
  let rows = [];
  const step = (value) => data.edges.filter((edge) => value >= edge).length;
  const colour = () => {
    rows.forEach((row, index) => {
      const [p, q] = [reference[index].likely[0], row.likely[0]];
      const differ = p && q && p.token !== q.token ? " differ" : "";
      const heat = Number.isFinite(row.kl) ? ` k${step(row.kl)}` : " not-finite";
      tokens[index].className = shape[index] + heat + differ;
    });
  };

  // What is told of one token. Texts are hostile: they only ever become text.
  const digits = (value) => (value === 0 ? "0" : value < 1e-4 ? value.toExponential(2) : value.toPrecision(3));
  const percent = (prob) => (Number.isNaN(prob) ? "–" : prob >= 0.0005 ? `${(100 * prob).toFixed(1)} %` : `${digits(100 * prob)} %`);
  const model = (title, side, came) => {
    const box = element("div");
    box.append(element("div", "name", title));
    const list = element("ol");
    for (const { token, prob } of side.likely) {
      const item = element("li", token === came ? "came" : "");
      const bar = element("i");
      bar.style.width = `${100 * prob}%`;
      item.append(bar, element("code", "", data.vocabulary[token]), element("span", "", percent(prob)));
      list.append(item);
    }
    box.append(list);
    return box;
  };
  let current = 0;
  const show = (index) => {
    tokens[current].classList.remove("chosen");
    tokens[current].tabIndex = -1;
    current = index;
    tokens[current].classList.add("chosen");
    tokens[current].tabIndex = 0;
    const [p, q] = [reference[index], rows[index]];
    const facts = element("dl");
    const fact = (name, value) => facts.append(element("dt", "", name), element("dd", "", value));
    fact("KL(P‖Q)", Number.isFinite(q.kl) ? `${digits(q.kl)} nats` : "not finite");
    fact("it has in P", `${percent(p.observed)}, rank ${p.rank || "–"}`);
    fact("in Q", `${percent(q.observed)}, rank ${q.rank || "–"}`);
    fact("window", places[index]);
    const models = element("div", "models");
    models.append(model("P expected", p, p.token), model("Q expected", q, p.token));
    aside.replaceChildren(element("h3", "", data.vocabulary[p.token]), facts, models);
  };

  // Pointing, and going by keyboard.
  const indexOf = (target) => (target.dataset?.index === undefined ? undefined : Number(target.dataset.index));
  const pointed = (event) => {
    const index = indexOf(event.target);
    if (index !== undefined) show(index);
  };
  home.addEventListener("mouseover", pointed);
  home.addEventListener("focusin", pointed);
  home.addEventListener("click", (event) => indexOf(event.target) !== undefined && event.target.focus());
  const far = (from, by) => {
    const least = data.edges.length - 1;
    for (let index = from + by; index >= 0 && index < total; index += by) {
      if (step(rows[index].kl) >= least) return index;
    }
    return from;
  };
  const moves = {
    ArrowLeft: () => Math.max(current - 1, 0),
    ArrowRight: () => Math.min(current + 1, total - 1),
    ArrowUp: () => far(current, -1),
    ArrowDown: () => far(current, 1),
    Home: () => 0,
    End: () => total - 1,
  };
  home.addEventListener("keydown", (event) => {
    const move = moves[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    tokens[move()].focus();
  });

  const choose = (index) => {
    rows = candidate(index);
    colour();
    if (tokens[current].classList.contains("chosen") || aside.querySelector("h3")) show(current);
  };
  document.addEventListener("choose", (event) => choose(event.detail));
  choose(0);
  tokens[0].tabIndex = 0;
})();
