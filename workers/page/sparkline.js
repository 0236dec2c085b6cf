// The series of an alert around its spike: a line, the stretch of the spike, and what was expected.

import { countOf } from "./series.js";

const SVG = "http://www.w3.org/2000/svg";
const MINUTE = 60;
const BEFORE = 90 * MINUTE;
const AFTER = 20 * MINUTE;
const WIDTH = 180;
const HEIGHT = 40;
const drawn = new Map(); // key → points, so that a row that is drawn again asks for nothing

/** Fill an element with the series, as soon as it has been read. */
export async function drawSparkline(element, alert) {
  const window = windowOf(alert);
  const key = JSON.stringify([alert.id, alert.sequence]);
  try {
    if (!drawn.has(key)) drawn.set(key, await pointsOf(alert, window));
  } catch {
    return; // the figures beside it say the same
  }
  const points = drawn.get(key);
  if (points.some(([, value]) => value !== null)) element.replaceChildren(picture(points, alert, window));
}

function windowOf(alert) {
  const onset = Date.parse(alert.onset) / 1000;
  const end = Date.parse(alert.cleared_at ?? alert.updated_at) / 1000;
  const step = end - onset > 3 * 3600 ? 15 * MINUTE : MINUTE;
  const from = Math.floor((onset - BEFORE) / step) * step;
  return { onset, end, step, from, to: Math.ceil((end + (alert.cleared_at ? AFTER : 0)) / step) * step };
}

async function pointsOf(alert, { from, to, step }) {
  const query = new URLSearchParams({ track: alert.track, from, to, step });
  const response = await fetch(`/api/v1/series?${query}`);
  const { buckets = [] } = response.ok ? await response.json() : {};
  const counts = new Map(buckets.map((bucket) => [bucket.start, bucket.counts]));
  const starts = Array.from({ length: Math.round((to - from) / step) }, (_, at) => from + at * step);
  return starts.map((start) => [start, valueOf(counts.get(start), alert, step)]);
}

/** The share of the emotion or polarity, or posts a minute; a minute without posts has no share. */
function valueOf(counts, alert, step) {
  if (alert.unit === "posts") return ((counts?.posts ?? 0) * MINUTE) / step;
  if (!counts?.posts) return null;
  const [kind, name] = alert.series.split(":");
  return countOf(counts, kind === "emotion" ? "emotions" : "polarity", name) / counts.posts;
}

function picture(points, alert, { onset, end, step, from, to }) {
  const most = Math.max(alert.high, alert.observed, ...points.map(([, value]) => value ?? 0)) * 1.05 || 1;
  const x = (seconds) => (((seconds - from) / (to - from)) * WIDTH).toFixed(1);
  const y = (value) => (HEIGHT - (Math.max(0, value) / most) * HEIGHT).toFixed(1);
  const band = { x: 0, width: WIDTH, y: y(alert.high), height: y(Math.max(0, alert.low)) - y(alert.high) };
  const spike = { x: x(onset), width: Math.max(2, x(Math.max(end, onset + step)) - x(onset)), y: 0, height: HEIGHT };
  let pen = "M";
  const line = points.map(([start, value]) => {
    if (value === null) {
      pen = "M";
      return "";
    }
    const part = `${pen}${x(start + step / 2)} ${y(value)}`;
    pen = "L";
    return part;
  }).join("");
  return node("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    node("rect", { class: "spark-spike", ...spike }),
    node("rect", { class: "spark-expected", ...band }),
    node("path", { class: "spark-line", d: line, "vector-effect": "non-scaling-stroke" }));
}

function node(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
