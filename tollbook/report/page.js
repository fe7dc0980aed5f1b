"use strict";
(async () => {
  const slots = [...document.querySelectorAll("[data-figure]")];
  const published = document.querySelector("#published");
  if (published && published.dateTime) {
    const hours = Math.max(0, (Date.now() - Date.parse(published.dateTime)) / 3600000);
    const [number, unit] = hours < 48 ? [hours, "hour"] : [hours / 24, "day"];
    const rounded = Math.floor(number);
    document.querySelector("#age").textContent =
      rounded < 1 ? "less than an hour ago" : `${rounded} ${unit}${rounded === 1 ? "" : "s"} ago`;
    document.querySelector("#age").classList.toggle("old", hours > 48);
  }
  if (!slots.length) return;

  const unpack = async (packed) => {
    const bytes = Uint8Array.from(atob(packed.trim()), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  // "var(--name)" under a key that ends in "color" stands for the page's colour of that name
  const coloured = (value, styles, isColour = false) => {
    if (Array.isArray(value)) return value.map((item) => coloured(item, styles, isColour));
    if (value && typeof value === "object")
      return Object.fromEntries(
        Object.entries(value).map(([key, item]) => [key, coloured(item, styles, /color$/i.test(key))]));
    const name = isColour && typeof value === "string" && /^var\((--[a-z0-9-]+)\)$/.exec(value);
    return name ? styles.getPropertyValue(name[1]).trim() : value;
  };

  try {
    const figures = JSON.parse(document.querySelector("#figures").textContent);
    const library = document.createElement("script");
    library.textContent = await unpack(document.querySelector("#library").textContent);
    document.head.append(library);

    const draw = () => {
      const styles = getComputedStyle(document.documentElement);
      for (const slot of slots) {
        const { data, layout } = coloured(figures[slot.dataset.figure], styles);
        const narrow = slot.clientWidth < 560;
        layout.width = slot.clientWidth;
        for (const trace of data) {
          if (trace.type === "sankey") {
            trace.node.label = narrow ? trace.meta.narrow : trace.meta.wide;
            trace.textfont = { color: styles.getPropertyValue("--ink").trim(), size: narrow ? 11 : 13, shadow: "none" };
          }
        }
        if (narrow) layout.font.size = 11;
        if (!slot.classList.contains("drawn")) slot.replaceChildren();
        slot.classList.add("drawn");
        Plotly.react(slot, data, layout, { displayModeBar: false, displaylogo: false });
      }
    };
    draw();
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth !== width) { width = innerWidth; draw(); }
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  } catch (error) {
    for (const slot of slots)
      slot.textContent = "This picture needs a newer browser; the tables hold the same numbers.";
    throw error;
  }
})();
