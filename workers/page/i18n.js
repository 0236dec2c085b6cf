// Messages, numbers and times in the language of the page. Times are UTC in both.

const LANGUAGES = ["en", "zh"];
const LOCALES = { en: "en-GB", zh: "zh-CN" };
const KEY = "weathervane.language";

let language = "en";
let messages = {};

/** The language asked for by the address, else chosen before, else the browser's first known. */
export function preferredLanguage() {
  const asked = [new URLSearchParams(location.search).get("lang"), localStorage.getItem(KEY)];
  const offered = [...asked, ...navigator.languages].filter(Boolean);
  return offered.map((tag) => tag.slice(0, 2).toLowerCase()).find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

/** Load a language and put it into every element that names a message. */
export async function useLanguage(tag, remember = false) {
  const response = await fetch(`/page/i18n/${tag}.json`);
  messages = await response.json();
  language = tag;
  if (remember) localStorage.setItem(KEY, tag);
  document.documentElement.lang = tag === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-i18n]")) {
    node.textContent = t(node.dataset.i18n);
  }
  for (const node of document.querySelectorAll("[data-i18n-label]")) {
    node.setAttribute("aria-label", t(node.dataset.i18nLabel));
  }
  for (const node of document.querySelectorAll("[data-language]")) {
    node.setAttribute("aria-pressed", String(node.dataset.language === tag));
  }
}

/** The message of a key, with its {places} filled in. */
export function t(key, values = {}) {
  const message = messages[key] ?? key;
  return message.replace(/\{(\w+)\}/g, (place, name) => values[name] ?? place);
}

/** The message of a key, or the fallback where there is none. */
export function tOr(key, fallback) {
  return messages[key] ?? fallback;
}

export function number(value, digits = 0) {
  return new Intl.NumberFormat(LOCALES[language], {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

/** A share as a whole per cent; below 1 with one digit, so that a rare thing is not shown as none. */
export function percent(part, whole) {
  if (!whole) return "–";
  const value = part / whole;
  const digits = value > 0 && value < 0.01 ? 1 : 0;
  return new Intl.NumberFormat(LOCALES[language], {
    style: "percent",
    maximumFractionDigits: digits,
  }).format(value);
}

/** A number with its sign: a true minus, and no sign at zero. */
export function signed(value) {
  const text = number(Math.abs(value), 2);
  if (Number(Math.abs(value).toFixed(2)) === 0) return text;
  return (value > 0 ? "+" : "−") + text;
}

function time(seconds, options) {
  return new Intl.DateTimeFormat(LOCALES[language], { timeZone: "UTC", hourCycle: "h23", ...options })
    .format(new Date(seconds * 1000));
}

const CLOCK = { hour: "2-digit", minute: "2-digit" };
const DAY = { day: "numeric", month: "short" };

export const clock = (seconds) => time(seconds, CLOCK);
export const dayMonth = (seconds) => time(seconds, DAY);
export const moment = (seconds) => time(seconds, { ...DAY, ...CLOCK });
export const fullMoment = (seconds) => time(seconds, { ...DAY, year: "numeric", ...CLOCK });

/** The name of a language tag, in the language of the page. */
export function languageName(tag) {
  if (!tag || tag === "und") return t("language.und");
  try {
    return new Intl.DisplayNames(LOCALES[language], { type: "language" }).of(tag) ?? tag;
  } catch {
    return tag;
  }
}

export const platformName = (name) => tOr(`platform.${name}`, name);
export const emotionName = (name) => tOr(`emotion.${name}`, name);
