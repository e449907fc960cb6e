"use strict";
(() => {
  const PAPER = { width: 640, height: 300 }; // pixels of curves on A4 or Letter, upright

  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const toDark = read("colours");
  const toLight = Object.fromEntries(Object.entries(toDark).map((pair) => pair.reverse()));
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const paper = matchMedia("print");
  const plots = [...document.querySelectorAll(".plot")];
  const inputs = [...document.querySelectorAll("input[name=axis]")];
  const axes = new Map();
  let drawn = "light";
  let printing = false;
  let folded = [];

  // Returns a copy in which every colour of the theme is the other scheme's. Only what is under the
  // name of a colour is looked at: a class may be called #ffffff.
  const recoloured = (value, map, isColour = false) => {
    if (typeof value === "string") return isColour ? map[value] ?? value : value;
    if (value === null || typeof value !== "object" || ArrayBuffer.isView(value)) return value;
    if (Array.isArray(value)) {
      const plain = !isColour && typeof value[0] !== "object";
      return plain ? value : value.map((each) => recoloured(each, map, isColour));
    }
    return Object.fromEntries(
      Object.entries(value).map(([key, each]) => [
        key,
        recoloured(each, map, /color(scale|way)?$/.test(key)),
      ]),
    );
  };

  const paint = () => {
    const wanted = dark.matches && !printing ? "dark" : "light";
    if (wanted === drawn) return;
    drawn = wanted;
    const map = wanted === "dark" ? toDark : toLight;
    for (const div of plots) {
      Plotly.react(div, recoloured(div.data, map), recoloured(div.layout, map));
    }
  };

  // Gives every figure the size of its place. Plotly puts a legend whose rows change on the data;
  // drawing once more puts it right.
  const fit = () => {
    for (const div of plots) {
      const height = div.closest(".curves") ? PAPER.height : div.clientHeight;
      const onPaper = { autosize: false, width: PAPER.width, height };
      const onScreen = { autosize: true, width: null, height: null };
      Plotly.relayout(div, printing ? onPaper : onScreen);
      Plotly.redraw(div);
    }
  };

  const toPaper = (onPaper) => {
    if (onPaper === printing) return;
    printing = onPaper;
    if (onPaper) folded = [...document.querySelectorAll("details:not([open])")];
    for (const each of folded) each.open = onPaper;
    paint();
    fit();
  };

  const turn = () => {
    const chosen = inputs.find((input) => input.checked);
    for (const [div, buttons] of axes) Plotly.update(div, ...buttons[chosen.value].args);
  };

  for (const div of plots) {
    const { data, layout, frames } = read(`${div.id}-json`);
    if (layout.updatemenus && !frames) {
      axes.set(div, layout.updatemenus[0].buttons);
      delete layout.updatemenus; // one switch for all figures is in the page
    }
    if (matchMedia("(pointer: coarse), (max-width: 40rem)").matches) layout.dragmode = false; // a finger scrolls
    Plotly.newPlot(div, { data, layout, frames, config: { displayModeBar: false } });
  }
  for (const input of inputs) input.addEventListener("change", turn);
  let width = innerWidth;
  addEventListener("resize", () => {
    if (width === innerWidth || printing) return; // a phone's address bar changes the height only
    width = innerWidth;
    fit();
  });
  dark.addEventListener("change", paint);
  paper.addEventListener("change", () => toPaper(paper.matches));
  addEventListener("beforeprint", () => toPaper(true));
  addEventListener("afterprint", () => toPaper(false));
  paint();
  toPaper(paper.matches);
})();
