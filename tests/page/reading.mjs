// What the tests of pages share: the browser, the screens, and whether a page can be read.

import path from "node:path";

export const SHOTS = path.resolve(import.meta.dirname, "../../target/page");
export const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"];
export const DESKTOP = { width: 1280, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** Runs in the page: text too dim for its ground (WCAG AA, 4.5 to 1), what is wider than the screen, and the outline. */
export function readability() {
  const rgb = (text) => text.match(/[\d.]+/g).map(Number);
  const luminance = (color) => color.slice(0, 3).map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const groundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color.length === 3 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const dim = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
    const style = getComputedStyle(element);
    const ink = luminance(rgb(element instanceof SVGElement ? style.fill : style.color));
    const ground = luminance(groundOf(element));
    const contrast = (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    if (contrast < 4.5) dim.push(`${walker.currentNode.textContent.trim().slice(0, 30)}: ${contrast.toFixed(2)}`);
  }
  return {
    dim: [...new Set(dim)],
    wider: Math.max(document.documentElement.scrollWidth - innerWidth, 0),
    headings: [...document.querySelectorAll("h1, h2, h3")].map((heading) => heading.tagName),
    unlabelled: [...document.querySelectorAll("svg")].filter((chart) => chart.getAttribute("role") !== "img" || !chart.getAttribute("aria-label")).length,
    bareTables: [...document.querySelectorAll("table")].filter((table) => !table.caption || !table.querySelector("th[scope=col]")).length,
  };
}
