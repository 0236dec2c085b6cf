// Building elements. Text goes in as text: nothing here, or anywhere else, parses markup.

/** An element with attributes, and children that are elements or text. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** A swatch in one of the page's colours, by the name of its CSS property. */
export function swatch(property) {
  const node = el("span", { class: "swatch", "aria-hidden": "true" });
  node.style.setProperty("--swatch", `var(--${property})`);
  return node;
}

/** Mark the pressed button of a group. */
export function press(group, value) {
  for (const button of group.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.value === value));
  }
}

/** Set the text of an element, and leave it alone where it is the same already. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
